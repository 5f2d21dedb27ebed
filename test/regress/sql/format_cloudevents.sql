-- format=cloudevents: attributes and data of each kind of record.  (The rules of the specification are checked by
-- test/tap/062_cloudevents.pl.)
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
SET client_min_messages = warning;
CREATE EXTENSION cdc_decoder;
\set SHOW_CONTEXT never
CREATE FUNCTION events(VARIADIC options text[] DEFAULT '{}') RETURNS SETOF text LANGUAGE sql AS $$
	SELECT regexp_replace(regexp_replace(regexp_replace(regexp_replace(data, '"time":"[-0-9]+T[0-9:.]+Z"', '"time":"TIME"'), '"xid":"\d+"', '"xid":"XID"'),
		'"id":"[0-9A-F]+/[0-9A-F]+-', '"id":"LSN-'), '"sequence":"[0-9A-F]{16}-', '"sequence":"LSN-')
	FROM pg_logical_slot_get_changes('cdc', NULL, NULL, VARIADIC ARRAY['format', 'cloudevents', 'source', 'shop'] || options)
$$;
CREATE TABLE t (id int PRIMARY KEY, a numeric, b text);
CREATE TABLE n (a int);
SELECT skip();
BEGIN;
INSERT INTO t VALUES (1, 2.50, 'b');
UPDATE t SET a = NULL;
UPDATE t SET id = 2;
DELETE FROM t;
INSERT INTO n VALUES (1);
TRUNCATE n, t;
SELECT count(pg_logical_emit_message(true, 'p', 'content')), count(pg_logical_emit_message(true, '', '\xff'::bytea)), count(pg_logical_emit_message(false, 'q', 'alone'));
SELECT count(pg_logical_emit_message(true, 'outbox:orders:7', '{"n": 1}')), count(pg_logical_emit_message(true, E'control\x01', ''));
COMMIT;
SELECT * FROM events('transaction_records', 'on');

-- Options for values are those of our own records.
INSERT INTO t VALUES (1, 2.50, 'b');
SELECT * FROM events('numeric', 'number', 'messages', 'off');

-- Names that a URI must encode, keys that a string must escape and that no attribute may have.
CREATE SCHEMA "a/b";
CREATE TABLE "a/b"."Täb le?#%" ("k""1" text PRIMARY KEY);
CREATE SCHEMA "..";
CREATE TABLE ".."."." (a int);
SELECT skip();
INSERT INTO "a/b"."Täb le?#%" VALUES ('plain'), (E'quote" back\\ é'), (E'line\nbreak'), (E'delete\x7f'), (E'\u0085'), (E'\ufffe'), (E'\U0001F600');
INSERT INTO ".."."." VALUES (1);
SELECT * FROM events();

-- Rules, metadata, DDL; what is too long.
SELECT cdc.create_pipeline('p');
SELECT cdc.set_column('p', 't', 'double', 'a * 2');
SELECT cdc.set_metadata('p', '{"site": "here"}');
SELECT cdc.set_key('p', 't', ARRAY['id']);
SELECT skip();
INSERT INTO t VALUES (3, 1, 'b');
SELECT * FROM events('pipeline', 'p');
SELECT cdc.drop_pipeline('p');
SELECT cdc.enable_ddl();
SELECT skip();
ALTER TABLE n ADD b int;
SELECT regexp_replace(e, '"ddl":.*', '"ddl":...') FROM events() AS e;
SELECT cdc.disable_ddl();
SELECT skip();
INSERT INTO t VALUES (4, 1, repeat('b', 2000000));
ALTER TABLE t DROP CONSTRAINT t_pkey, ALTER b SET NOT NULL, REPLICA IDENTITY FULL;
SELECT cdc.create_pipeline('k');
SELECT cdc.set_key('k', 't', ARRAY['b']);
INSERT INTO t VALUES (5, 1, repeat('b', 2000000));
SELECT * FROM events('max_record_bytes', '1048576', 'ddl', 'off');
INSERT INTO t VALUES (6, 1, repeat('b', 2000000)), (7, 1, 'short');
SELECT * FROM events('max_record_bytes', '1048576', 'ddl', 'off', 'pipeline', 'k');
SELECT pg_drop_replication_slot('cdc');
DROP EXTENSION cdc_decoder;
DROP SCHEMA cdc;
DROP TABLE t, n;
DROP SCHEMA "a/b", ".." CASCADE;
DROP FUNCTION events;
