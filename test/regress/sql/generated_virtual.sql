-- Virtual generated columns (PostgreSQL 18 and newer), whose values are computed when decoding.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
SELECT current_setting('server_version_num')::int < 180000 AS too_old \gset
\if :too_old
SELECT pg_drop_replication_slot('cdc');
\quit
\endif
CREATE TABLE v (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) VIRTUAL,
	name text, shout text GENERATED ALWAYS AS (upper(name) || '!'), kept int GENERATED ALWAYS AS (a + 1) STORED);
INSERT INTO v VALUES (1, 10, DEFAULT, 'x');
UPDATE v SET a = 20;
UPDATE v SET name = NULL;
DELETE FROM v;
ALTER TABLE v REPLICA IDENTITY FULL;
INSERT INTO v VALUES (2, NULL, DEFAULT, 'y');
UPDATE v SET a = 3;
DELETE FROM v;
SELECT regexp_replace(mask(r), '"source".*"ts":"TS",', '') FROM peek() AS r;
SELECT regexp_replace(mask(r), '"source".*"ts":"TS",', '') FROM peek('generated_columns', 'stored') AS r;
SELECT brief('generated_columns', 'none');

-- What stands in the row is what the table shows.
INSERT INTO v VALUES (1, 10, DEFAULT, 'x'), (2, 20, DEFAULT, NULL), (3, NULL, DEFAULT, 'z');
SELECT bool_and((data::jsonb->'after') = to_jsonb(v)) AND count(*) = 3 AS same
FROM pg_logical_slot_get_changes('cdc', NULL, NULL) JOIN v ON v.id = (data::json->'key'->>'id')::int;

-- An expression that fails is named; the record is there, with null in its place.
CREATE TABLE vf (id int PRIMARY KEY, a int, b int GENERATED ALWAYS AS (100 / a), c int GENERATED ALWAYS AS (a + 1));
INSERT INTO vf VALUES (1, 5), (2, 0), (3, 4);
UPDATE vf SET a = a - 4 WHERE id = 3;
SELECT brief();
ALTER TABLE vf REPLICA IDENTITY FULL;
UPDATE vf SET a = 5 WHERE id = 2;
SELECT brief();

-- An SQL function that is not inlined, which needs a snapshot; each expression type by its own writer.
CREATE TABLE vs (id int PRIMARY KEY, a text, r numeric GENERATED ALWAYS AS (round(1.5)),
	p text GENERATED ALWAYS AS (lpad(a, 5)), j jsonb GENERATED ALWAYS AS ('{"a": [1]}'::jsonb || '{"b": {}}'),
	t int[] GENERATED ALWAYS AS (ARRAY[id, id]));
INSERT INTO vs VALUES (1, 'x');
SELECT brief();

-- Of an unchanged TOAST value nothing can be computed: as unchanged as that.
CREATE TABLE vt (id int PRIMARY KEY, n int, a text, len int GENERATED ALWAYS AS (length(a)),
	m int GENERATED ALWAYS AS (n + 1));
ALTER TABLE vt ALTER a SET STORAGE EXTERNAL;
INSERT INTO vt SELECT 1, 1, string_agg(md5(i::text), '') FROM generate_series(1, 100) AS i;
SELECT skip();
UPDATE vt SET n = 2;
SELECT brief();
ALTER TABLE vt REPLICA IDENTITY FULL;
UPDATE vt SET n = 3;
SELECT r::json->>'unchanged', r::json->'after'->>'len', r::json->'before'->>'len', r::json->'after'->>'m' FROM brief() AS r;

-- Expressions change: each record has the one of its time.
SELECT skip();
INSERT INTO v (id, a) VALUES (10, 1);
ALTER TABLE v ALTER twice SET EXPRESSION AS (a * 3);
INSERT INTO v (id, a) VALUES (11, 1);
ALTER TABLE v DROP COLUMN shout, DROP COLUMN name;
INSERT INTO v (id, a) VALUES (12, 1);
SELECT brief();

DROP TABLE v, vf, vs, vt;
SELECT pg_drop_replication_slot('cdc');
