-- Types made of types: arrays, composites, domains, enums, ranges, in one another to any depth, and back.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
-- Arrays: dimensions, NULLs, empty; of types of every length and alignment.
CREATE TABLE arrays (a int[], b text[], c numeric[], d bool[], e timestamptz[], f jsonb[], g bytea[], h int2[],
	i float8[], j uuid[], k "char"[], l name[], m interval[], n money[], o int8[]);
INSERT INTO arrays VALUES
	('{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'),
	('{1,NULL,-3}', ARRAY['', NULL, 'NULL', '{}', E'a"\\\n,'], '{1.50,NaN,NULL}', '{t,f,NULL}',
	 '{2026-01-31 00:00+00,NULL,infinity}', ARRAY['{"a":[1]}', NULL, '"x"']::jsonb[], ARRAY['\x00'::bytea, NULL, ''],
	 '{1,2,3}', '{0.1,NaN,-Infinity,NULL}', ARRAY['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11']::uuid[], '{a,b,NULL}', '{a,bb}',
	 '{1 day,NULL,-1 mon}', '{1.5,-2}', '{9223372036854775807,NULL}'),
	('{NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL}',
	 '{NULL}', '{NULL}', '{NULL}', '{NULL}'),
	('{{1,2},{3,4}}', '{{a,NULL},{c,d},{e,f}}', '{{{1},{2}},{{3},{4}}}', '{{t}}', NULL, NULL, NULL, '{{1,NULL,3}}', NULL,
	 NULL, '{{a},{b}}', NULL, NULL, NULL, '{{{{{{1,2}}}}}}');
SELECT * FROM round_trip('arrays');
SELECT r::json->>'after' FROM brief() AS r;

-- Bounds that do not start at 1 are what JSON cannot say: the elements are all there.
INSERT INTO arrays (a, b) VALUES ('[0:2]={1,2,3}', '[-1:0][5:6]={{a,b},{c,d}}');
SELECT r::json->'after'->>'a', r::json->'after'->>'b' FROM brief() AS r;

-- Many NULLs: the bitmap of more than one byte.
CREATE TABLE sparse (a int[], b text[]);
INSERT INTO sparse SELECT array_agg(CASE WHEN i % 3 = 0 THEN i END), array_agg(CASE WHEN i % 7 = 0 THEN repeat('x', i) END)
FROM generate_series(1, 40) AS i;
SELECT * FROM round_trip('sparse');
SELECT skip();

-- Composites, arrays of them, composites of arrays of composites, and so on.
CREATE TYPE inner_row AS (n int, t text, ts timestamptz);
CREATE TYPE middle_row AS (i inner_row, l inner_row[], "quoted "" name" numeric[]);
CREATE TYPE outer_row AS (m middle_row, ms middle_row[], j jsonb);
CREATE TABLE nested (a inner_row, b inner_row[], c middle_row, d outer_row, e outer_row[]);
INSERT INTO nested VALUES
	(NULL, NULL, NULL, NULL, NULL),
	(ROW(NULL, NULL, NULL), '{}', ROW(NULL, '{}', '{}'), ROW(NULL, '{}', NULL), '{}'),
	(ROW(1, E'q"\\', '2026-01-31 00:00+00'), ARRAY[ROW(1, 'a', NULL), NULL, ROW(NULL, '', 'infinity')]::inner_row[],
	 ROW(ROW(1, 'x', NULL), ARRAY[ROW(2, 'y', NULL)]::inner_row[], '{1.0,NULL}'),
	 ROW(ROW(ROW(1, 'x', NULL), NULL, NULL), ARRAY[ROW(NULL, ARRAY[ROW(3, 'z', NULL), NULL]::inner_row[], '{{1.5}}')]::middle_row[],
		'{"a": [null]}'),
	 ARRAY[ROW(NULL, NULL, '[]'), ROW(ROW(ROW(9, '9', NULL), '{}', '{}'), '{}', '"s"')]::outer_row[]);
SELECT * FROM round_trip('nested');
SELECT r::json->>'after' FROM brief() AS r;

-- A table's row type, with a dropped and an added column.
CREATE TABLE part (id int, gone int, name text);
CREATE TABLE whole (id int, p part, ps part[]);
INSERT INTO whole VALUES (1, ROW(1, 2, 'n')::part, ARRAY[ROW(1, 2, 'n')]::part[]);
ALTER TABLE part DROP COLUMN gone;
INSERT INTO whole VALUES (2, ROW(1, 'n')::part, ARRAY[ROW(1, 'n')]::part[]);
ALTER TABLE part ADD COLUMN later numeric(4,1);
INSERT INTO whole VALUES (3, ROW(1, 'n', 2)::part, ARRAY[ROW(1, 'n', 3)]::part[]);
UPDATE whole SET id = 4 WHERE id = 1;
ALTER TABLE part RENAME name TO title;
UPDATE whole SET id = 5 WHERE id = 2;
SELECT r::json->>'after' FROM brief() AS r;

-- Domains over anything are written as what they are over; but an array of arrays, which only a domain makes possible,
-- has text for elements: nested, it would be an array of two dimensions.
CREATE DOMAIN d_int AS int CHECK (VALUE > 0);
CREATE DOMAIN d_d_int AS d_int NOT NULL;
CREATE DOMAIN d_text AS text CHECK (VALUE <> 'bad');
CREATE DOMAIN d_numeric AS numeric(6,2);
CREATE DOMAIN d_array AS int[];
CREATE DOMAIN d_row AS inner_row;
CREATE DOMAIN d_json AS json;
CREATE DOMAIN d_jsonb AS jsonb;
CREATE DOMAIN d_bytea AS bytea;
CREATE DOMAIN d_range AS int4range;
CREATE DOMAIN d_ts AS timestamptz;
CREATE DOMAIN d_rows AS inner_row[];
CREATE TYPE of_domains AS (a d_int, b d_array, c d_row);
CREATE TABLE domains (a d_int, b d_d_int, c d_text, d d_numeric, e d_array, f d_row, g d_jsonb, h d_bytea, i d_range,
	j d_ts, k d_rows, l d_int[], m d_row[], n of_domains, o d_array[]);
INSERT INTO domains VALUES
	(1, 2, 't', 1.5, '{1,NULL}', ROW(1, 'x', NULL), '{"a":1}', '\x01', '[1,2)', '2026-01-31 00:00+00',
	 ARRAY[ROW(1, 'x', NULL)]::inner_row[], '{1,2}', ARRAY[ROW(1, 'y', NULL)]::d_row[],  ROW(1, '{1}', ROW(1, 'z', NULL)),
	 ARRAY['{1,2}', '{3,NULL}', NULL]::d_array[]),
	(NULL, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT * FROM round_trip('domains');
SELECT r::json->>'after' FROM brief() AS r;

ALTER TABLE domains ADD p d_json;
INSERT INTO domains (b, p) VALUES (1, '{"a" : 1}');
SELECT r::json->'after'->>'p' FROM brief() AS r;

-- Enums, and ranges made by users: over anything, also over a composite.
CREATE TYPE mood AS ENUM ('sad', 'ok', 'very "happy"', 'glücklich', '');
CREATE TYPE mood_range AS RANGE (subtype = mood);
CREATE TYPE text_range AS RANGE (subtype = text);
CREATE TYPE row_range AS RANGE (subtype = inner_row);
CREATE TYPE float_range AS RANGE (subtype = float8);
CREATE TABLE enums (a mood, b mood[], c mood_range, d text_range, e row_range, f mood_multirange, g float_range, h int4range[],
	i int4multirange[]);
INSERT INTO enums VALUES
	('sad', '{sad,NULL,""}', '[sad,ok]', text_range('a"b', E'b\\,()'), row_range(ROW(1, 'a,b', '2026-01-31 00:00+00'), NULL), '{[sad,ok)}',
	 '[0.1,0.30000000000000004)', '{"[1,2)",NULL,empty}', ARRAY['{[1,2),[3,4)}', '{}']::int4multirange[]),
	('glücklich', ARRAY['very "happy"']::mood[], 'empty', '(,)', 'empty', '{}', '[-Infinity,NaN]', '{}', '{}'),
	('', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT * FROM round_trip('enums');
SELECT r::json->>'after' FROM brief() AS r;

-- A value added to the enum, one renamed: as it was called then, and no ERROR in between.
ALTER TYPE mood ADD VALUE 'new' BEFORE 'ok';
INSERT INTO enums (a, b) VALUES ('new', '{new}');
ALTER TYPE mood RENAME VALUE 'new' TO 'newer';
INSERT INTO enums (a, b) VALUES ('newer', '{newer}');
SELECT r::json->'after'->>'a', r::json->'after'->>'b' FROM brief() AS r;

-- Composite types that change between the rows: each record has the fields of its time.
CREATE TYPE changing AS (a int, b text);
CREATE TABLE changes (id int PRIMARY KEY, c changing, cs changing[]);
INSERT INTO changes VALUES (1, ROW(1, 'b'), ARRAY[ROW(1, 'b')]::changing[]);
ALTER TYPE changing ADD ATTRIBUTE c numeric;
INSERT INTO changes VALUES (2, ROW(1, 'b', 1.0), ARRAY[ROW(1, 'b', 2)]::changing[]);
ALTER TYPE changing DROP ATTRIBUTE a;
INSERT INTO changes VALUES (3, ROW('b', 1.0), ARRAY[ROW('b', 2)]::changing[]);
ALTER TYPE changing RENAME ATTRIBUTE b TO bee;
INSERT INTO changes VALUES (4, ROW('b', 1.0), ARRAY[ROW('b', 2)]::changing[]);
SELECT r::json->>'after' FROM brief() AS r;

DROP TABLE arrays, sparse, nested, whole, part, domains, enums, changes;
DROP TYPE of_domains;
DROP DOMAIN d_d_int, d_int, d_text, d_numeric, d_array, d_row, d_json, d_jsonb, d_bytea, d_range, d_ts, d_rows;
DROP TYPE mood_range, text_range, row_range, float_range, mood, outer_row, middle_row, inner_row, changing;
SELECT pg_drop_replication_slot('cdc');
