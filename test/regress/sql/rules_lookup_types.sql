-- Keys and members of all sorts of types; NULLs; long values; unchanged ones.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
SET client_min_messages = warning;
CREATE EXTENSION cdc_decoder;
\set SHOW_CONTEXT never
SELECT cdc.create_pipeline('p');
CREATE FUNCTION after() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT coalesce(data::json->>'after', data::json->>'before') || coalesce(' errors ' || (data::json->>'errors'), '')
		|| coalesce(' unchanged ' || (data::json->>'unchanged'), '')
	FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, 'pipeline', 'p') WHERE data::json->>'table' LIKE 'l%'
$$;
-- Three times the same: before the shadow is rewritten, with its index in a new file, and with the heap, too.
CREATE FUNCTION shadows(command text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT format(command, shadow) FROM cdc.lookup WHERE released_by IS NULL ORDER BY shadow
$$;

-- Keys, found and not found, of the same type and of its kin.
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN code AS text CHECK (VALUE <> '');
CREATE COLLATION ignore_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE r (
	i2 int2 UNIQUE, i4 int4 UNIQUE, i8 int8 UNIQUE, n numeric UNIQUE, f8 float8 UNIQUE, b bool UNIQUE, t text UNIQUE,
	v varchar(20) UNIQUE, c char(5) UNIQUE, x name UNIQUE, q "char" UNIQUE, u uuid UNIQUE, d date UNIQUE, ts timestamp UNIQUE,
	tz timestamptz UNIQUE, e mood UNIQUE, k code UNIQUE, ci text COLLATE ignore_case UNIQUE, ip inet UNIQUE, y bytea UNIQUE,
	a int[] UNIQUE, p pair UNIQUE, rg int4range UNIQUE, o oid UNIQUE, iv interval UNIQUE, j jsonb UNIQUE, bits varbit UNIQUE, found text);
CREATE TABLE l (id int PRIMARY KEY, LIKE r);
ALTER TABLE l DROP COLUMN found;
CREATE TABLE l_kin (id int PRIMARY KEY, i2 int8, i4 int2, i8 int4, n numeric(10,3), f8 float4, t varchar, v text, c char(10), x text,
	d timestamp, ts date, k text, ci varchar, o regclass);
INSERT INTO r VALUES (1, 1, 1, 1.0, 0, true, 'one', 'one', 'one', 'one', '1', '00000000-0000-0000-0000-000000000001', '2026-01-01',
	'2026-01-01 00:00', '2026-01-01 00:00Z', 'ok', 'one', 'One', '10.0.0.1/8', '\x01', '{1,NULL}', '(1,)', '[1,2)', 1, '1 day', '{"a": 1}', '1', 'one');
DO $$
DECLARE name text;
BEGIN
	FOR name IN SELECT attname FROM pg_attribute WHERE attrelid = 'r'::regclass AND attnum > 0 AND attname <> 'found' ORDER BY attnum LOOP
		PERFORM cdc.add_lookup('p', 'l', ARRAY[name], 'r', ARRAY[name], jsonb_build_object('by_' || name, 'found'));
	END LOOP;
	FOR name IN SELECT attname FROM pg_attribute WHERE attrelid = 'l_kin'::regclass AND attnum > 1 ORDER BY attnum LOOP
		PERFORM cdc.add_lookup('p', 'l_kin', ARRAY[name], 'r', ARRAY[name], jsonb_build_object('by_' || name, 'found'));
	END LOOP;
END
$$;
INSERT INTO r VALUES (2, 2, 2, 'NaN', 'NaN', false, '', 'two', 'two', 'two', '2', '00000000-0000-0000-0000-000000000002', '2026-01-02',
	'2026-01-02 00:00', '2026-01-02 00:00Z', 'happy', 'two', 'TWO', '::1', '', '{}', '(,)', 'empty', 2, '24 hours 1 second', 'null', '', 'two');
SELECT skip();
-- found by what is equal, not only by what is the same
INSERT INTO l VALUES (1, 1, 1, 1, 1.00, '-0', true, 'one', 'one', 'one  ', 'one', '1', '00000000-0000-0000-0000-000000000001', '2026-01-01',
	'2026-01-01 00:00', '2026-01-01 01:00+01', 'ok', 'one', 'oNE', '10.0.0.1/8', '\x01', '{1,NULL}', '(1,)', '[1,1]', 1, '24 hours', '{"a": 1.0}', '1'),
	(2, 2, 2, 2, 'NaN', 'NaN', false, '', 'two', 'two', 'two', '2', '00000000-0000-0000-0000-000000000002', '2026-01-02',
	'2026-01-02 00:00', '2026-01-02 00:00Z', 'happy', 'two', 'two', '::1', '', '{}', '(,)', 'empty', 2, '1 day 1 second', 'null', ''),
	(3, 3, 3, 3, 1.01, 1, NULL, 'One', 'One', 'One', 'One', 'x', '00000000-0000-0000-0000-000000000003', '2026-01-03',
	'2026-01-03 00:00', '2026-01-01 00:00+01', 'sad', 'One', 'three', '10.0.0.1', '\x0100', '{1}', '(1,"")', '[1,3)', 3, '2 days', '{"a": 2}', '10');
INSERT INTO l VALUES (4);
INSERT INTO l_kin VALUES (1, 1, 1, 1, 1, 0, 'one', 'one', 'one', 'one', '2026-01-01', '2026-01-01', 'one', 'ONE', 1),
	(2, 2, 2, 2, 'NaN', 'NaN', '', 'two', 'two', 'two', '2026-01-02', '2026-01-02', 'two', 'Two', 2),
	(3, 3000000000, 3, 3, 3, 0.1, 'one ', 'one ', ' one', 'one ', '2026-01-01 00:00:01', '2026-01-03', 'one ', 'one ', 3);
INSERT INTO l_kin VALUES (4);
CREATE FUNCTION members(id text) RETURNS TABLE (tab text, found text, members text) LANGUAGE sql AS $$
	SELECT data::json->>'table', coalesce(value, 'nothing'), string_agg(key, ' ' ORDER BY key)
	FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, 'pipeline', 'p'), json_each_text(data::json->'after')
	WHERE key LIKE 'by\_%' AND data::json->'after'->>'id' = id GROUP BY 1, 2 ORDER BY 1, 2
$$;
SELECT * FROM members('1');
SELECT * FROM members('2');
SELECT * FROM members('3');
SELECT * FROM members('4');
CREATE TABLE decoded AS SELECT string_agg(r, E'\n') AS all_of_it FROM after() AS r;
\set ECHO none
SELECT shadows('REINDEX TABLE %s') \gexec
\set ECHO all
SELECT string_agg(r, E'\n') = (SELECT all_of_it FROM decoded) AS same FROM after() AS r;
\set ECHO none
SELECT shadows('VACUUM FULL %s') \gexec
\set ECHO all
SELECT string_agg(r, E'\n') = (SELECT all_of_it FROM decoded) AS same FROM after() AS r;
-- the settings of the session do not matter
SET TimeZone = 'Asia/Tokyo';
SET DateStyle = 'German';
SET bytea_output = escape;
SET extra_float_digits = -10;
SELECT string_agg(r, E'\n') = (SELECT all_of_it FROM decoded) AS same FROM after() AS r;
RESET TimeZone;
RESET DateStyle;
RESET bytea_output;
RESET extra_float_digits;
-- an update of a key to what is equal but not the same
UPDATE r SET t = 'ONE', ci = 'oNe', n = 1.00 WHERE found = 'one';
SELECT skip();
INSERT INTO l (id, t, ci, n) VALUES (5, 'one', 'ONE', 1);
INSERT INTO l (id, t, ci, n) VALUES (6, 'ONE', 'ONE', 1);
SELECT * FROM members('5');
SELECT * FROM members('6');
DROP TABLE decoded, l, l_kin;
DROP TABLE r;

-- Keys of several columns, in another order than the index has them, some of them NULL; the same column of
-- the table for two of the key.
CREATE TABLE r (a int, b text, c int, v text, PRIMARY KEY (b, a), UNIQUE (a, c));
CREATE TABLE l (id int PRIMARY KEY, x int, y text, z int);
INSERT INTO r VALUES (1, 'b', 1, 'one b'), (1, 'c', 2, 'one c'), (2, 'b', NULL, 'two b');
SELECT cdc.add_lookup('p', 'l', '{x,y}', 'r', '{a,b}', '{"ab": "v"}');
SELECT cdc.add_lookup('p', 'l', '{y,x}', 'r', '{b,a}', '{"ba": "v", "ba_c": "c"}');
SELECT cdc.add_lookup('p', 'l', '{x,z}', 'r', '{a,c}', '{"ac": "v"}');
SELECT cdc.add_lookup('p', 'l', '{x,x}', 'r', '{a,c}', '{"aa": "b", "aa_v": "v"}');
SELECT skip();
INSERT INTO l VALUES (1, 1, 'b', 1), (2, 1, 'c', 2), (3, 2, 'b', NULL), (4, NULL, 'b', 1), (5, 1, NULL, NULL), (6, 3, 'b', 3);
SELECT after();
INSERT INTO r VALUES (3, 'b', 3, 'three b');
UPDATE r SET c = 5 WHERE a = 2;
INSERT INTO l VALUES (7, 3, 'b', 3), (8, 2, 'b', 5);
UPDATE r SET c = NULL, b = 'd' WHERE a = 2;
INSERT INTO l VALUES (9, 2, 'b', 5), (10, 2, 'd', 5);
SELECT after() OFFSET 6;
DROP TABLE l, r;

-- Members of all sorts; the key itself; NULLs; a generated one; none is lost of what the table's own columns show.
CREATE TABLE r (id int PRIMARY KEY, j json, b jsonb, a text[], m int[][], p pair, ps pair[], d code, e mood, y bytea, n numeric, big int8,
	f float4, tz timestamptz, iv interval, rg tstzrange, h bool, ip cidr, g int GENERATED ALWAYS AS (id * 2) STORED, q name, o regclass, xm xml);
CREATE TABLE l (id int PRIMARY KEY, r int);
SELECT cdc.add_lookup('p', 'l', '{r}', 'r', '{id}', (SELECT jsonb_object_agg('r_' || attname, attname)
	FROM pg_attribute WHERE attrelid = 'r'::regclass AND attnum > 0));
INSERT INTO r VALUES (1, '{"a" : [1, null]}', '{"b": {"c": 1.50}}', '{x,NULL,"y z"}', '{{1,2},{3,4}}', '(1,"a b")', '{"(1,x)",NULL}', 'c', 'happy',
	'\x00ff', 1.50, 9007199254740993, 0.1, '2026-01-31 12:00Z', '1 day 02:00', '[2026-01-01 00:00Z,)', true, '10.0.0.0/8', DEFAULT, 'name', 'r', '<a/>');
INSERT INTO r VALUES (2);
SELECT skip();
INSERT INTO l VALUES (1, 1), (2, 2), (3, NULL), (4, 4);
SELECT after();
SELECT count(*), bool_and((a.after - 'id' - 'r') = b.after) AS as_the_table_itself
FROM (SELECT data::jsonb->'after' AS after FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, 'pipeline', 'p') WHERE data::jsonb->>'table' = 'l') a
	JOIN (SELECT jsonb_object_agg('r_' || key, value) AS after FROM cdc.preview('p', 'r'), jsonb_each(preview::jsonb->'after') GROUP BY preview::text) b
		ON a.after->'r_id' = b.after->'r_id';
-- labels, and names of types, as of then
ALTER TYPE mood RENAME VALUE 'happy' TO 'glad';
INSERT INTO l VALUES (5, 1);
SELECT data::json->'after'->>'id' AS id, data::json->'after'->>'r_e' AS mood
FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, 'pipeline', 'p') WHERE data::json->'after'->>'r' = '1';
-- an attribute more in a composite
ALTER TYPE pair ADD ATTRIBUTE c int;
INSERT INTO l VALUES (6, 1);
SELECT data::json->'after'->>'id' AS id, data::json->'after'->>'r_p' AS pair
FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, 'pipeline', 'p') WHERE data::json->'after'->>'r' = '1';
DROP TABLE l, r;

-- Long values: out of line in the reference, in pieces in the shadow.
CREATE TABLE r (id int, body text, other text, doc jsonb, list text[], PRIMARY KEY (id));
ALTER TABLE r ALTER body SET STORAGE EXTERNAL;
CREATE TABLE l (id int PRIMARY KEY, r int, body text);
ALTER TABLE l ALTER body SET STORAGE EXTERNAL;
ALTER TABLE l REPLICA IDENTITY FULL;
CREATE FUNCTION long(what text, size int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT left(string_agg(md5(what || i), ''), size) FROM generate_series(1, size / 32 + 1) AS i
$$;
INSERT INTO r VALUES (1, long('a', 3000), 'a'), (2, long('b', 20000), 'b'), (3, repeat('c', 100000), 'c');
SELECT cdc.add_lookup('p', 'l', '{r}', 'r', '{id}', '{"r_body": "body", "r_other": "other"}');
INSERT INTO r VALUES (4, long('d', 7000), 'd'), (5, long('e', 50000), 'e');
SELECT skip();
INSERT INTO l SELECT id, id FROM r ORDER BY id;
UPDATE r SET other = 'new' WHERE id IN (1, 2, 5); -- the long value does not change
UPDATE l SET body = 'x' WHERE id IN (1, 2, 5);
UPDATE r SET body = long('f', 30000) WHERE id = 5;
UPDATE l SET body = 'y' WHERE id = 5;
CREATE FUNCTION sizes() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' ', data::json->>'op', data::json->'after'->>'id', length(data::json->'after'->>'r_body'), left(data::json->'after'->>'r_body', 4),
		'before', left(data::json->'before'->>'r_body', 4), data::json->'after'->>'r_other', 'errors ' || (data::json->>'errors'))
	FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, 'pipeline', 'p') WHERE data::json->>'table' = 'l'
$$;
SELECT sizes();
\set ECHO none
\set ECHO none
SELECT shadows('REINDEX TABLE %s') \gexec
\set ECHO all
\set ECHO all
SELECT sizes();
\set ECHO none
\set ECHO none
SELECT shadows('VACUUM FULL %s') \gexec
\set ECHO all
\set ECHO all
SELECT sizes();
INSERT INTO l SELECT id + 10, id FROM r ORDER BY id;
SELECT sizes() OFFSET 9;
-- several of them in a row, of other types; each of them is as in the table itself
INSERT INTO r SELECT 100, long('g', 9000), long('h', 9000), jsonb_build_object('a', long('i', 20000), 'b', 1), ARRAY[long('j', 12000), NULL, 'x'];
INSERT INTO r SELECT 101, long('k', 2000000), long('l', 8100), 'null', NULL;
INSERT INTO r SELECT 102, long('m', 4000), long('n', 4000), to_jsonb(long('o', 500)), '{}';
SELECT cdc.add_lookup('p', 'l', '{r}', 'r', '{id}', '{"r_id": "id", "r_body": "body", "r_other": "other", "r_doc": "doc", "r_list": "list"}');
INSERT INTO r SELECT id + 100, body, other, doc, list FROM r WHERE id >= 100;
SELECT skip();
INSERT INTO l SELECT id, id FROM r WHERE id >= 100;
UPDATE r SET doc = '[]' WHERE id = 100;
DELETE FROM r WHERE id = 101;
CREATE FUNCTION same() RETURNS TABLE (id int, same bool) LANGUAGE sql AS $$
	SELECT r.id, (data::json->'after'->>'r_body', data::json->'after'->>'r_other', data::jsonb->'after'->'r_doc', nullif(data::jsonb->'after'->'r_list', 'null'))
		IS NOT DISTINCT FROM (r.body, r.other, r.doc, to_jsonb(r.list))
	FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, 'pipeline', 'p') JOIN r ON r.id::text = data::json->'after'->>'r_id'
	WHERE data::json->>'table' = 'l' AND data::json->>'errors' IS NULL ORDER BY 1
$$;
SELECT * FROM same();
DELETE FROM r WHERE id >= 200;
VACUUM r;
\set ECHO none
SELECT shadows('VACUUM %s') \gexec
SELECT shadows('VACUUM FULL %s') \gexec
\set ECHO all
INSERT INTO r SELECT 200, long('g', 9000), long('h', 9000), jsonb_build_object('a', long('i', 20000), 'b', 1), ARRAY[long('j', 12000), NULL, 'x'];
INSERT INTO r SELECT 201, long('k', 2000000), long('l', 8100), 'null', NULL;
SELECT * FROM same(); -- as of the change: 100 had another document
-- what was rolled back leaves no pieces behind; nor does what became short
BEGIN;
UPDATE r SET body = long('p', 50000) WHERE id >= 100;
ROLLBACK;
UPDATE r SET body = 'short', other = 'short', doc = '1', list = '{}' WHERE id = 100;
DELETE FROM r WHERE id >= 200;
SELECT shadow FROM cdc.lookup WHERE released_by IS NULL \gset
SELECT count(*) FILTER (WHERE part = 0) AS rows, count(DISTINCT c1) FILTER (WHERE part > 0) AS long FROM :shadow;
DROP FUNCTION same;
DROP TABLE l, r;

-- A column that is looked up by may be long and unchanged: so is then what is looked up.
CREATE TABLE r (k text PRIMARY KEY, v text);
CREATE TABLE l (id int PRIMARY KEY, k text, n int);
ALTER TABLE l ALTER k SET STORAGE EXTERNAL;
INSERT INTO r VALUES (long('k', 2500), 'value'), ('short', 'short value');
SELECT cdc.add_lookup('p', 'l', '{k}', 'r', '{k}', '{"v": "v"}');
SELECT skip();
INSERT INTO l VALUES (1, long('k', 2500)), (2, 'short');
UPDATE l SET n = 1;
ALTER TABLE l REPLICA IDENTITY FULL;
UPDATE l SET n = 2;
DELETE FROM l;
SELECT replace(r, long('k', 2500), 'long') FROM after() AS r;
DROP TABLE l, r;

SELECT pg_drop_replication_slot('cdc');
SELECT cdc.drop_pipeline('p');
DROP EXTENSION cdc_decoder;
DROP SCHEMA cdc CASCADE;
DROP TYPE mood, pair;
DROP DOMAIN code;
DROP COLLATION ignore_case;
DROP FUNCTION after, shadows, members, long, sizes;
