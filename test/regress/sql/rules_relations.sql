-- Rules and the tables they are for: dropped, altered, partitioned, inherited.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
SET client_min_messages = warning;
CREATE EXTENSION cdc_decoder;
\set SHOW_CONTEXT never
CREATE SCHEMA sch;
CREATE TABLE sch.t (id int PRIMARY KEY, a int, b text, c int);
CREATE TABLE sch.u (id int PRIMARY KEY, a int);
SELECT cdc.create_pipeline('p');
SELECT cdc.set_column('p', 'sch.t', 'x', 'a + 1');
SELECT cdc.set_column('p', 'sch.u', 'x', 'a + 1');
SELECT cdc.drop_column('p', 'sch.t', 'b');

-- What would break a rule is refused; what would not is not.
\set SHOW_CONTEXT errors
ALTER TABLE sch.t DROP COLUMN a;
\set SHOW_CONTEXT never
ALTER TABLE sch.t RENAME COLUMN a TO alpha;
\set VERBOSITY terse
ALTER TABLE sch.t ALTER COLUMN a TYPE text;
\set VERBOSITY default
ALTER TABLE sch.t ADD COLUMN x int; -- from now on the member is in its place
ALTER TABLE sch.t DROP COLUMN b;
ALTER TABLE sch.t ALTER COLUMN a TYPE bigint;
ALTER TABLE sch.t DROP COLUMN c;
ALTER TABLE sch.t ADD COLUMN y int, DROP COLUMN a;
SELECT cdc.rename_column('p', 'sch.t', 'a', 'z');
ALTER TABLE sch.t ADD COLUMN z int; -- two members of one name
SELECT cdc.remove_rule('p', 'sch.t', 'rename', 'a');
ALTER TABLE sch.t RENAME TO t2;
ALTER SCHEMA sch RENAME TO sch2;
ALTER TABLE sch2.t2 SET SCHEMA public;
INSERT INTO t2 VALUES (1, 2, 'b', 9);
SELECT brief('pipeline', 'p');
SELECT relation, kind, member FROM cdc.rules ORDER BY 1, 2, 3;

-- Dropped: its rules go, others stay; with its schema; by rollback they come back.
BEGIN;
DROP TABLE t2;
SELECT relation, kind, member FROM cdc.rules ORDER BY 1, 2, 3;
ROLLBACK;
SELECT count(*) FROM cdc.rules;
DROP TABLE t2;
DROP SCHEMA sch2 CASCADE;
SELECT count(*) FROM cdc.rules;
-- a table of the same name is another table
CREATE TABLE t2 (id int PRIMARY KEY, a int);
INSERT INTO t2 VALUES (1, 2);
SELECT brief('pipeline', 'p');
-- dropped before its changes are decoded
SELECT cdc.set_column('p', 't2', 'x', 'a + 1');
INSERT INTO t2 VALUES (2, 2);
DROP TABLE t2;
SELECT brief('pipeline', 'p');

-- Partitioned: the root's rules hold for its partitions, whatever their columns' order, published as the
-- root or not.  A partition's own go before the root's.
CREATE TABLE root (id int, a int, secret text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE leaf1 PARTITION OF root FOR VALUES FROM (1) TO (10);
CREATE TABLE middle (secret text, gone int, a int, id int NOT NULL) PARTITION BY RANGE (id);
ALTER TABLE middle DROP COLUMN gone;
ALTER TABLE root ATTACH PARTITION middle FOR VALUES FROM (10) TO (30);
CREATE TABLE leaf2 PARTITION OF middle FOR VALUES FROM (10) TO (20);
CREATE TABLE leaf3 PARTITION OF middle FOR VALUES FROM (20) TO (30);
CREATE PUBLICATION as_root FOR TABLE root WITH (publish_via_partition_root);
CREATE PUBLICATION as_leaves FOR TABLE root;
SELECT cdc.drop_column('p', 'root', 'secret');
SELECT cdc.set_column('p', 'root', 'sum', 'a + id');
SELECT cdc.set_column('p', 'leaf3', 'sum', '''leaf3 '' || a');
SELECT cdc.set_column('p', 'leaf3', 'more', 'length(secret)');
SELECT skip();
INSERT INTO root VALUES (1, 1, 'SECRET'), (11, 1, 'SECRET'), (21, 1, 'SECRET');
INSERT INTO leaf2 VALUES ('SECRET', 1, 12);
UPDATE root SET id = 22 WHERE id = 1;
SELECT r::json->>'table' AS table, r::json->>'op' AS op, r::json->>'after' AS after FROM peek('pipeline', 'p') AS r;
SELECT r::json->>'table' AS table, r::json->>'op' AS op, r::json->>'after' AS after FROM peek('pipeline', 'p', 'publication_names', 'as_leaves') AS r;
SELECT r::json->>'table' AS table, r::json->>'op' AS op, r::json->>'after' AS after FROM peek('pipeline', 'p', 'publication_names', 'as_root') AS r;
SELECT preview->'table' AS table, preview->'after' AS after FROM cdc.preview('p', 'root');
SELECT preview->'after' AS after FROM cdc.preview('p', 'leaf3');
-- what breaks a rule for a partition is refused where the root is altered, too
ALTER TABLE root DROP COLUMN secret;
SELECT cdc.remove_rule('p', 'root', 'drop', 'secret');
ALTER TABLE root DROP COLUMN secret;
ALTER TABLE root RENAME COLUMN a TO alpha;
SELECT cdc.remove_rule('p', 'root', 'column', 'sum');
ALTER TABLE root RENAME COLUMN a TO alpha;
SELECT cdc.remove_rule('p', 'leaf3', 'column', m) FROM unnest('{sum,more}'::text[]) AS m;
ALTER TABLE root RENAME COLUMN a TO alpha;
-- and where the root's rules and a partition's do not go together
SELECT cdc.set_column('p', 'leaf3', 'other', '1');
SELECT cdc.rename_column('p', 'root', 'alpha', 'other');
SELECT cdc.remove_rule('p', 'leaf3', 'column', 'other');
-- detached, it has no rules but its own
SELECT cdc.drop_column('p', 'root', 'alpha');
ALTER TABLE root DETACH PARTITION leaf1;
SELECT skip();
INSERT INTO leaf1 VALUES (5, 5, 'x');
ALTER TABLE root ATTACH PARTITION leaf1 FOR VALUES FROM (1) TO (10);
INSERT INTO leaf1 VALUES (6, 6, 'x');
SELECT r::json->>'after' AS after FROM brief('pipeline', 'p') AS r;

-- Inheritance of the older kind: tables of their own, with rules of their own.
CREATE TABLE parent (id int PRIMARY KEY, a int);
CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent);
SELECT cdc.set_column('p', 'parent', 'x', 'a + 1');
SELECT skip();
INSERT INTO parent VALUES (1, 1);
INSERT INTO child VALUES (2, 1);
SELECT brief('pipeline', 'p');

DROP PUBLICATION as_root, as_leaves;
SET cdc.drop_with_slots = on;
DROP EXTENSION cdc_decoder;
DROP SCHEMA cdc;
DROP TABLE root, parent, child;
SELECT pg_drop_replication_slot('cdc');
