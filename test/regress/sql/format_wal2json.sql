-- format=wal2json: what its records say of what wal2json does not know: rules, records that are too long, errors.
-- (That the rest is wal2json's, byte for byte, is tested by test/tap/060_wal2json.pl.)
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
SET client_min_messages = warning;
CREATE EXTENSION cdc_decoder;
\set SHOW_CONTEXT never
-- Records of changes, without their types.
CREATE FUNCTION w2j(VARIADIC options text[] DEFAULT '{}') RETURNS SETOF text LANGUAGE sql AS $$
	SELECT data FROM pg_logical_slot_get_changes('cdc', NULL, NULL, VARIADIC ARRAY['format', 'wal2json', 'include-transaction', 'off',
		'include-types', 'off'] || options)
$$;
CREATE TABLE t (id int PRIMARY KEY, a int, b text, big text);
ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
CREATE TABLE f (a int, b text, c int UNIQUE NOT NULL);
ALTER TABLE f REPLICA IDENTITY FULL;
CREATE TABLE n (a int);

-- One of each kind, with all that can be said of it.
SELECT skip();
INSERT INTO t VALUES (1, 2, 'b');
UPDATE t SET a = NULL;
UPDATE t SET id = 2;
DELETE FROM t;
INSERT INTO n VALUES (1);
UPDATE n SET a = 2;
DELETE FROM n;
TRUNCATE n, f;
SELECT count(pg_logical_emit_message(true, 'p', 'content')) + count(pg_logical_emit_message(false, 'q', 'alone'));
CALL flush();
SELECT regexp_replace(regexp_replace(regexp_replace(data, '"xid":\d+', '"xid":XID'), '"(lsn|nextlsn)":"[0-9A-F/]+"', '"\1":"LSN"', 'g'),
	'"timestamp":"[-0-9]+ [0-9:.]+\+00"', '"timestamp":"TIME"')
FROM pg_logical_slot_get_changes('cdc', NULL, NULL, 'format', 'wal2json', 'include-xids', 'on', 'include-timestamp', 'on', 'include-origin', 'on',
	'include-lsn', 'on', 'include-pk', 'on', 'include-not-null', 'on', 'include-column-positions', 'on', 'include-default', 'on',
	'include-type-oids', 'on', 'include-empty-transaction', 'off');

-- Deletes with the key alone, where the old row is whole.
ALTER TABLE t REPLICA IDENTITY FULL;
INSERT INTO t VALUES (1, 2, 'b');
INSERT INTO f VALUES (1, 'b', 3);
SELECT skip();
DELETE FROM t;
DELETE FROM f;
SELECT * FROM w2j('delete', 'key');
ALTER TABLE t REPLICA IDENTITY DEFAULT;

-- A record that would be too long.
INSERT INTO t VALUES (1, 2, repeat('b', 2000000), 'short');
UPDATE t SET big = repeat('x', 2000000), b = 'b';
UPDATE t SET a = 3;
SELECT count(pg_logical_emit_message(true, 'p', repeat('c', 2000000)));
SELECT * FROM w2j('max_record_bytes', '1048576');

-- Rules: members computed, replaced, renamed, dropped, looked up; a key; metadata; filters that make an update another change.
CREATE TABLE region (code text PRIMARY KEY, name text);
INSERT INTO region VALUES ('b', 'Bee');
SELECT cdc.create_pipeline('p');
SELECT cdc.set_column('p', 't', 'double', 'a * 2');
SELECT cdc.set_column('p', 't', 'big', 'left(big, 3)');
SELECT cdc.rename_column('p', 't', 'a', 'alpha');
SELECT cdc.add_lookup('p', 't', '{b}', 'region', '{code}', '{"region": "name"}');
SELECT cdc.set_metadata('p', '{"site": "here", "n": 1}');
UPDATE t SET id = 1, a = 2, b = 'b', big = 'short';
SELECT skip();
UPDATE t SET a = 4, big = 'longer';
UPDATE t SET id = 5;
DELETE FROM t;
SELECT count(pg_logical_emit_message(true, 'p', 'm'));
SELECT data FROM pg_logical_slot_get_changes('cdc', NULL, NULL, 'format', 'wal2json', 'include-empty-transaction', 'off', 'pipeline', 'p',
	'include-pk', 'on', 'include-column-positions', 'on', 'include-default', 'on', 'include-not-null', 'on');
SELECT cdc.set_column('p', 'f', 'rest', '12 / a');
SELECT cdc.set_key('p', 'f', ARRAY['c', 'a']);
SELECT skip();
INSERT INTO f VALUES (0, 'b', 1), (3, 'c', 2);
UPDATE f SET a = 0;
SELECT * FROM w2j('pipeline', 'p', 'on_expression_error', 'null');
INSERT INTO f VALUES (0, 'b', 9);
SELECT * FROM w2j('pipeline', 'p');
SELECT r::json->>'commit_lsn' AS at FROM peek() AS r \gset
SELECT :'at' || ':1' AS record \gset
SELECT * FROM w2j('pipeline', 'p', 'strip_records', :'record');
CREATE PUBLICATION few FOR TABLE t (id, a) WHERE (id > 10);
INSERT INTO t VALUES (1, 1, 'x'), (15, 1, 'x');
SELECT skip();
UPDATE t SET id = id + 20;
UPDATE t SET id = id - 22 WHERE id = 21;
UPDATE t SET a = 7 WHERE id = 35;
SELECT * FROM w2j('publication_names', 'few');
DROP PUBLICATION few;

-- DDL is told as the message that tells it if asked for, an outbox row as one.
SELECT cdc.drop_pipeline('p');
SELECT cdc.enable_ddl();
SELECT skip();
ALTER TABLE n ADD b int;
SELECT count(*) FROM peek('format', 'wal2json', 'include-transaction', 'off');
SELECT substr(r, 1, 130) FROM w2j('ddl', 'on') AS r;
SELECT cdc.disable_ddl();
SELECT skip();
SELECT count(pg_logical_emit_message(true, 'outbox:orders:1', '{"n": 1}'));
SELECT * FROM w2j();

SELECT pg_drop_replication_slot('cdc');
DROP EXTENSION cdc_decoder;
DROP SCHEMA cdc CASCADE;
DROP TABLE t, f, n, region;
DROP FUNCTION w2j;
