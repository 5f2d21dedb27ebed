-- Expressions that raise an error: option on_expression_error, of the pipeline or of the stream.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
SET client_min_messages = warning;
CREATE EXTENSION cdc_decoder;
\set SHOW_CONTEXT never
CREATE TABLE t (id int PRIMARY KEY, n int, doc text);
ALTER TABLE t REPLICA IDENTITY FULL;
SELECT cdc.create_pipeline('p');
SELECT cdc.create_pipeline('forgiving', options => '{"on_expression_error": "null"}');
SELECT cdc.set_column(p, 't', 'inverse', '100 / n'), cdc.set_column(p, 't', 'doc', 'doc::jsonb'),
	cdc.set_column(p, 't', 'fine', 'n + 1') FROM unnest('{p,forgiving}'::name[]) AS p;
SELECT skip();
INSERT INTO t VALUES (1, 5, '{}');
SELECT brief('pipeline', 'p');

-- stop: at the row, again and again, with nothing of it sent; what was before it goes through
INSERT INTO t VALUES (2, 5, '1');
INSERT INTO t VALUES (3, 0, '{}');
SELECT brief('pipeline', 'p');
SELECT peek('pipeline', 'p');
SELECT brief('pipeline', 'p', 'on_expression_error', 'stop');
-- null: said in the record; of the row before and the row after alike
SELECT peek('pipeline', 'p', 'on_expression_error', 'null') = peek('pipeline', 'forgiving') AS same;
UPDATE t SET doc = 'no {json' WHERE id = 3;
UPDATE t SET n = 1 WHERE id = 3;
DELETE FROM t;
SELECT brief('pipeline', 'forgiving');
-- the stream's option counts
INSERT INTO t VALUES (4, 0, '{}');
SELECT brief('pipeline', 'forgiving', 'on_expression_error', 'stop');
SELECT brief('pipeline', 'forgiving', 'on_expression_error', 'null');
-- Records that are named go without their rows, and say what stands in the way of the rest; others go as ever.
INSERT INTO t VALUES (6, 0, '{}');
INSERT INTO t VALUES (7, 5, '{}');
UPDATE t SET n = 2, doc = 'no {json' WHERE id = 7;
DELETE FROM t WHERE id = 7;
SELECT string_agg(concat(r::json->>'commit_lsn', ':', r::json->>'seq'), ', ') AS broken
FROM peek('pipeline', 'forgiving') AS r WHERE r::json->'errors' IS NOT NULL \gset
SELECT string_agg(concat(r::json->>'commit_lsn', ':', r::json->>'seq'), ', ') AS sound
FROM peek('pipeline', 'forgiving') AS r WHERE r::json->'errors' IS NULL \gset
SELECT brief('pipeline', 'p', 'strip_records', :'sound');
SELECT brief('pipeline', 'p', 'strip_records', :'broken');
-- decoding goes on as ever
INSERT INTO t VALUES (5, 5, '{}');
SELECT brief('pipeline', 'p');

-- Many errors in one transaction, among what is fine.
INSERT INTO t SELECT i, i % 2, '{}' FROM generate_series(1000, 2999) AS i;
SELECT count(*), count(r::json->'errors') AS errors, sum((r::json->'after'->>'inverse')::int) AS inverse
FROM brief('pipeline', 'forgiving') AS r;
-- and DDL in their midst
BEGIN;
INSERT INTO t VALUES (10, 0, '{}');
ALTER TABLE t ADD COLUMN added int DEFAULT 7;
INSERT INTO t VALUES (11, 0, '{}');
SAVEPOINT s;
INSERT INTO t VALUES (12, 0, 'rolled back');
ROLLBACK TO s;
ALTER TABLE t DROP COLUMN added;
INSERT INTO t VALUES (13, 0, '{}');
COMMIT;
SELECT brief('pipeline', 'forgiving');

-- In a key: the key is null like the rest, and said to be.
SELECT cdc.set_column('forgiving', 't', 'id', '10 / (id - 1)');
INSERT INTO t VALUES (1, 1, '{}');
SELECT brief('pipeline', 'forgiving');

-- An expression that cannot be read any more, which DDL refuses where it can see it: an enum's label.
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE m (id int PRIMARY KEY, mood mood);
SELECT cdc.set_column('p', 'm', 'sad', 'mood = ''sad''');
ALTER TYPE mood RENAME VALUE 'sad' TO 'blue';
ALTER TYPE mood ADD VALUE 'fine';
DROP TYPE mood;
DROP TYPE mood CASCADE;
SELECT cdc.remove_rule('p', 'm', 'column', 'sad');
ALTER TYPE mood RENAME VALUE 'sad' TO 'blue';
DROP TYPE mood CASCADE;

SET cdc.drop_with_slots = on;
DROP EXTENSION cdc_decoder;
DROP SCHEMA cdc;
DROP TABLE t, m;
SELECT pg_drop_replication_slot('cdc');
