-- Publications of partitioned tables: as partitions, or with publish_via_partition_root as the root.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
SET client_min_messages = error;
CREATE TABLE root (id int, n int, t text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE leaf1 PARTITION OF root FOR VALUES FROM (1) TO (10);
-- columns in another order, with a dropped one in between
CREATE TABLE leaf2 (t text, gone int, id int NOT NULL, n int);
ALTER TABLE leaf2 DROP COLUMN gone;
CREATE TABLE middle (n int, t text, id int NOT NULL) PARTITION BY RANGE (id);
ALTER TABLE root ATTACH PARTITION middle FOR VALUES FROM (10) TO (30);
ALTER TABLE middle ATTACH PARTITION leaf2 FOR VALUES FROM (10) TO (20);
CREATE TABLE leaf3 PARTITION OF middle FOR VALUES FROM (20) TO (30);
CREATE PUBLICATION leaves FOR TABLE root;
CREATE PUBLICATION root FOR TABLE root WITH (publish_via_partition_root = true);
CREATE PUBLICATION middle FOR TABLE middle WITH (publish_via_partition_root = true);
CREATE PUBLICATION one FOR TABLE leaf2;
CREATE PUBLICATION filtered FOR TABLE root (id, t) WHERE (id % 2 = 0) WITH (publish_via_partition_root = true);
CREATE PUBLICATION all_leaves FOR ALL TABLES;
CREATE PUBLICATION all_root FOR ALL TABLES WITH (publish_via_partition_root = true);
CREATE FUNCTION seen(VARIADIC options text[]) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT format('%s %s %s %s', r->>'op', r->>'table', coalesce(r->>'key', '-'), coalesce(r->>'after', r->>'before'))
	FROM (SELECT data::json FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, VARIADIC options)) AS p (r)
$$;
SELECT skip();
RESET client_min_messages;
INSERT INTO root VALUES (1, 1, 'one'), (11, 11, 'eleven'), (22, 22, 'twenty-two');
UPDATE root SET n = n + 1;
UPDATE root SET id = 12 WHERE id = 11;
UPDATE root SET id = 2 WHERE id = 22;
DELETE FROM root WHERE id = 12;
TRUNCATE root;
TRUNCATE leaf1;
TRUNCATE middle;

SELECT seen('batch_bytes', '0'); -- no publications: all
SELECT seen('publication_names', 'leaves');
SELECT seen('publication_names', 'root');
SELECT seen('publication_names', 'middle');
SELECT seen('publication_names', 'one');
SELECT seen('publication_names', 'filtered');
SELECT seen('publication_names', 'all_leaves');
SELECT seen('publication_names', 'all_root');
-- Several: the topmost that is published by one of them; what is said of those below does not count.
SELECT seen('publication_names', 'one, middle');
SELECT seen('publication_names', 'middle, leaves');
SELECT seen('publication_names', 'middle, root');
SELECT seen('publication_names', 'one, filtered');
-- Out of order or not, a row read back from the root's record is the row.
SELECT skip();
INSERT INTO leaf2 VALUES ('twelve', 12, 13);
SELECT jsonb_populate_record(NULL::root, (data::jsonb)->'after') *= root AS same
FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, 'publication_names', 'root'), root;

-- Attached and detached, in between.
SELECT skip();
CREATE TABLE leaf4 (id int PRIMARY KEY, n int, t text);
INSERT INTO leaf4 VALUES (31, 0, 'alone');
ALTER TABLE root ATTACH PARTITION leaf4 FOR VALUES FROM (30) TO (40);
INSERT INTO leaf4 VALUES (32, 0, 'part');
ALTER TABLE root DETACH PARTITION leaf4;
INSERT INTO leaf4 VALUES (33, 0, 'alone again');
BEGIN;
ALTER TABLE root ATTACH PARTITION leaf4 FOR VALUES FROM (30) TO (40);
INSERT INTO leaf4 VALUES (34, 0, 'part');
ALTER PUBLICATION root SET (publish_via_partition_root = false);
INSERT INTO leaf4 VALUES (35, 0, 'part under its own name');
ALTER TABLE root RENAME COLUMN t TO u;
INSERT INTO leaf4 VALUES (36, 0, 'renamed');
COMMIT;
SELECT seen('publication_names', 'root');
SELECT seen('publication_names', 'filtered');

-- The root's name is its present one.
SELECT skip();
ALTER PUBLICATION root SET (publish_via_partition_root = true);
INSERT INTO leaf1 VALUES (5, 5, 'five');
ALTER TABLE root RENAME TO tree;
INSERT INTO leaf1 VALUES (6, 6, 'six');
SELECT seen('publication_names', 'root');

DROP PUBLICATION leaves, root, middle, one, filtered, all_leaves, all_root;
DROP TABLE tree;
DROP FUNCTION seen;
SELECT pg_drop_replication_slot('cdc');
