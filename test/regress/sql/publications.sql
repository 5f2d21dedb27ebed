-- Selection by publications, option publication_names: what pgoutput selects, as records.
-- Each publication of a change is its time's, however far behind the slot is.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
CREATE TABLE a (id int PRIMARY KEY, n int, secret text);
CREATE TABLE b (id int PRIMARY KEY, n int);
CREATE TABLE other (id int PRIMARY KEY);
CREATE SCHEMA sch;
CREATE TABLE sch.a (id int PRIMARY KEY, n int);
SET client_min_messages = error; -- wal_level is said to be too low at every CREATE PUBLICATION, where it is
CREATE PUBLICATION tables FOR TABLE a, b;
CREATE PUBLICATION columns FOR TABLE a (n, id);
CREATE PUBLICATION sch FOR TABLES IN SCHEMA sch;
CREATE PUBLICATION everything FOR ALL TABLES;
CREATE PUBLICATION inserts FOR TABLE a, b WITH (publish = 'insert');
CREATE PUBLICATION deletes FOR TABLE b WITH (publish = 'delete, truncate');
CREATE PUBLICATION "Nothing, really";
RESET client_min_messages;
-- what one session of changes gives under each
CREATE FUNCTION seen(VARIADIC options text[]) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT format('%s %s.%s %s', r->>'op', r->>'schema', r->>'table', coalesce(r->>'after', r->>'before'))
	FROM (SELECT data::json FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, VARIADIC options)) AS p (r)
$$;
SELECT skip();

INSERT INTO a VALUES (1, 10, 'x');
INSERT INTO b VALUES (1, 10);
INSERT INTO other VALUES (1);
INSERT INTO sch.a VALUES (1, 10);
UPDATE a SET n = 11;
UPDATE b SET n = 11;
DELETE FROM b;
DELETE FROM sch.a;
TRUNCATE a, b, sch.a;

-- Which tables.
SELECT seen('publication_names', 'tables');
SELECT seen('publication_names', 'sch');
SELECT seen('publication_names', 'everything');
SELECT seen('publication_names', '"Nothing, really"');
-- Which columns, in the table's order.
SELECT seen('publication_names', 'columns');
-- Which operations.
SELECT seen('publication_names', 'inserts');
SELECT seen('publication_names', 'deletes');
-- Several: any of them.
SELECT seen('publication_names', 'inserts, deletes');
SELECT seen('publication_names', 'sch,columns, "Nothing, really"');
-- One that has all columns besides one that has some: all.
SELECT seen('publication_names', 'columns, inserts');
-- What is selected keeps its number, and a transaction without any leaves no trace.
SELECT r::json->>'seq' AS seq FROM peek('publication_names', 'deletes', 'transaction_records', 'on') AS r;
SELECT skip();

-- Column lists that differ: both.  (pgoutput raises an ERROR at that place in the WAL, for ever.)
SET client_min_messages = error;
CREATE PUBLICATION only_n FOR TABLE a (id, n);
CREATE PUBLICATION only_secret FOR TABLE a (id, secret);
RESET client_min_messages;
SELECT skip();
INSERT INTO a VALUES (1, 10, 'x');
SELECT seen('publication_names', 'only_n');
SELECT seen('publication_names', 'only_secret');
SELECT seen('publication_names', 'only_n, only_secret');
SELECT skip();

-- The key where the list has it, for inserts, where it may miss it: without.
SET client_min_messages = error;
CREATE PUBLICATION no_key FOR TABLE a (n) WITH (publish = 'insert');
RESET client_min_messages;
SELECT skip();
INSERT INTO a VALUES (2, 20, 'y');
SELECT brief('publication_names', 'no_key');

-- Tables added and dropped, columns, names, owners: each change counts from its commit on.
SET client_min_messages = error;
CREATE PUBLICATION moving FOR TABLE a (id);
RESET client_min_messages;
SELECT skip();
INSERT INTO a VALUES (3, 30, 'z');
ALTER PUBLICATION moving ADD TABLE b;
INSERT INTO b VALUES (3, 30);
ALTER PUBLICATION moving DROP TABLE a;
INSERT INTO a VALUES (4, 40, 'z');
ALTER PUBLICATION moving SET TABLE a (id, n), b (id);
INSERT INTO a VALUES (5, 50, 'z');
INSERT INTO b VALUES (5, 50);
ALTER PUBLICATION moving SET (publish = 'delete');
INSERT INTO a VALUES (6, 60, 'z');
DELETE FROM a WHERE id = 6;
ALTER PUBLICATION moving SET (publish = 'insert');
ALTER PUBLICATION moving ADD TABLES IN SCHEMA public; -- not with column lists
ALTER PUBLICATION moving SET TABLE a;
ALTER PUBLICATION moving ADD TABLES IN SCHEMA sch;
INSERT INTO sch.a VALUES (7, 70);
ALTER SCHEMA sch RENAME TO sch2;
INSERT INTO sch2.a VALUES (8, 80);
CREATE TABLE sch2.later (id int PRIMARY KEY);
INSERT INTO sch2.later VALUES (9);
ALTER TABLE b SET SCHEMA sch2;
INSERT INTO sch2.b VALUES (10, 100);
ALTER TABLE sch2.b SET SCHEMA public;
INSERT INTO b VALUES (11, 110);
ALTER SCHEMA sch2 RENAME TO sch;
ALTER PUBLICATION moving DROP TABLES IN SCHEMA sch;
INSERT INTO sch.a VALUES (12, 120);
SELECT seen('publication_names', 'moving');
-- and once more the same
SELECT count(*), count(DISTINCT data) FROM (
	SELECT string_agg(r, E'\n') AS data FROM seen('publication_names', 'moving') AS r
	UNION ALL
	SELECT string_agg(r, E'\n') FROM seen('publication_names', 'moving') AS r) AS twice;
SELECT skip();

-- Within one transaction, and in a savepoint that is rolled back.
BEGIN;
INSERT INTO b VALUES (20, 0);
ALTER PUBLICATION moving ADD TABLE b;
INSERT INTO b VALUES (21, 0);
SAVEPOINT s;
ALTER PUBLICATION moving DROP TABLE b;
INSERT INTO b VALUES (22, 0);
ROLLBACK TO s;
INSERT INTO b VALUES (23, 0);
ALTER PUBLICATION moving DROP TABLE b;
INSERT INTO b VALUES (24, 0);
COMMIT;
SELECT seen('publication_names', 'moving');
SELECT skip();

-- Renamed: another name is another publication.  Missing: a WARNING, once, and nothing is selected until
-- the place where it is made.  With others, these go on.
INSERT INTO a VALUES (30, 0, '');
ALTER PUBLICATION moving RENAME TO moved;
INSERT INTO a VALUES (31, 0, '');
INSERT INTO a VALUES (32, 0, '');
SELECT seen('publication_names', 'moving');
SELECT seen('publication_names', 'moved');
SELECT seen('publication_names', 'moving, columns');
DROP PUBLICATION moved;
INSERT INTO a VALUES (33, 0, '');
SET client_min_messages = error;
CREATE PUBLICATION moved FOR TABLE a (id);
RESET client_min_messages;
INSERT INTO a VALUES (34, 0, '');
SELECT seen('publication_names', 'moved');
SELECT seen('publication_names', '"Moved"'); -- quoted: another name
SELECT seen('publication_names', 'MOVED');

-- Bad lists.
SELECT seen('publication_names', '');
SELECT seen('publication_names', ' , ');
SELECT seen('publication_names', 'a,,b');
SELECT seen('publication_names', 'a"b');
SELECT seen('publication_names', '""');
SELECT seen('publication_names', 'tables', 'publication_names', 'columns');

-- What cannot be followed is never selected, whatever the publication says.
CREATE MATERIALIZED VIEW mat AS SELECT 1 AS one;
SELECT skip();
REFRESH MATERIALIZED VIEW mat;
SELECT seen('publication_names', 'everything');

DROP PUBLICATION tables, columns, sch, everything, inserts, deletes, "Nothing, really", only_n, only_secret,
	no_key, moved;
DROP MATERIALIZED VIEW mat;
DROP TABLE a, b, other, sch.a, sch.later;
DROP SCHEMA sch;
DROP FUNCTION seen;
SELECT pg_drop_replication_slot('cdc');
