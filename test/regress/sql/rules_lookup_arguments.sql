-- Every kind of bad argument of cdc.add_lookup(), and which tables can be looked up in.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
SET client_min_messages = warning;
CREATE EXTENSION cdc_decoder;
\set SHOW_CONTEXT never
CREATE TABLE users (id int PRIMARY KEY, email text, name text, tenant int, nick text UNIQUE);
CREATE TABLE orders (id int PRIMARY KEY, user_id int, note text, "when" timestamp, tags text[], mood text);
SELECT cdc.create_pipeline('p');

-- NULL
SELECT cdc.add_lookup(NULL, 'orders', '{user_id}', 'users', '{id}', '{"x": "email"}');
SELECT cdc.add_lookup('p', NULL, '{user_id}', 'users', '{id}', '{"x": "email"}');
SELECT cdc.add_lookup('p', 'orders', NULL, 'users', '{id}', '{"x": "email"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', NULL, '{id}', '{"x": "email"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', NULL, '{"x": "email"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', NULL);
SELECT cdc.add_lookup('p', 'orders', '{NULL}', 'users', '{id}', '{"x": "email"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{NULL}', '{"x": "email"}');
-- members
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', '{}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', '[]');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', '"email"');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', '{"x": null}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', '{"x": {"y": "email"}}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', '{"x": ["email"]}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', '{"": "email"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', '{"x": "nothing"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', '{"x": "xmin"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', '{"x": ""}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', '{"note": "email"}'); -- there is one
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', jsonb_build_object(repeat('x', 8000), 'email'));
-- columns
SELECT cdc.add_lookup('p', 'orders', '{}', 'users', '{}', '{"x": "email"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{}', '{"x": "email"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id,note}', 'users', '{id}', '{"x": "email"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id,email}', '{"x": "email"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id,user_id}', 'users', '{id,id}', '{"x": "email"}');
SELECT cdc.add_lookup('p', 'orders', '{{user_id}}', 'users', '{{id}}', '{"x": "email"}');
SELECT cdc.add_lookup('p', 'orders', '{nothing}', 'users', '{id}', '{"x": "email"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{nothing}', '{"x": "email"}');
SELECT cdc.add_lookup('p', 'orders', '{ctid}', 'users', '{id}', '{"x": "email"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{ctid}', '{"x": "email"}');
-- keys: at most one row
SELECT cdc.add_lookup('p', 'orders', '{note}', 'users', '{email}', '{"x": "id"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id,note}', 'users', '{id,email}', '{"x": "name"}');
CREATE UNIQUE INDEX partial ON users (email) WHERE tenant = 1;
SELECT cdc.add_lookup('p', 'orders', '{note}', 'users', '{email}', '{"x": "id"}');
CREATE UNIQUE INDEX of_expression ON users (lower(email));
SELECT cdc.add_lookup('p', 'orders', '{note}', 'users', '{email}', '{"x": "id"}');
CREATE UNIQUE INDEX other_class ON users (email text_pattern_ops);
SELECT cdc.add_lookup('p', 'orders', '{note}', 'users', '{email}', '{"x": "id"}');
CREATE UNIQUE INDEX other_collation ON users (email COLLATE "POSIX");
SELECT cdc.add_lookup('p', 'orders', '{note}', 'users', '{email}', '{"x": "id"}');
ALTER TABLE users ADD CONSTRAINT later UNIQUE (email) DEFERRABLE;
SELECT cdc.add_lookup('p', 'orders', '{note}', 'users', '{email}', '{"x": "id"}');
CREATE UNIQUE INDEX including ON users (name) INCLUDE (email);
SELECT cdc.add_lookup('p', 'orders', '{note,mood}', 'users', '{name,email}', '{"x": "id"}');
SELECT cdc.add_lookup('p', 'orders', '{note}', 'users', '{name}', '{"x": "id"}'); -- what is included is no key
SELECT cdc.remove_rule('p', 'orders', 'lookup', 'x');
-- types that cannot be compared, or not the same in each time zone
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TYPE other_mood AS ENUM ('sad', 'happy');
CREATE TYPE pair AS (a int, b int);
CREATE TYPE other_pair AS (a int, b int);
CREATE TABLE r_types (p point, m mood, t timestamptz, a int[], c pair, b bytea, x xid, u uuid, PRIMARY KEY (m), UNIQUE (t), UNIQUE (a), UNIQUE (c));
CREATE TABLE l_types (id int PRIMARY KEY, m other_mood, t timestamp, d date, a bigint[], c other_pair, tt text, n numeric);
SELECT cdc.add_lookup('p', 'l_types', '{m}', 'r_types', '{m}', '{"x": "u"}');
SELECT cdc.add_lookup('p', 'l_types', '{tt}', 'r_types', '{m}', '{"x": "u"}');
SELECT cdc.add_lookup('p', 'l_types', '{t}', 'r_types', '{t}', '{"x": "u"}');
SELECT cdc.add_lookup('p', 'l_types', '{d}', 'r_types', '{t}', '{"x": "u"}');
SELECT cdc.add_lookup('p', 'l_types', '{a}', 'r_types', '{a}', '{"x": "u"}');
SELECT cdc.add_lookup('p', 'l_types', '{c}', 'r_types', '{c}', '{"x": "u"}');
SELECT cdc.add_lookup('p', 'l_types', '{n}', 'users', '{id}', '{"x": "email"}');
SELECT cdc.add_lookup('p', 'l_types', '{tt}', 'users', '{id}', '{"x": "email"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'r_types', '{p}', '{"x": "u"}');
-- what is not there
SELECT cdc.add_lookup('q', 'orders', '{user_id}', 'users', '{id}', '{"x": "email"}');
SELECT cdc.add_lookup('p', 'nothing', '{user_id}', 'users', '{id}', '{"x": "email"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'nothing', '{id}', '{"x": "email"}');
SELECT cdc.add_lookup('p', 'orders'::regclass, '{user_id}', 4294967295::oid::regclass, '{id}', '{"x": "email"}');

-- A reference is an ordinary table whose every change fires its triggers.
CREATE VIEW a_view AS SELECT * FROM users;
CREATE MATERIALIZED VIEW a_matview AS SELECT * FROM users;
CREATE UNIQUE INDEX ON a_matview (id);
CREATE TEMP TABLE a_temp (id int PRIMARY KEY, email text);
CREATE UNLOGGED TABLE an_unlogged (id int PRIMARY KEY, email text);
CREATE TABLE a_parent (id int PRIMARY KEY, email text);
CREATE TABLE a_child () INHERITS (a_parent);
CREATE TABLE a_root (id int PRIMARY KEY, email text) PARTITION BY RANGE (id);
CREATE TABLE a_leaf PARTITION OF a_root FOR VALUES FROM (1) TO (10);
CREATE TABLE a_catalog (id int PRIMARY KEY, email text) WITH (user_catalog_table = true);
CREATE SEQUENCE a_sequence;
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'a_view', '{id}', '{"x": "email"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'a_matview', '{id}', '{"x": "email"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'a_temp', '{id}', '{"x": "email"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'an_unlogged', '{id}', '{"x": "email"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'a_parent', '{id}', '{"x": "email"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'a_root', '{id}', '{"x": "email"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'a_catalog', '{id}', '{"x": "email"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'a_sequence', '{last_value}', '{"x": "log_cnt"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users_pkey', '{id}', '{"x": "id"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'pg_class', '{oid}', '{"x": "relname"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'cdc.pipeline', '{pipeline}', '{"x": "owner"}');
SELECT cdc.add_lookup('p', 'a_view', '{id}', 'users', '{id}', '{"x": "email"}');
-- a parent whose children have gone is one no more; a partition is an ordinary table
DROP TABLE a_child;
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'a_parent', '{id}', '{"x1": "email"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'a_leaf', '{id}', '{"x2": "email"}');

-- The snapshot of the transaction must be of now.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', '{"x": "email"}');
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'a_parent', '{id}', '{"x": "email"}');
ROLLBACK;

-- Documents
SELECT cdc.apply_pipeline('{"pipeline": "p", "rules": [{"relation": "public.orders", "kind": "lookup", "member": "x"}]}');
SELECT cdc.apply_pipeline('{"pipeline": "p", "rules": [{"relation": "public.orders", "kind": "lookup", "definition":
	{"columns": ["user_id"], "reference": "public.users", "reference_columns": ["id"], "column": "email"}}]}');
SELECT cdc.apply_pipeline('{"pipeline": "p", "rules": [{"relation": "public.orders", "kind": "lookup", "member": "x", "definition": "lookup_1,c2,user_id"}]}');
SELECT cdc.apply_pipeline('{"pipeline": "p", "rules": [{"relation": "public.orders", "kind": "lookup", "member": "x", "definition":
	{"columns": ["user_id"], "reference": "public.users", "reference_columns": ["id"]}}]}');
SELECT cdc.apply_pipeline('{"pipeline": "p", "rules": [{"relation": "public.orders", "kind": "lookup", "member": "x", "definition":
	{"columns": ["user_id"], "reference": "public.users", "reference_columns": ["id"], "column": "email", "more": 1}}]}');
SELECT cdc.apply_pipeline('{"pipeline": "p", "rules": [{"relation": "public.orders", "kind": "lookup", "member": "x", "definition":
	{"columns": "user_id", "reference": "public.users", "reference_columns": ["id"], "column": "email"}}]}');
SELECT cdc.apply_pipeline('{"pipeline": "p", "rules": [{"relation": "public.orders", "kind": "lookup", "member": "x", "definition":
	{"columns": [1], "reference": "public.users", "reference_columns": ["id"], "column": "email"}}]}');
SELECT cdc.apply_pipeline('{"pipeline": "p", "rules": [{"relation": "public.orders", "kind": "lookup", "member": "x", "definition":
	{"columns": ["user_id"], "reference": 17, "reference_columns": ["id"], "column": "email"}}]}');
SELECT cdc.apply_pipeline('{"pipeline": "p", "rules": [{"relation": "public.orders", "kind": "lookup", "member": "x", "definition":
	{"columns": ["user_id"], "reference": "users", "reference_columns": ["id"], "column": "email"}}]}');
SELECT cdc.apply_pipeline('{"pipeline": "p", "rules": [{"relation": "public.orders", "kind": "lookup", "member": "x", "definition":
	{"columns": ["user_id"], "reference": "public.nothing", "reference_columns": ["id"], "column": "email"}}]}');
SELECT cdc.apply_pipeline('{"pipeline": "p", "rules": [{"relation": "public.orders", "kind": "lookup", "member": "x", "definition":
	{"columns": ["user_id"], "reference": "public.users", "reference_columns": ["id"], "column": "nothing"}}]}');
-- nothing of it was done
SELECT member FROM cdc.rules ORDER BY 1;

SELECT pg_drop_replication_slot('cdc');
SELECT cdc.drop_pipeline('p');
DROP EXTENSION cdc_decoder;
DROP SCHEMA cdc CASCADE;
DROP TABLE users, orders, r_types, l_types, a_parent, a_root, a_catalog, an_unlogged, a_temp CASCADE;
DROP SEQUENCE a_sequence;
DROP TYPE mood, other_mood, pair, other_pair;
