-- The functions that make pipelines and rules: what each does, and every kind of bad argument.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
SET client_min_messages = warning;
CREATE EXTENSION cdc_decoder;
CREATE TABLE t (id int PRIMARY KEY, a int, b text, "Odd ""name" text);
CREATE UNIQUE INDEX t_a ON t (a);
CREATE VIEW v AS SELECT 1 AS id;
\set SHOW_CONTEXT never

-- create_pipeline
SELECT cdc.create_pipeline('p');
SELECT cdc.create_pipeline(pipeline => 'full', publications => '{one,"Two, three"}',
	options => '{"delete": "key", "max_record_bytes": 2000000, "transaction_records": true, "source": "here"}');
SELECT * FROM cdc.pipelines ORDER BY pipeline;
SELECT cdc.create_pipeline('p');
SELECT cdc.create_pipeline(NULL);
SELECT cdc.create_pipeline('x', NULL);
SELECT cdc.create_pipeline('x', '{}', NULL);
SELECT cdc.create_pipeline('x', options => '[]');
\set VERBOSITY terse
SELECT cdc.create_pipeline('x', options => '{"nonsense": 1}');
\set VERBOSITY default
SELECT cdc.create_pipeline('x', options => '{"delete": "everything"}');
SELECT cdc.create_pipeline('x', options => '{"max_record_bytes": 1}');
SELECT cdc.create_pipeline('x', options => '{"max_record_bytes": 2000000.5}');
SELECT cdc.create_pipeline('x', options => '{"source": null}');
SELECT cdc.create_pipeline('x', options => '{"source": {"a": 1}}');
SELECT cdc.create_pipeline('x', options => '{"source": ["a"]}');
SELECT cdc.create_pipeline('x', options => '{"framing": "frames"}');
SELECT cdc.create_pipeline('x', options => '{"protocol_version": 1}');
SELECT cdc.create_pipeline('x', options => '{"pipeline": "p"}');
SELECT cdc.create_pipeline('x', '{one,NULL}');
SELECT cdc.create_pipeline('x', '{{one,two},{three,four}}');
SELECT cdc.create_pipeline('x', '{""}');
SELECT cdc.create_pipeline('');
SELECT cdc.create_pipeline('x', options => jsonb_build_object('message_prefixes', repeat('x', 10000)));
SELECT pipeline FROM cdc.pipelines ORDER BY 1;

-- set_metadata
SELECT cdc.set_metadata('p', '{"region": "eu", "n": 1.50, "deep": {"a": [1, null, true]}}');
SELECT metadata FROM cdc.pipelines WHERE pipeline = 'p';
SELECT cdc.set_metadata(pipeline => 'p', members => '{}');
SELECT cdc.set_metadata('none', '{}');
SELECT cdc.set_metadata(NULL, '{}');
SELECT cdc.set_metadata('p', NULL);
SELECT cdc.set_metadata('p', '[1]');
SELECT cdc.set_metadata('p', '"region"');
SELECT cdc.set_metadata('p', '{"commit_lsn": 1}');
SELECT cdc.set_metadata('p', '{"a": 1, "after": 1}');
SELECT cdc.set_metadata('p', jsonb_build_object('a', repeat('x', 10000)));

-- set_column
SELECT cdc.set_column('p', 't', 'twice', 'a * 2');
SELECT cdc.set_column(pipeline => 'p', relation => 't', member => 'b', expression => 'upper(b)');
SELECT * FROM cdc.rules;
SELECT cdc.set_column('p', 't', 'twice', 'a + a'); -- replaces
SELECT definition FROM cdc.rules WHERE member = 'twice';
SELECT cdc.set_column('none', 't', 'x', 'a');
SELECT cdc.set_column('p', 'v', 'x', 'id');
SELECT cdc.set_column('p', 't_a', 'x', 'id');
SELECT cdc.set_column('p', 'nowhere', 'x', 'id');
SELECT cdc.set_column('p', 0, 'x', 'id');
SELECT cdc.set_column('p', 't', '', 'a');
SELECT cdc.set_column('p', 't', NULL, 'a');
SELECT cdc.set_column('p', 't', 'x', NULL);
SELECT cdc.set_column('p', NULL, 'x', 'a');
SELECT cdc.set_column('p', 't', 'x', 'none + 1');
SELECT cdc.set_column('p', 't', 'x', repeat('a + ', 3000) || 'a');
SELECT cdc.set_column('p', 't', repeat('x', 10000), 'a');
SELECT cdc.set_column('p', 'pg_class', 'x', 'relname');

-- drop_column, rename_column
SELECT cdc.drop_column('p', 't', 'a');
SELECT cdc.drop_column('p', 't', 'none');
SELECT cdc.drop_column('p', 't', 'ctid');
SELECT cdc.drop_column('p', 't', NULL);
SELECT cdc.drop_column('none', 't', 'a');
SELECT cdc.rename_column('p', 't', 'Odd "name', 'od"d\');
SELECT cdc.rename_column('p', 't', 'none', 'x');
SELECT cdc.rename_column('p', 't', 'b', NULL);
SELECT cdc.rename_column('p', 't', 'b', 'id'); -- there is one
SELECT cdc.rename_column('p', 't', 'b', 'twice'); -- there is a computed one
SELECT cdc.rename_column('p', 't', 'b', 'a'); -- the column of that name is dropped
SELECT cdc.set_column('p', 't', 'od"d\', '1');
SELECT kind, member, definition FROM cdc.rules ORDER BY kind, member;

-- set_key
SELECT cdc.set_key('p', 't', '{id}');
SELECT cdc.set_key('p', 't', '{b}');
SELECT cdc.set_key('p', 't', '{id,b}');
SELECT cdc.set_key('p', 't', '{none}');
SELECT cdc.set_key('p', 't', '{}');
SELECT cdc.set_key('p', 't', '{id,id}');
SELECT cdc.set_key('p', 't', '{NULL}');
SELECT cdc.set_key('p', 't', NULL);
SELECT cdc.set_key('none', 't', '{id}');
SELECT cdc.drop_column('p', 't', 'id'); -- the key needs it
ALTER TABLE t REPLICA IDENTITY FULL;
SELECT cdc.set_key('p', 't', '{b,"Odd \"name"}');
ALTER TABLE t REPLICA IDENTITY DEFAULT; -- the key would not be logged
SELECT cdc.remove_rule('p', 't', 'key');
ALTER TABLE t REPLICA IDENTITY DEFAULT;

-- set_target
SELECT cdc.set_target('p', 't', 'cdc.{schema}.{table}');
SELECT cdc.set_target('p', 't', 'cdc.{{}.{tabel}');
SELECT cdc.set_target('p', 't', 'cdc.{{}.{schema}.{table}.{op}');
SELECT cdc.set_target('p', 't', NULL);
SELECT cdc.set_target('p', 't', '');
SELECT cdc.set_target('none', 't', 'x');
SELECT cdc.set_target('p', 't', repeat('x', 10000));

-- set_delete
SELECT cdc.set_delete('p', 't', 'key');
SELECT cdc.set_delete('p', 't', 'full');
SELECT cdc.set_delete('p', 't', 'none');
SELECT cdc.set_delete('p', 't', NULL);

-- remove_rule
SELECT kind, member, definition FROM cdc.rules ORDER BY kind, member;
SELECT cdc.remove_rule('p', 't', 'column', 'twice');
SELECT cdc.remove_rule(pipeline => 'p', relation => 't', kind => 'delete');
SELECT cdc.remove_rule('p', 't', 'column', 'twice');
SELECT cdc.remove_rule('p', 't', 'nonsense', 'twice');
SELECT cdc.remove_rule('p', 't', NULL, 'twice');
SELECT cdc.remove_rule('none', 't', 'column', 'twice');
SELECT cdc.remove_rule('p', 't', 'drop', 'a'); -- then two members would have that name
SELECT cdc.remove_rule('p', 't', 'rename', 'b');
SELECT cdc.remove_rule('p', 't', 'drop', 'a');
SELECT kind, member, definition FROM cdc.rules ORDER BY kind, member;

-- drop_pipeline: its rules go with it; another of the name begins anew
SELECT cdc.drop_pipeline('none');
SELECT cdc.drop_pipeline(NULL);
SELECT cdc.drop_pipeline('p');
SELECT cdc.drop_pipeline('p');
SELECT cdc.set_column('p', 't', 'x', 'a');
SELECT cdc.export_pipeline('p');
SELECT * FROM cdc.preview('p', 't');
SELECT pipeline FROM cdc.pipelines;
SELECT count(*) FROM cdc.rules;
SELECT cdc.create_pipeline('p');
SELECT count(*) FROM cdc.rules;

-- The triggers' function is no function.
SELECT cdc.rules_changed();

SET cdc.drop_with_slots = on;
DROP EXTENSION cdc_decoder;
SELECT to_regnamespace('cdc') IS NULL AS gone; -- schemas stay
DROP SCHEMA IF EXISTS cdc;
DROP VIEW v;
DROP TABLE t;
SELECT pg_drop_replication_slot('cdc');
