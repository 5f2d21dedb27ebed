-- Previews, which are what decoding gives; pipelines as documents.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
SET client_min_messages = warning;
CREATE EXTENSION cdc_decoder;
\set SHOW_CONTEXT never
CREATE TABLE t (id int PRIMARY KEY, a int, b text, body text, price numeric, big bigint, at timestamptz, raw bytea);
ALTER TABLE t ALTER body SET STORAGE EXTERNAL;
SELECT cdc.create_pipeline('p', options => '{"numeric": "number", "bigint": "string", "binary": "base64", "source": "shop"}');
SELECT cdc.set_metadata('p', '{"region": "eu"}');
SELECT cdc.set_column('p', 't', 'twice', 'a * 2');
SELECT cdc.set_column('p', 't', 'b', 'cdc.redact(b)');
SELECT cdc.drop_column('p', 't', 'raw');
SELECT cdc.rename_column('p', 't', 'price', 'cost');
SELECT cdc.set_column('p', 't', 'size', 'length(body)');
SELECT skip();
INSERT INTO t SELECT i, i, 'b' || i, repeat('long', i * 1000), i + 0.50, i, '2026-01-31 12:00Z', '\x00' FROM generate_series(1, 5) AS i;

-- A preview is a record of its own kind; but for op and place it is the insert's.
SELECT regexp_replace(regexp_replace(preview::text, '"commit_lsn":"[^"]*"', '"commit_lsn":"LSN"'), '(long)+', 'long', 'g')
FROM cdc.preview('p', 't', 1);
CREATE FUNCTION comparable(record text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT regexp_replace(record, '"op":"[a-z]*"|"commit_lsn":"[^"]*"|,"xid":[0-9]+|,"ts":"[^"]*"', '', 'g')
$$;
SELECT count(*), bool_and(comparable(r) = comparable(preview::text)) AS same
FROM (SELECT row_number() OVER () AS n, r FROM peek('pipeline', 'p') AS r) AS decoded
	JOIN (SELECT row_number() OVER () AS n, preview FROM cdc.preview('p', 't', 100)) AS previewed USING (n);
SELECT count(*) FROM cdc.preview('p', 't');
SELECT count(*) FROM cdc.preview('p', 't', 3);
SELECT count(*) FROM cdc.preview(pipeline => 'p', relation => 't', max_rows => 0);
SELECT cdc.preview('p', 't', -1);
SELECT cdc.preview('none', 't');
SELECT cdc.preview('p', 'pg_class');
SELECT cdc.preview('p', 0);
SELECT count(*) FROM cdc.preview(NULL, 't');
CREATE VIEW v AS SELECT 1;
SELECT cdc.preview('p', 'v');
-- of what the caller's own transaction sees
BEGIN;
DELETE FROM t;
INSERT INTO t (id, b) VALUES (100, 'mine');
SELECT preview->'after' AS after FROM cdc.preview('p', 't');
SELECT cdc.set_column('p', 't', 'b', 'b || ''!''');
SELECT preview->'after' AS after FROM cdc.preview('p', 't');
ROLLBACK;
-- an error in an expression is shown here first
SELECT cdc.set_column('p', 't', 'inverse', '1 / (a - 3)');
SELECT count(*) FROM cdc.preview('p', 't', 2);
SELECT count(*) FROM cdc.preview('p', 't');
SELECT cdc.remove_rule('p', 't', 'column', 'inverse');
-- settings of the session do not show
SET timezone = 'America/New_York';
SET datestyle = 'SQL, DMY';
SELECT preview->'after'->'at' AS at FROM cdc.preview('p', 't', 1);
SHOW timezone;
SHOW datestyle;
RESET timezone;
RESET datestyle;
SELECT skip();

-- A pipeline as a document; applied again it changes nothing; applied elsewhere it is the same pipeline.
SELECT jsonb_pretty(cdc.export_pipeline('p'));
SELECT cdc.export_pipeline('p') AS document \gset
CREATE TABLE rules_before AS SELECT ctid::text AS place, * FROM cdc.rule;
SELECT cdc.apply_pipeline(:'document');
SELECT cdc.export_pipeline('p') = :'document' AS same;
SELECT count(*) AS changed FROM (SELECT ctid::text, * FROM cdc.rule EXCEPT SELECT * FROM rules_before) AS x;
SELECT cdc.apply_pipeline(jsonb_set(:'document', '{pipeline}', '"copy"'));
SELECT cdc.export_pipeline('copy') - 'pipeline' = :'document'::jsonb - 'pipeline' AS same;
INSERT INTO t (id, b, a) VALUES (10, 'ten', 10);
SELECT (SELECT string_agg(r, '') FROM peek('pipeline', 'p') AS r) = (SELECT string_agg(r, '') FROM peek('pipeline', 'copy') AS r) AS same;
-- what is not in the document goes; what is left out is empty
SELECT cdc.apply_pipeline('{"pipeline": "copy", "rules": [
	{"relation": "public.t", "kind": "column", "member": "thrice", "definition": "a*3"},
	{"relation": "public.t", "kind": "drop", "member": "b"},
	{"relation": "public.t", "kind": "delete", "definition": "key"}]}');
SELECT cdc.export_pipeline('copy');
SELECT cdc.export_pipeline('copy') AS document \gset
SELECT cdc.apply_pipeline('{"pipeline": "copy", "rules": [
	{"relation": "public.t", "kind": "column", "member": "thrice", "definition": "a*3"},
	{"relation": "public.t", "kind": "drop", "member": "b"},
	{"relation": "public.t", "kind": "delete", "definition": "key"}]}');
SELECT cdc.export_pipeline('copy') = :'document' AS same;

-- All or nothing; and every kind of bad document.
SELECT cdc.apply_pipeline('{"pipeline": "copy", "options": {"source": "changed"}, "rules": [
	{"relation": "public.t", "kind": "column", "member": "fine", "definition": "a"},
	{"relation": "public.t", "kind": "column", "member": "bad", "definition": "nothing"}]}');
SELECT cdc.apply_pipeline('{"pipeline": "new", "rules": [{"relation": "public.t", "kind": "drop", "member": "nothing"}]}');
SELECT cdc.export_pipeline('copy') = :'document' AS same, count(*) FROM cdc.pipelines;
SELECT cdc.apply_pipeline(NULL);
SELECT cdc.apply_pipeline('[]');
SELECT cdc.apply_pipeline('"copy"');
SELECT cdc.apply_pipeline('{}');
SELECT cdc.apply_pipeline('{"pipeline": null}');
SELECT cdc.apply_pipeline('{"pipeline": ""}');
SELECT cdc.apply_pipeline('{"pipeline": "copy", "rule": []}');
SELECT cdc.apply_pipeline('{"pipeline": "copy", "options": []}');
\set VERBOSITY terse
SELECT cdc.apply_pipeline('{"pipeline": "copy", "options": {"nonsense": 1}}');
\set VERBOSITY default
SELECT cdc.apply_pipeline('{"pipeline": "copy", "metadata": 1}');
SELECT cdc.apply_pipeline('{"pipeline": "copy", "metadata": {"op": 1}}');
SELECT cdc.apply_pipeline('{"pipeline": "copy", "publications": "one"}');
SELECT cdc.apply_pipeline('{"pipeline": "copy", "publications": [null]}');
SELECT cdc.apply_pipeline('{"pipeline": "copy", "publications": [""]}');
SELECT cdc.apply_pipeline('{"pipeline": "copy", "rules": {}}');
SELECT cdc.apply_pipeline('{"pipeline": "copy", "rules": [1]}');
SELECT cdc.apply_pipeline('{"pipeline": "copy", "rules": [{}]}');
SELECT cdc.apply_pipeline('{"pipeline": "copy", "rules": [{"relation": "public.none", "kind": "drop", "member": "b"}]}');
SELECT cdc.apply_pipeline('{"pipeline": "copy", "rules": [{"relation": "t", "kind": "drop", "member": "b"}]}');
SELECT cdc.apply_pipeline('{"pipeline": "copy", "rules": [{"relation": "public.v", "kind": "drop", "member": "b"}]}');
SELECT cdc.apply_pipeline('{"pipeline": "copy", "rules": [{"relation": "public.t", "kind": "nonsense", "member": "b"}]}');
SELECT cdc.apply_pipeline('{"pipeline": "copy", "rules": [{"relation": "public.t", "member": "b"}]}');
SELECT cdc.apply_pipeline('{"pipeline": "copy", "rules": [{"relation": "public.t", "kind": "delete", "definition": "never"}]}');
SELECT cdc.apply_pipeline('{"pipeline": "copy", "rules": [{"relation": "public.t", "kind": "delete", "member": "x", "definition": "key"}]}');
SELECT cdc.apply_pipeline('{"pipeline": "copy", "rules": [{"relation": "public.t", "kind": "rename", "member": "b"}]}');
SELECT cdc.apply_pipeline('{"pipeline": "copy", "rules": [{"relation": "public.t", "kind": "key", "definition": "a"}]}');
SELECT cdc.apply_pipeline('{"pipeline": "copy", "rules": [{"relation": "public.t", "kind": "key", "definition": "a\""}]}');
SELECT cdc.apply_pipeline('{"pipeline": "copy", "rules": [{"relation": "public.t", "kind": "column", "member": "x"}]}');
SELECT cdc.apply_pipeline('{"pipeline": "copy", "rules": [{"relation": "public.t", "kind": "column", "member": "x", "definition": "a", "more": 1}]}');
SELECT cdc.apply_pipeline('{"pipeline": "copy", "rules": [
	{"relation": "public.t", "kind": "column", "member": "x", "definition": "a"},
	{"relation": "public.t", "kind": "column", "member": "x", "definition": "a + 1"}]}');
SELECT cdc.export_pipeline('copy') = :'document' AS same;

SET cdc.drop_with_slots = on;
DROP EXTENSION cdc_decoder;
DROP SCHEMA cdc;
DROP VIEW v;
DROP TABLE t, rules_before;
DROP FUNCTION comparable;
SELECT pg_drop_replication_slot('cdc');
