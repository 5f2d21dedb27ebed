-- What rules make of a record: members computed, replaced, renamed, dropped; keys, targets, deletes,
-- metadata, options.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
SET client_min_messages = warning;
CREATE EXTENSION cdc_decoder;
\set SHOW_CONTEXT never
CREATE TABLE t (id int PRIMARY KEY, a int, b text, body text, code int);
ALTER TABLE t ALTER body SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX t_code ON t (code);
ALTER TABLE t ALTER code SET NOT NULL;
CREATE TABLE plain (id int PRIMARY KEY, a int);
SELECT cdc.create_pipeline('p');

-- Computed: behind the table's columns, by name.  Replaced: in the column's place.
SELECT cdc.set_column('p', 't', 'zwei', 'a * 2');
SELECT cdc.set_column('p', 't', 'eins', 'a');
SELECT cdc.set_column('p', 't', 'b', 'upper(b)');
SELECT skip();
INSERT INTO t VALUES (1, 10, 'b', 'short', 100);
INSERT INTO plain VALUES (1, 1);
UPDATE t SET a = 11;
UPDATE t SET id = 2;
DELETE FROM t;
SELECT brief();
SELECT skip();
INSERT INTO t VALUES (1, 10, 'b', 'short', 100);
INSERT INTO plain VALUES (2, 1);
UPDATE t SET a = 11;
UPDATE t SET id = 2;
DELETE FROM t;
SELECT brief('pipeline', 'p');
ALTER TABLE t REPLICA IDENTITY FULL;
INSERT INTO t VALUES (1, 10, 'b', 'short', 100);
UPDATE t SET a = NULL, b = NULL;
DELETE FROM t;
SELECT brief('pipeline', 'p');
ALTER TABLE t REPLICA IDENTITY NOTHING;
INSERT INTO t VALUES (1, 10, 'b', 'short', 100);
UPDATE t SET a = 11;
DELETE FROM t;
SELECT brief('pipeline', 'p');
ALTER TABLE t REPLICA IDENTITY DEFAULT;

-- An expression over the key alone is in an image of the key; over the whole row it is left out of it.
SELECT cdc.set_column('p', 't', 'of_key', '''id '' || id');
SELECT cdc.set_column('p', 't', 'constant', '7');
SELECT skip();
INSERT INTO t VALUES (1, 10, 'b', 'short', 100);
UPDATE t SET id = 2;
DELETE FROM t;
SELECT brief('pipeline', 'p');

-- Over a value that is out of line and did not change: unchanged, unless the old row has it.
SELECT cdc.set_column('p', 't', 'length', 'length(body)');
SELECT cdc.set_column('p', 't', 'body', 'left(body, 3)');
SELECT skip();
INSERT INTO t SELECT 1, 10, 'b', repeat('long', 2000), 100;
UPDATE t SET a = 11;
UPDATE t SET body = 'short';
UPDATE t SET a = 12;
UPDATE t SET body = repeat('LONG', 3000);
ALTER TABLE t REPLICA IDENTITY FULL;
UPDATE t SET a = 13;
SELECT brief('pipeline', 'p');
ALTER TABLE t REPLICA IDENTITY DEFAULT;
DELETE FROM t;
SELECT cdc.remove_rule('p', 't', 'column', m) FROM unnest('{length,body,of_key,constant,eins,b,zwei}'::text[]) AS m;

-- Renamed, with the value as it is or replaced; swapped; dropped.
SELECT cdc.rename_column('p', 't', 'a', 'alpha');
SELECT cdc.rename_column('p', 't', 'b', 'B "quoted"');
SELECT cdc.set_column('p', 't', 'b', 'b || ''!''');
SELECT cdc.drop_column('p', 't', 'body');
SELECT skip();
INSERT INTO t VALUES (1, 10, 'b', 'body', 100);
UPDATE t SET a = 11;
SELECT brief('pipeline', 'p');
BEGIN;
SELECT cdc.remove_rule('p', 't', 'rename', 'b');
SELECT cdc.drop_column('p', 't', 'code');
SELECT cdc.rename_column('p', 't', 'b', 'code');
COMMIT;
SELECT cdc.rename_column('p', 't', 'id', 'number');
UPDATE t SET a = 12;
DELETE FROM t;
SELECT brief('pipeline', 'p');
SELECT cdc.remove_rule('p', 't', kind, member) FROM cdc.rules WHERE kind IN ('rename', 'column');
SELECT cdc.remove_rule('p', 't', kind, member) FROM cdc.rules WHERE kind = 'drop';
SELECT count(*) FROM cdc.rules;

-- A key column dropped: no key, rather than half of one.
SELECT cdc.drop_column('p', 't', 'id');
SELECT skip();
INSERT INTO t VALUES (1, 10, 'b', 'body', 100);
DELETE FROM t;
SELECT brief('pipeline', 'p');
SELECT cdc.remove_rule('p', 't', 'drop', 'id');

-- set_key: other columns than the identity's where those are logged, and in another order they are the same.
ALTER TABLE t REPLICA IDENTITY FULL;
SELECT cdc.set_key('p', 't', '{code}');
SELECT skip();
INSERT INTO t VALUES (1, 10, 'b', 'body', 100);
UPDATE t SET code = 101;
DELETE FROM t;
SELECT brief('pipeline', 'p');
SELECT cdc.set_key('p', 't', '{b,id}');
INSERT INTO t VALUES (1, 10, 'b', 'body', 100);
SELECT r::json->>'key' AS key FROM brief('pipeline', 'p') AS r;
SELECT cdc.remove_rule('p', 't', 'key');
-- with the identity of another index: part of it, or all
ALTER TABLE t REPLICA IDENTITY USING INDEX t_code;
SELECT cdc.set_key('p', 't', '{id}');
SELECT cdc.set_key('p', 't', '{code}');
SELECT cdc.remove_rule('p', 't', 'key');
ALTER TABLE t REPLICA IDENTITY DEFAULT;

-- Deletes: of the relation, of the pipeline, of the stream.
SELECT cdc.set_delete('p', 't', 'key');
SELECT skip();
DELETE FROM t;
DELETE FROM plain WHERE id = 1;
SELECT brief('pipeline', 'p');
BEGIN;
SELECT cdc.drop_pipeline('p');
SELECT cdc.create_pipeline('p', options => '{"delete": "key", "source": "shop", "bigint": "string", "transaction_records": true}');
SELECT cdc.set_metadata('p', '{"region": "eu", "n": [1, 2.50, {"a": null}], "quoted \"name": "ü"}');
SELECT cdc.set_delete('p', 't', 'full');
COMMIT;
SELECT skip();
INSERT INTO t VALUES (1, 10, 'b', 'body', 100);
DELETE FROM t;
DELETE FROM plain;
-- Metadata behind the record's own members of the source; in every kind of record.
SELECT pg_logical_emit_message(true, 'prefix', 'content') IS NOT NULL AS sent;
SELECT pg_logical_emit_message(false, 'prefix', 'outside') IS NOT NULL AS sent;
TRUNCATE t;
SELECT records('pipeline', 'p');
-- The stream's own options override the pipeline's.
SELECT skip();
INSERT INTO t VALUES (1, 10, 'b', 'body', 100);
DELETE FROM t;
INSERT INTO plain VALUES (3);
DELETE FROM plain;
SELECT mask(r) FROM peek('pipeline', 'p', 'delete', 'full', 'source', 'mine', 'transaction_records', 'off') AS r;
SELECT count(*) FROM peek('pipeline', 'none') AS r;
SELECT peek('pipeline', '');
SELECT peek('pipeline');
SELECT peek('pipeline', repeat('x', 64));

-- Publications of the pipeline, and of the stream instead of them.
CREATE PUBLICATION only_t FOR TABLE t (id, a);
CREATE PUBLICATION only_plain FOR TABLE plain;
BEGIN;
SELECT cdc.drop_pipeline('p');
SELECT cdc.create_pipeline('p', '{only_t}');
SELECT cdc.set_column('p', 't', 'of_b', 'b || ''!''');
COMMIT;
SELECT skip();
INSERT INTO t VALUES (1, 10, 'b', 'body', 100);
INSERT INTO plain VALUES (1, 1);
-- (what is computed is asked for by name, so from columns that are not in the list, too)
SELECT r::json->>'after' AS after FROM peek('pipeline', 'p') AS r;
SELECT r::json->>'after' AS after FROM peek('pipeline', 'p', 'publication_names', 'only_plain') AS r;

-- Targets, in the relation's frame.
BEGIN;
SELECT cdc.drop_pipeline('p');
SELECT cdc.create_pipeline('p');
SELECT cdc.set_target('p', 't', 'shop.{table}.ü');
COMMIT;
SELECT skip();
UPDATE t SET a = 11;
UPDATE plain SET a = 11;
SELECT encode(substr(data, 81, 4 + length('public') + length('t')), 'escape') AS names,
	convert_from(substr(data, 40 + 40 + 1 + 2 + 6 + 2 + 1 + 2, 15), 'UTF8') AS target
FROM pg_logical_slot_peek_binary_changes('cdc', NULL, NULL, 'pipeline', 'p', 'framing', 'frames') LIMIT 1;
SELECT position('shop.'::bytea IN data) > 0 AS has_target
FROM pg_logical_slot_peek_binary_changes('cdc', NULL, NULL, 'pipeline', 'p', 'framing', 'frames');

-- Too long a record leaves out computed members, too, and names them.
SELECT cdc.set_column('p', 't', 'huge', 'repeat(b, 2000000)');
SELECT skip();
UPDATE t SET a = 12;
SELECT brief('pipeline', 'p', 'max_record_bytes', '1048576');

DROP PUBLICATION only_t, only_plain;
SET cdc.drop_with_slots = on;
DROP EXTENSION cdc_decoder;
DROP SCHEMA cdc;
DROP TABLE t, plain;
SELECT pg_drop_replication_slot('cdc');
