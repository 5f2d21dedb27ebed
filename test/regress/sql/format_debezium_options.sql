-- Options of format=debezium: each with values that are allowed and that are not, and with other formats.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
\set SHOW_CONTEXT never
\set VERBOSITY terse
CREATE FUNCTION try(VARIADIC options text[]) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT regexp_replace(data, ',"source":.*', '') FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, VARIADIC ARRAY['format', 'debezium'] || options)
$$;
CREATE TABLE t (id int PRIMARY KEY, g int GENERATED ALWAYS AS (id * 2) STORED);
INSERT INTO t VALUES (1);
-- With another format each is an error that says for which it is.
\set VERBOSITY default
SELECT brief('topic.prefix', 'shop');
SELECT try('topic.prefix', 'a shop');
SELECT try('skipped.operations', 'x');
SELECT try('decimal.handling.mode', 'exact');
SELECT try('numeric', 'number');
\set VERBOSITY terse
SELECT try('snapshot.mode', 'never');
SELECT brief('format', 'wal2json', 'schema', 'on');
SELECT try('binary', 'base64');
SELECT try('include-xids', 'on');
SELECT try('schemas', 'on');
SELECT try('transaction_records', 'on');
SELECT try('time.precision.mode', 'fine');
SELECT try('binary.handling.mode', 'base32');
SELECT try('interval.handling.mode', '');
SELECT try('hstore.handling.mode', 'text');
SELECT try('include.unknown.datatypes', 'perhaps');
SELECT try('unavailable.value.placeholder', '');
SELECT try('topic.prefix', '');
SELECT try('provide.transaction.metadata', '2');
SELECT try('tombstones.on.delete', 'x');
SELECT try('schema', 'x');
SELECT try('skipped.operations', '');
SELECT try('skipped.operations', 'c,,d');
SELECT try('skipped.operations', 'none,c');
SELECT try('skipped.operations', 'cd');
-- What is allowed.
SELECT try('topic.prefix', 'Shop-1_2.a', 'tombstones.on.delete', 'off', 'skipped.operations', 'none', 'hstore.handling.mode', 'map', 'schema', 'off');
SELECT try('generated_columns', 'all');
SELECT try('generated_columns', 'none');
SELECT try('skipped.operations', 'c');
SELECT pg_drop_replication_slot('cdc');
DROP TABLE t;
DROP FUNCTION try;
