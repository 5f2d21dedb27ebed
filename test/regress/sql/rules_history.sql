-- A rule counts from where it was made, and as long as it is there, however late that WAL is decoded.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
SET client_min_messages = warning;
CREATE TABLE t (id int PRIMARY KEY, a int);
\set SHOW_CONTEXT never
CREATE FUNCTION after(VARIADIC options text[]) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT coalesce(data::json->>'after', data::json->>'before')
	FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, VARIADIC options)
$$;
-- Before the extension, before the pipeline: nothing, with a WARNING once.
INSERT INTO t VALUES (1, 10);
CREATE EXTENSION cdc_decoder;
INSERT INTO t VALUES (2, 20);
SELECT cdc.create_pipeline('other');
INSERT INTO t VALUES (3, 30);
SELECT pg_logical_emit_message(true, 'early', 'message') IS NOT NULL AS sent;
TRUNCATE t;
RESET client_min_messages;
SELECT after('pipeline', 'p');
SET client_min_messages = warning;
SELECT cdc.create_pipeline('p');
INSERT INTO t VALUES (4, 40);
SELECT cdc.set_column('p', 't', 'b', 'a + 1');
INSERT INTO t VALUES (5, 50);
SELECT cdc.set_column('p', 't', 'b', 'a + 2');
INSERT INTO t VALUES (6, 60);
SELECT cdc.remove_rule('p', 't', 'column', 'b');
INSERT INTO t VALUES (7, 70);
SELECT after('pipeline', 'p');
SELECT count(*), count(DISTINCT all_of_it) FROM (
	SELECT string_agg(r, E'\n') FROM peek('pipeline', 'p') AS r
	UNION ALL SELECT string_agg(r, E'\n') FROM peek('pipeline', 'p') AS r) AS twice (all_of_it);

-- Within a transaction, and in savepoints; data in between.
SELECT skip();
BEGIN;
INSERT INTO t VALUES (10, 0);
SELECT cdc.set_column('p', 't', 'b', '1');
INSERT INTO t VALUES (11, 0);
SAVEPOINT one;
SELECT cdc.set_column('p', 't', 'b', '2');
INSERT INTO t VALUES (12, 0);
ROLLBACK TO one;
INSERT INTO t VALUES (13, 0);
SAVEPOINT two;
SELECT cdc.set_column('p', 't', 'b', '3');
SELECT cdc.set_metadata('p', '{"three": true}');
INSERT INTO t VALUES (14, 0);
RELEASE two;
INSERT INTO t VALUES (15, 0);
SELECT cdc.remove_rule('p', 't', 'column', 'b');
INSERT INTO t VALUES (16, 0);
COMMIT;
SELECT r::json->>'three' AS three, r::json->>'after' AS after FROM peek('pipeline', 'p') AS r;
-- A transaction rolled back changes nothing.
BEGIN;
SELECT cdc.set_column('p', 't', 'b', '4');
INSERT INTO t VALUES (17, 0);
ROLLBACK;
INSERT INTO t VALUES (18, 0);
SELECT r::json->>'three' AS three, r::json->>'after' AS after FROM brief('pipeline', 'p') AS r;
SELECT cdc.set_metadata('p', '{}');

-- Another source, options and publications in the midst of a transaction.
SELECT skip();
BEGIN;
SELECT cdc.apply_pipeline('{"pipeline": "p", "options": {"bigint": "string", "source": "one"}}');
INSERT INTO t VALUES (20, 0);
SELECT cdc.apply_pipeline('{"pipeline": "p", "options": {"source": "two", "delete": "key"}}');
DELETE FROM t WHERE id = 20;
SELECT cdc.apply_pipeline('{"pipeline": "p"}');
COMMIT;
SELECT mask(r) FROM peek('pipeline', 'p') AS r;

-- The table's own DDL in the midst of it.
SELECT skip();
BEGIN;
SELECT cdc.set_column('p', 't', 'twice', 'a * 2');
INSERT INTO t VALUES (30, 1);
ALTER TABLE t ADD COLUMN c text DEFAULT 'c';
SELECT cdc.set_column('p', 't', 'twice', 'a * 2 || c');
INSERT INTO t VALUES (31, 1);
SELECT cdc.remove_rule('p', 't', 'column', 'twice');
ALTER TABLE t DROP COLUMN c;
ALTER TABLE t RENAME COLUMN a TO alpha;
SELECT cdc.set_column('p', 't', 'alpha', 'alpha * 3');
INSERT INTO t VALUES (32, 1);
COMMIT;
SELECT after('pipeline', 'p');
SELECT skip();

-- The tables of rules, and the database's catalogs, rewritten between a change and its decoding.
INSERT INTO t VALUES (40, 1);
SELECT cdc.set_column('p', 't', 'x', 'alpha + 1');
INSERT INTO t VALUES (41, 1);
CREATE TABLE before AS SELECT string_agg(r, E'\n') AS all_of_it FROM peek('pipeline', 'p') AS r;
VACUUM FULL cdc.pipeline;
VACUUM FULL cdc.rule;
SELECT count(*) FILTER (WHERE r LIKE '%"t"%') AS records, string_agg(r, E'\n') FILTER (WHERE r LIKE '%"t"%') = (SELECT all_of_it FROM before) AS same FROM peek('pipeline', 'p') AS r;
REINDEX TABLE cdc.pipeline;
REINDEX TABLE cdc.rule;
CLUSTER cdc.rule USING rule_pkey;
CLUSTER cdc.pipeline USING pipeline_pkey;
SELECT string_agg(r, E'\n') FILTER (WHERE r LIKE '%"t"%') = (SELECT all_of_it FROM before) AS same FROM peek('pipeline', 'p') AS r;
VACUUM FULL pg_catalog.pg_class;
VACUUM FULL pg_catalog.pg_attribute;
VACUUM FULL pg_catalog.pg_namespace;
VACUUM FULL pg_catalog.pg_description;
REINDEX TABLE pg_catalog.pg_class;
REINDEX TABLE pg_catalog.pg_index;
SELECT string_agg(r, E'\n') FILTER (WHERE r LIKE '%"t"%') = (SELECT all_of_it FROM before) AS same FROM peek('pipeline', 'p') AS r;
SELECT cdc.set_column('p', 't', 'x', 'alpha + 2');
SELECT cdc.remove_rule('p', 't', 'column', 'alpha');
DELETE FROM t WHERE id = 41;
VACUUM cdc.rule;
VACUUM cdc.pipeline;
SELECT string_agg(r, E'\n') FILTER (WHERE r LIKE '%"insert"%"t"%') = (SELECT all_of_it FROM before) AS same FROM peek('pipeline', 'p') AS r;
INSERT INTO t VALUES (42, 1);
SELECT after('pipeline', 'p', 'publication_names', 'none');
SELECT r::json->>'after' AS after FROM peek('pipeline', 'p') AS r WHERE r LIKE '%"t"%';
DROP TABLE before;
SELECT skip();

-- The extension's own tables are no part of what is captured, pipeline or not.
SELECT cdc.set_column('p', 't', 'x', '1');
SELECT cdc.drop_pipeline('other');
TRUNCATE cdc.rule;
SELECT peek();
SELECT peek('pipeline', 'p');

-- TRUNCATE of the rules: they are gone from there on.
INSERT INTO t VALUES (50, 1);
SELECT after('pipeline', 'p');
SELECT cdc.set_column('p', 't', 'x', '1');
SELECT skip();

-- Dropped: an ERROR at the first change after it, which says so, and how to go on.
INSERT INTO t VALUES (60, 1);
SELECT cdc.drop_pipeline('p');
INSERT INTO t VALUES (61, 1);
SELECT after('pipeline', 'p');
SELECT r::json->>'after' AS after FROM brief('pipeline', 'p') AS r;
SELECT after('pipeline', 'p');
SELECT after('source', 'no pipeline'); -- all of it, as it is
-- made again
SELECT cdc.create_pipeline('p');
INSERT INTO t VALUES (62, 1);
SELECT after('pipeline', 'p');
SELECT skip();
INSERT INTO t VALUES (63, 1);
SELECT after('pipeline', 'p');
-- within one transaction it was never gone
BEGIN;
SELECT cdc.drop_pipeline('p');
SELECT cdc.create_pipeline('p');
COMMIT;
INSERT INTO t VALUES (64, 1);
SELECT after('pipeline', 'p');
SELECT skip();

-- The same when the extension is dropped.
INSERT INTO t VALUES (69, 1);
SET cdc.drop_with_slots = on;
DROP EXTENSION cdc_decoder;
INSERT INTO t VALUES (70, 1);
\set VERBOSITY terse
SELECT after('pipeline', 'p'); -- the rules of a change before that cannot be read any more, either
\set VERBOSITY default
SELECT skip();
INSERT INTO t VALUES (700, 1);
SELECT after('pipeline', 'p');
SELECT after('pipeline', 'p');
SELECT skip();
INSERT INTO t VALUES (71, 1);
SELECT after('pipeline', 'p');
CREATE EXTENSION cdc_decoder;
SELECT skip();
INSERT INTO t VALUES (72, 1);
SELECT after('pipeline', 'p'); -- not made yet
SELECT cdc.create_pipeline('p');
INSERT INTO t VALUES (73, 1);
SELECT after('pipeline', 'p');

DROP EXTENSION cdc_decoder;
DROP SCHEMA cdc;
DROP TABLE t;
DROP FUNCTION after;
SELECT pg_drop_replication_slot('cdc');
