-- Records of the writers' own: messages outbox:TARGET:KEY, and rows of outbox tables.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION cdc_decoder;
SELECT skip();

-- Messages.  In lines a record tells target and key; what is no JSON, or names no target, is a message as any.
SELECT 1 FROM pg_logical_emit_message(true, 'outbox:orders:42', '{"a": 1, "b": [null, "x"]}');
SELECT 1 FROM pg_logical_emit_message(false, 'outbox:orders', ' "alone" ');
SELECT 1 FROM pg_logical_emit_message(true, 'outbox:orders:a:b', E'{\n"lines": 2}');
SELECT 1 FROM pg_logical_emit_message(true, 'outbox:orders:42', 'no json');
SELECT 1 FROM pg_logical_emit_message(true, 'outbox:orders:42', '{"a": 1} {');
SELECT 1 FROM pg_logical_emit_message(true, 'outbox:orders:42', '');
SELECT 1 FROM pg_logical_emit_message(true, 'outbox::42', '{}');
SELECT 1 FROM pg_logical_emit_message(true, 'outbox:' || repeat('x', 256) || ':42', '{}');
SELECT 1 FROM pg_logical_emit_message(true, 'outboxes:orders:42', '{}');
-- they are selected as messages are
SELECT count(*) FROM peek();
SELECT count(*) FROM peek('messages', 'off');
SELECT count(*) FROM peek('message_prefixes', 'outbox:orders, outbox:orders:4*');
SELECT brief();
-- in frames the record is the content itself, its key behind it
SELECT skip();
SELECT 1 FROM pg_logical_emit_message(true, 'outbox:or{d}ers:42', '{"a": 1}');
SELECT 1 FROM pg_logical_emit_message(true, 'outbox:or{d}ers:43', '{"a": 2}');
SELECT 1 FROM pg_logical_emit_message(true, 'outbox:orders', '[]');
SELECT substr(encode(data, 'escape'), 1 + strpos(encode(data, 'escape'), 'cdc')) LIKE '%outbox%or{{d}ers%{"a": 1}"42"%' AS announced,
	encode(data, 'escape') LIKE '%{"a": 2}"43"%' AS second, encode(data, 'escape') LIKE '%orders%[]\\000%' AS no_key
FROM pg_logical_slot_peek_binary_changes('cdc', NULL, NULL, 'framing', 'frames');

-- Tables.
CREATE TABLE outbox (id serial PRIMARY KEY, aggregate_type text, aggregate_id uuid, type text, payload jsonb);
SELECT cdc.create_pipeline('p');
SELECT cdc.set_outbox('p', 'outbox');
SELECT skip();
INSERT INTO outbox (aggregate_type, aggregate_id, type, payload) VALUES
	('order', '11111111-1111-1111-1111-111111111111', 'created', '{"id": 1, "total": 9.50}'),
	('or{d}er', '22222222-2222-2222-2222-222222222222', 'paid', '"text"');
UPDATE outbox SET type = 'other';
DELETE FROM outbox WHERE id = 1;
SELECT brief('pipeline', 'p');
-- a row that holds no record is sent as it is
SELECT skip();
INSERT INTO outbox (aggregate_type, aggregate_id, payload) VALUES
	(NULL, '11111111-1111-1111-1111-111111111111', '1'), ('', '11111111-1111-1111-1111-111111111111', '2'),
	(repeat('x', 256), '11111111-1111-1111-1111-111111111111', '3'), ('order', NULL, '4'),
	('order', '11111111-1111-1111-1111-111111111111', NULL);
SELECT substr(data::json->>'after', 1, 80) FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, 'pipeline', 'p');
-- columns of other names, a template of several, text for payloads
CREATE TABLE events (n int PRIMARY KEY, area text, "the Key" int, body text, filler int);
SELECT cdc.set_outbox('p', 'events', target => 'shop.{{{area}}.{the Key}', key_column => 'the Key', payload_column => 'body');
SELECT skip();
INSERT INTO events VALUES (1, 'north', 7, '{"ok": true}'), (2, 'south', 8, 'no json');
SELECT brief('pipeline', 'p');
SELECT * FROM cdc.rules WHERE kind = 'outbox' ORDER BY relation::text;
SELECT cdc.apply_pipeline(cdc.export_pipeline('p'));
-- partitions go by the rule of what they are part of
CREATE TABLE parts (id int, aggregate_type text, aggregate_id text, payload json, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE parts_1 (gone int, payload json, aggregate_id text, aggregate_type text, id int NOT NULL);
ALTER TABLE parts_1 DROP COLUMN gone;
ALTER TABLE parts ATTACH PARTITION parts_1 FOR VALUES FROM (0) TO (10);
SELECT cdc.set_outbox('p', 'parts');
SELECT skip();
INSERT INTO parts VALUES (1, 'part', 'one', '{"in": "a partition"}');
SELECT brief('pipeline', 'p');

-- What is refused.
SELECT cdc.set_outbox('p', 'outbox', target => '');
SELECT cdc.set_outbox('p', 'outbox', target => E'two\nlines');
SELECT cdc.set_outbox('p', 'outbox', target => '{aggregate');
SELECT cdc.set_outbox('p', 'outbox', target => '{nothing}');
SELECT cdc.set_outbox('p', 'outbox', key_column => 'nothing');
SELECT cdc.set_outbox('p', 'outbox', payload_column => 'id');
SELECT cdc.set_outbox('p', 'outbox', NULL);
SELECT cdc.apply_pipeline('{"pipeline": "p", "rules": [{"relation": "public.outbox", "kind": "outbox", "definition": "a"}]}');
ALTER TABLE outbox DROP COLUMN payload;
SELECT cdc.remove_rule('p', 'outbox', 'outbox');

SET cdc.drop_with_slots = on;
DROP EXTENSION cdc_decoder;
DROP SCHEMA cdc;
DROP TABLE outbox, events, parts;
SELECT pg_drop_replication_slot('cdc');
