-- Lookups, and what happens to the tables that take part: renamed, altered, dropped, partitioned; shadows shared,
-- released and dropped; previews and documents.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
SET client_min_messages = warning;
CREATE EXTENSION cdc_decoder;
\set SHOW_CONTEXT never
CREATE SCHEMA "Ref s";
CREATE TABLE "Ref s".users (id int, "e ""mail" text, name text, born int, tenant int, PRIMARY KEY (id), g int GENERATED ALWAYS AS (born + 1) STORED);
CREATE UNIQUE INDEX by_name ON "Ref s".users (name);
CREATE TABLE orders (id int PRIMARY KEY, user_id int, user_name text);
SELECT cdc.create_pipeline('p');
INSERT INTO "Ref s".users VALUES (1, 'one@', 'one', 1991), (2, 'two@', 'two', 1992);
CREATE FUNCTION after() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' ', data::json->>'table', data::json->>'after', data::json->>'errors')
	FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, 'pipeline', 'p') WHERE data::json->>'table' NOT IN ('users', 'people')
$$;
CREATE FUNCTION shadows() RETURNS TABLE (name text, reference regclass, columns text, released boolean, triggers text) LANGUAGE sql AS $$
	SELECT l.shadow::text, l.reference, (SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute
		WHERE attrelid = l.shadow AND attnum > 0 AND NOT attisdropped), l.released_by IS NOT NULL,
		(SELECT string_agg(format('%s %s', tgname, tgenabled), ', ' ORDER BY tgname) FROM pg_trigger WHERE tgrelid = l.reference AND tgname LIKE '%lookup%')
	FROM cdc.lookup l ORDER BY 1
$$;

-- One shadow for all that want the same of the same; another for another key, or other columns.
SELECT cdc.add_lookup('p', 'orders', '{user_id}', '"Ref s".users', '{id}', '{"email": "e \"mail", "user \"born": "born"}');
SELECT cdc.create_pipeline('q');
SELECT cdc.add_lookup('q', 'orders', '{id}', '"Ref s".users', '{id}', '{"a": "born", "b": "e \"mail", "c": "born", "d": "id"}');
SELECT cdc.add_lookup('q', 'orders', '{user_name}', '"Ref s".users', '{name}', '{"by_name": "e \"mail"}');
SELECT * FROM shadows();
SELECT pipeline, relation, kind, member, definition FROM cdc.rules ORDER BY 1, 2, 3, 4;

-- Previews: of the present, also of this very transaction.
INSERT INTO orders VALUES (1, 1, 'two'), (2, 9, NULL);
BEGIN;
UPDATE "Ref s".users SET "e ""mail" = 'uno@' WHERE id = 1;
SELECT preview->>'after' AS after FROM cdc.preview('p', 'orders');
ROLLBACK;
SELECT preview->>'after' AS after FROM cdc.preview('p', 'orders');
SELECT preview->>'after' AS after FROM cdc.preview('q', 'orders');

-- As documents: applying what was exported changes nothing, not even the rows of the rules; leaving one out removes it.
CREATE TABLE before AS SELECT xmin::text AS row, * FROM cdc.rule;
SELECT cdc.apply_pipeline(cdc.export_pipeline('p'));
SELECT cdc.apply_pipeline(cdc.export_pipeline('q'));
SELECT count(*) AS changed FROM (SELECT xmin::text AS row, * FROM cdc.rule EXCEPT TABLE before) AS c;
DROP TABLE before;
SELECT jsonb_pretty(cdc.export_pipeline('p'));
CREATE TABLE document AS SELECT cdc.export_pipeline('q') AS q;
SELECT cdc.apply_pipeline('{"pipeline": "q", "rules": [{"relation": "public.orders", "kind": "lookup", "member": "a", "definition":
	{"columns": ["user_id"], "reference": "\"Ref s\".users", "reference_columns": ["id"], "column": "born"}}]}');
SELECT pipeline, relation, kind, member, definition FROM cdc.rules WHERE pipeline = 'q' ORDER BY 1, 2, 3, 4;
SELECT * FROM shadows();
SELECT cdc.apply_pipeline(q) FROM document;
SELECT cdc.export_pipeline('q') = q AS same FROM document;
SELECT cdc.drop_pipeline('q');
-- made from its document after it was dropped
SELECT cdc.apply_pipeline(q) FROM document;
SELECT cdc.export_pipeline('q') = q AS same FROM document;
SELECT cdc.drop_pipeline('q');
DROP TABLE document;

-- Names and schemas of the reference and its columns are not what matters.
SELECT skip();
INSERT INTO orders VALUES (11, 1);
ALTER TABLE "Ref s".users RENAME COLUMN "e ""mail" TO email;
ALTER TABLE "Ref s".users RENAME COLUMN id TO user_id;
ALTER TABLE "Ref s".users RENAME TO people;
ALTER SCHEMA "Ref s" RENAME TO ref;
ALTER TABLE ref.people SET SCHEMA public;
UPDATE people SET email = 'renamed@' WHERE user_id = 1;
INSERT INTO orders VALUES (12, 1);
SELECT after();
SELECT pipeline, relation, kind, member, definition FROM cdc.rules ORDER BY 1, 2, 3, 4;
-- the same wish, said in the new names, is the same shadow
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'people', '{user_id}', '{"email": "email", "user \"born": "born"}');
SELECT count(*) FROM shadows() WHERE NOT released;

-- What the lookup relies on is not taken away.
ALTER TABLE people DROP COLUMN email;
ALTER TABLE people DROP COLUMN born CASCADE;
\set VERBOSITY terse
ALTER TABLE people ALTER COLUMN email TYPE varchar;
ALTER TABLE people ALTER COLUMN user_id TYPE bigint;
\set VERBOSITY default
ALTER TABLE people DROP CONSTRAINT users_pkey;
DROP INDEX by_name; -- no lookup's any more
ALTER TABLE people SET UNLOGGED;
ALTER TABLE people DISABLE TRIGGER ALL;
ALTER TABLE people DISABLE TRIGGER USER;
ALTER TABLE people ENABLE TRIGGER ALL; -- which would make them ordinary ones
ALTER TABLE people ENABLE REPLICA TRIGGER "!cdc_lookup_1_rows";
DROP TRIGGER "!cdc_lookup_1_rows" ON people;
DROP TRIGGER "!cdc_lookup_1_columns" ON people;
ALTER TRIGGER "!cdc_lookup_1_rows" ON people RENAME TO other;
ALTER TRIGGER "!cdc_lookup_1_columns" ON people RENAME TO other;
SET cdc.drop_with_slots = on;
DROP TABLE cdc.lookup_1;
RESET cdc.drop_with_slots;
DROP TABLE cdc.lookup_1;
ALTER TABLE orders DROP COLUMN user_id;
ALTER TABLE orders RENAME COLUMN user_id TO buyer;
ALTER TABLE orders ALTER COLUMN user_id TYPE text;
ALTER TABLE orders ADD COLUMN email text;
SELECT cdc.set_column('p', 'orders', 'email', '1');
SELECT cdc.rename_column('p', 'orders', 'user_name', 'email');
-- but what does not matter may be done, and another key for the key
ALTER TABLE orders ALTER COLUMN user_id TYPE bigint;
ALTER TABLE people DROP COLUMN name, DROP COLUMN tenant, ADD COLUMN more text DEFAULT 'more';
ALTER TABLE people ALTER COLUMN email SET NOT NULL;
BEGIN;
CREATE UNIQUE INDEX another ON people (user_id);
ALTER TABLE people DROP CONSTRAINT users_pkey;
INSERT INTO people VALUES (3, 'three@');
UPDATE people SET email = 'drei@' WHERE user_id = 3;
INSERT INTO orders VALUES (13, 3);
SELECT after() OFFSET 2;
ROLLBACK;
CLUSTER people USING users_pkey;
VACUUM FULL people;
REINDEX TABLE people;
REINDEX TABLE CONCURRENTLY people;
REINDEX TABLE CONCURRENTLY cdc.lookup_1;
UPDATE people SET email = 'after@' WHERE user_id = 1;
INSERT INTO orders VALUES (14, 1);
SELECT after() OFFSET 2;
-- columns of the table that looks up may be dropped by rules: they are looked up by all the same
SELECT cdc.drop_column('p', 'orders', 'user_id');
INSERT INTO orders VALUES (15, 2);
SELECT after() OFFSET 3;
SELECT cdc.remove_rule('p', 'orders', 'drop', 'user_id');

-- Removed: the triggers go with the last rule.
SELECT cdc.remove_rule('p', 'orders', 'lookup', 'email');
SELECT cdc.remove_rule('p', 'orders', 'lookup', 'email');
SELECT * FROM shadows() WHERE NOT released;
SELECT cdc.remove_rule('p', 'orders', 'lookup', 'user "born');
SELECT * FROM shadows() WHERE NOT released;
ALTER TABLE people ALTER COLUMN email TYPE varchar;
UPDATE people SET email = 'not followed@';
-- a replaced one is removed, too
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'people', '{user_id}', '{"email": "email"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'people', '{user_id}', '{"email": "born"}');
SELECT name, columns, triggers FROM shadows() WHERE NOT released;
-- so does the table that looked up
CREATE TABLE other (id int PRIMARY KEY);
SELECT cdc.add_lookup('p', 'other', '{id}', 'people', '{user_id}', '{"g": "g"}');
SELECT count(*) FROM shadows() WHERE NOT released;
DROP TABLE other;
SELECT count(*) FROM shadows() WHERE NOT released;
-- older changes are decoded by shadows that nobody uses any more
SELECT after();

-- The reference dropped: so are the lookups in it, with a WARNING; what was before is decoded.
SELECT skip();
INSERT INTO orders VALUES (21, 1);
DROP TABLE people;
INSERT INTO orders VALUES (22, 1);
SELECT after();
SELECT * FROM cdc.rules;

-- Unused shadows are dropped in two steps: all slots must have been read past their end.
SELECT count(*) > 1 AS several FROM shadows() WHERE released;
SELECT cdc.drop_unused_lookups();
SELECT cdc.drop_unused_lookups();
SELECT skip();
SELECT count(*) > 1 AS dropped FROM cdc.drop_unused_lookups();
SELECT count(*) AS left FROM pg_class WHERE relname ~ '^lookup_' AND relkind = 'r';
TABLE cdc.lookup;
INSERT INTO orders VALUES (23, 1);
SELECT after();

-- Partitioned tables that look up: under the root's name and their own, whatever the columns' order.
CREATE TABLE r (id int PRIMARY KEY, v text);
INSERT INTO r VALUES (1, 'one'), (2, 'two');
CREATE TABLE root (id int, r int, s bigint, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE leaf1 PARTITION OF root FOR VALUES FROM (1) TO (10);
CREATE TABLE leaf2 (s bigint, gone int, r int, id int NOT NULL);
ALTER TABLE leaf2 DROP COLUMN gone;
ALTER TABLE root ATTACH PARTITION leaf2 FOR VALUES FROM (10) TO (20);
SELECT cdc.add_lookup('p', 'root', '{r}', 'r', '{id}', '{"rv": "v"}');
SELECT cdc.add_lookup('p', 'root', '{s}', 'r', '{id}', '{"sv": "v"}');
SELECT cdc.add_lookup('p', 'leaf2', '{r}', 'r', '{id}', '{"rv": "id", "leaf": "v"}');
CREATE PUBLICATION by_root FOR TABLE root WITH (publish_via_partition_root);
SELECT skip();
INSERT INTO root VALUES (1, 1, 2), (11, 1, 2);
UPDATE root SET id = 12 WHERE id = 1;
SELECT after();
SELECT data::json->>'after' FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, 'pipeline', 'p', 'publication_names', 'by_root');
DROP PUBLICATION by_root;
DROP TABLE root;
-- a table that looks up in itself
CREATE TABLE node (id int PRIMARY KEY, parent int, name text);
SELECT cdc.add_lookup('p', 'node', '{parent}', 'node', '{id}', '{"parent_name": "name"}');
SELECT skip();
INSERT INTO node VALUES (1, NULL, 'root'), (2, 1, 'child'), (3, 3, 'itself'); -- in one statement: before the triggers
UPDATE node SET name = 'renamed' WHERE id = 1;
UPDATE node SET name = name WHERE id > 1;
INSERT INTO node VALUES (4, 2, 'grandchild');
SELECT after();
DROP TABLE node, r;

SELECT pg_drop_replication_slot('cdc');
SELECT cdc.drop_pipeline('p');
SELECT count(*) FROM cdc.drop_unused_lookups();
SELECT count(*) FROM cdc.drop_unused_lookups();
SELECT count(*) AS left FROM pg_class WHERE relname ~ '^lookup_' AND relkind = 'r';
DROP EXTENSION cdc_decoder;
DROP SCHEMA cdc;
DROP SCHEMA ref;
DROP TABLE orders;
DROP FUNCTION after, shadows;
