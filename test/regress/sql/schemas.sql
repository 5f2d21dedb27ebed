-- Schema records: option schemas.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION cdc_decoder;
CREATE TYPE pair AS (a int, b text);
CREATE TABLE t (id int PRIMARY KEY, name varchar(10) NOT NULL DEFAULT 'x', total numeric(10,2), at timestamptz(3) DEFAULT now(),
	tags text[], p pair, twice int GENERATED ALWAYS AS (id * 2) STORED);
CREATE TABLE u (a int, "B ""q""" text);
SELECT skip();
INSERT INTO t VALUES (1);
INSERT INTO t VALUES (2);
INSERT INTO u VALUES (1);
ALTER TABLE t ADD COLUMN c text;
INSERT INTO t VALUES (3);
ALTER TABLE t DROP COLUMN c;
INSERT INTO t VALUES (4);
ALTER TABLE t REPLICA IDENTITY FULL;
DELETE FROM t WHERE id = 1;
TRUNCATE u;
-- each version before its first record, and told again when it comes back
SELECT regexp_replace(mask(r), '"at":"[^"]*"', '"at":"TS"', 'g') FROM peek('schemas', 'on') AS r;
-- facts take no place: the other records are the same without them, but for the version
SELECT count(*) FROM (
	SELECT regexp_replace(r, '"schema_version":"[0-9a-f]{16}",', '') FROM peek('schemas', 'on') AS r WHERE r NOT LIKE '{"op":"schema"%'
	EXCEPT ALL SELECT * FROM peek()) AS different;
SELECT count(*) FROM peek('schemas', 'off') AS r WHERE r LIKE '%"schema_version"%' OR r LIKE '{"op":"schema"%';
-- in frames they are of a kind of their own
SELECT count(*) FROM pg_logical_slot_peek_binary_changes('cdc', NULL, NULL, 'framing', 'frames', 'schemas', 'on')
WHERE position('F' || repeat('\000', 11) IN encode(data, 'escape')) > 0 AND position('{"op":"schema"' IN encode(data, 'escape')) > 0;
-- not twice in a stream, whatever makes the decoder look at the catalogs anew
SELECT skip();
INSERT INTO t VALUES (5);
CREATE SCHEMA elsewhere;
ANALYZE t;
ALTER TABLE t ALTER COLUMN name SET STATISTICS 10;
INSERT INTO t VALUES (6);
SELECT count(*) FROM brief('schemas', 'on') AS r WHERE r LIKE '{"op":"schema"%';
-- the same definition has the same version, another relation's never
CREATE TABLE one (id int);
CREATE TABLE two (id int);
SELECT skip();
INSERT INTO one VALUES (1);
INSERT INTO two VALUES (1);
ALTER TABLE one ALTER id TYPE bigint;
INSERT INTO one VALUES (2);
ALTER TABLE one ALTER id TYPE int;
INSERT INTO one VALUES (3);
SELECT r->>'op', r->>'table', dense_rank() OVER (ORDER BY coalesce(r->>'version', r->>'schema_version')) IN (1, 2, 3) AS ranked,
	count(*) OVER (PARTITION BY coalesce(r->>'version', r->>'schema_version')) AS records_of_version
FROM (SELECT r::json, n FROM brief('schemas', 'on') WITH ORDINALITY AS b(r, n)) AS b ORDER BY n;
-- with rules it is their members that are described
SELECT cdc.create_pipeline('p', options => '{"schemas": "on"}');
SELECT cdc.drop_column('p', 't', 'tags'), cdc.rename_column('p', 't', 'total', 'sum'), cdc.set_column('p', 't', 'name', 'cdc.redact(name)'),
	cdc.set_column('p', 't', 'more', 'id + 1'), cdc.drop_column('p', 't', 'at');
SELECT skip();
INSERT INTO t VALUES (7);
SELECT brief('pipeline', 'p');
SELECT brief('format', 'wal2json', 'schemas', 'on');
-- what identifies a row
CREATE TABLE k (a int NOT NULL, b text NOT NULL, v int, PRIMARY KEY (a, b));
CREATE UNIQUE INDEX k_b ON k (b);
CREATE TABLE nothing (id int PRIMARY KEY);
ALTER TABLE nothing REPLICA IDENTITY NOTHING;
SELECT skip();
INSERT INTO k VALUES (1, 'x', 1);
ALTER TABLE k REPLICA IDENTITY USING INDEX k_b;
INSERT INTO k VALUES (2, 'y', 2);
INSERT INTO nothing VALUES (1);
SELECT r::json->>'table' AS relation, r::json->'key' AS key, r::json->>'replica_identity' AS identity
FROM peek('schemas', 'on') AS r WHERE r LIKE '{"op":"schema"%';
SET cdc.drop_with_slots = on;
DROP EXTENSION cdc_decoder;
DROP SCHEMA cdc, elsewhere;
DROP TABLE t, u, one, two, k, nothing;
DROP TYPE pair;
SELECT pg_drop_replication_slot('cdc');
