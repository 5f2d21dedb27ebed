-- format=debezium: records of each kind, and what they say of what the connector does not know: rules, records that are too
-- long, errors.  (That they are the connector's is tested by test/tap/065_debezium.pl, with the connector itself.)
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
SET client_min_messages = warning;
CREATE EXTENSION cdc_decoder;
\set SHOW_CONTEXT never
-- What is never the same twice: LSNs, transaction ids, times, the database's name.
CREATE FUNCTION masked(record text) RETURNS text LANGUAGE sql AS $$
	SELECT regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(record,
		'"(ts_.s)":[1-9][0-9]+', '"\1":TIME', 'g'), '\[\\"[0-9]+\\",\\"[0-9]+\\"\]', 'SEQUENCE', 'g'),
		'"txId":[0-9]+', '"txId":XID', 'g'), '"lsn":[0-9]+', '"lsn":LSN', 'g'), '"db":"[^"]*"', '"db":"DB"', 'g'),
		'"id":"[0-9]+:[0-9]+"', '"id":"XID:LSN"', 'g')
$$;
CREATE FUNCTION whole(VARIADIC options text[] DEFAULT '{}') RETURNS SETOF text LANGUAGE sql AS $$
	SELECT masked(data) FROM pg_logical_slot_get_changes('cdc', NULL, NULL, VARIADIC ARRAY['format', 'debezium', 'topic.prefix', 'shop'] || options)
$$;
-- Without source and times.
CREATE FUNCTION dbz(VARIADIC options text[] DEFAULT '{}') RETURNS SETOF text LANGUAGE sql AS $$
	SELECT regexp_replace(regexp_replace(r, ',"source":\{[^}]*"table":"([^"]*)"[^}]*\}', ',"table":"\1"'), ',"ts_ms":TIME,"ts_us":TIME,"ts_ns":TIME', '')
	FROM whole(VARIADIC options) AS r
$$;
CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL, b text, big text);
ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
CREATE TABLE f (a int, b text, c int UNIQUE NOT NULL);
ALTER TABLE f REPLICA IDENTITY FULL;
CREATE TABLE n (a int);

-- One of each kind.
SELECT skip();
INSERT INTO t VALUES (1, 2, 'b');
UPDATE t SET b = NULL;
UPDATE t SET id = 2;
DELETE FROM t;
INSERT INTO f VALUES (1, 'b', 1);
UPDATE f SET b = 'c';
DELETE FROM f;
INSERT INTO n VALUES (1);
TRUNCATE n, f;
SELECT count(pg_logical_emit_message(true, 'p', 'content')) + count(pg_logical_emit_message(false, 'q', '\x00ff'::bytea));
CALL flush();
SELECT whole('skipped.operations', 'none');

-- In transactions.
BEGIN;
INSERT INTO t VALUES (1, 2, 'b');
INSERT INTO n VALUES (1);
UPDATE t SET id = 3;
SELECT count(pg_logical_emit_message(true, 'p', 'content'));
COMMIT;
SELECT dbz('provide.transaction.metadata', 'on');

-- Operations that are skipped.
BEGIN;
INSERT INTO t VALUES (4, 4);
UPDATE t SET a = 5 WHERE id = 4;
DELETE FROM t WHERE id = 4;
TRUNCATE n;
COMMIT;
CREATE FUNCTION kinds(VARIADIC options text[]) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(data::json->>'op', '' ORDER BY lsn, n) FROM (SELECT *, row_number() OVER () AS n
		FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, VARIADIC ARRAY['format', 'debezium'] || options)) AS c
$$;
SELECT kinds('skipped.operations', 'none'), kinds('include.unknown.datatypes', 'off'), kinds('skipped.operations', 'c, d'), kinds('skipped.operations', 'u,t,c,d');

-- Values that were not logged.
INSERT INTO t VALUES (5, 1, 'b', repeat('long', 1000));
SELECT skip();
UPDATE t SET a = 2 WHERE id = 5;
SELECT dbz();
UPDATE t SET a = 3 WHERE id = 5;
SELECT dbz('unavailable.value.placeholder', 'not "here"');

-- Deletes with the key alone, where the old row is whole.
ALTER TABLE t REPLICA IDENTITY FULL;
INSERT INTO f VALUES (1, 'b', 3);
SELECT skip();
DELETE FROM t WHERE id = 3;
DELETE FROM f;
SELECT dbz('delete', 'key');
ALTER TABLE t REPLICA IDENTITY DEFAULT;

-- A record that would be too long.
DELETE FROM t;
SELECT skip();
INSERT INTO t VALUES (1, 2, repeat('b', 2000000), 'short');
UPDATE t SET id = 2, big = repeat('x', 2000000), b = 'b';
SELECT count(pg_logical_emit_message(true, 'p', repeat('c', 2000000)));
SELECT dbz('max_record_bytes', '1048576');

-- Rules.
CREATE TABLE region (code text PRIMARY KEY, name text);
INSERT INTO region VALUES ('b', 'Bee');
SELECT cdc.create_pipeline('p');
SELECT cdc.set_column('p', 't', 'double', 'a * 2');
SELECT cdc.set_column('p', 't', 'big', 'left(big, 3)');
SELECT cdc.set_column('p', 't', 'unknown', '''[(1,2),(3,4)]''::lseg');
SELECT cdc.rename_column('p', 't', 'a', 'alpha');
SELECT cdc.add_lookup('p', 't', '{b}', 'region', '{code}', '{"region": "name"}');
SELECT cdc.set_metadata('p', '{"site": "here", "n": 1}');
UPDATE t SET id = 1, a = 2, b = 'b', big = 'short';
SELECT skip();
UPDATE t SET a = 4, big = 'longer';
UPDATE t SET id = 5;
DELETE FROM t;
SELECT count(pg_logical_emit_message(true, 'p', 'm'));
SELECT dbz('pipeline', 'p');
SELECT cdc.set_column('p', 'f', 'rest', '12 / a');
SELECT cdc.set_key('p', 'f', ARRAY['c', 'a']);
SELECT skip();
INSERT INTO f VALUES (0, 'b', 1), (3, 'c', 2);
UPDATE f SET a = 1;
SELECT dbz('pipeline', 'p', 'on_expression_error', 'null');
INSERT INTO f VALUES (0, 'b', 9);
SELECT dbz('pipeline', 'p');
SELECT r::json->>'commit_lsn' AS at FROM peek() AS r \gset
SELECT dbz('pipeline', 'p', 'strip_records', :'at' || ':1');

-- With schemas, and what an outbox and DDL are.
CREATE TYPE mood AS ENUM ('fine', 'so "so"');
CREATE TABLE described (id int PRIMARY KEY, n numeric(10,2), v numeric, m mood NOT NULL, a timestamp(3)[], b bit(5), p point, l lseg);
SELECT skip();
INSERT INTO described VALUES (1, 2.5, 2.50, 'fine', '{2026-01-31 12:00}', '10001', '(1,2)', '[(1,2),(3,4)]');
SELECT count(pg_logical_emit_message(true, 'outbox:orders:7', '{"an": "order"}'));
SELECT dbz('schema', 'on');
SELECT pg_drop_replication_slot('cdc');
DROP TABLE t, f, n, region, described;
DROP TYPE mood;
DROP FUNCTION masked, whole, dbz, kinds;
DROP EXTENSION cdc_decoder;
