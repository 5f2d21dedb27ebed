-- Large transactions, which the server keeps on disk while they are decoded; and the memory of the plugin.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
-- Transactions larger than logical_decoding_work_mem go to disk and come back: the records are the same.
CREATE TABLE s (id int PRIMARY KEY, v text, big text);
ALTER TABLE s ALTER big SET STORAGE EXTERNAL;
BEGIN;
INSERT INTO s SELECT i, repeat('v', i % 100), CASE WHEN i % 50 = 0 THEN repeat(md5(i::text), 100) END
FROM generate_series(1, 3000) AS i;
SAVEPOINT a;
UPDATE s SET v = 'gone';
ROLLBACK TO a;
SAVEPOINT b;
UPDATE s SET v = 'kept' WHERE id % 3 = 0;
RELEASE b;
SELECT 'lsn' FROM pg_logical_emit_message(true, 'p', repeat('m', 100000));
ALTER TABLE s ADD n numeric DEFAULT 1.0;
UPDATE s SET n = id WHERE id % 10 = 0;
TRUNCATE s;
INSERT INTO s SELECT i, 'again', NULL, i FROM generate_series(1, 1000) AS i;
DELETE FROM s WHERE id > 500;
COMMIT;
SET logical_decoding_work_mem = '256MB';
CREATE TEMP TABLE in_memory AS SELECT row_number() OVER () AS n, r FROM peek('transaction_records', 'on') AS r;
SET logical_decoding_work_mem = '64kB';
CREATE TEMP TABLE on_disk AS SELECT row_number() OVER () AS n, r FROM peek('transaction_records', 'on') AS r;
SELECT count(*), count(*) FILTER (WHERE m.r IS DISTINCT FROM d.r) AS different FROM in_memory AS m FULL JOIN on_disk AS d USING (n);
SELECT count(*) FILTER (WHERE r::json->>'op' = 'insert') AS inserts, count(*) FILTER (WHERE r::json->>'op' = 'update') AS updates,
	count(*) FILTER (WHERE r::json->>'op' = 'delete') AS deletes, count(*) FILTER (WHERE r::jsonb ? 'unchanged') AS unchanged,
	max((r::json->>'seq')::int) AS seq FROM on_disk;
SELECT bool_and(r::json->'after'->>'big' = repeat(md5(r::json->'after'->>'id'), 100)) AS whole, count(*) FROM on_disk
WHERE r::json->'after'->>'big' IS NOT NULL;

-- The plugin's memory is gone with each call, also when it ended in an ERROR.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SELECT count(*) FROM pg_backend_memory_contexts WHERE name LIKE 'cdc\_decoder%';
SELECT count(*) FROM peek('no_such_option', '1');
CREATE FUNCTION fail(text) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
	RAISE 'the reader fails';
END
$$;
SELECT count(*) FROM peek() AS r WHERE fail(r);
SELECT count(*) FROM pg_backend_memory_contexts WHERE name LIKE 'cdc\_decoder%';
SELECT count(*) FROM peek();

DROP TABLE s;
DROP FUNCTION fail;
SELECT pg_drop_replication_slot('cdc');
