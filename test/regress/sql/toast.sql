-- Values out of line (TOAST) that an update did not change: listed, or filled in from the old row.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
-- long(n): so many bytes that do not compress, the same each time.
CREATE FUNCTION long(n int, seed text DEFAULT '') RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT substr(string_agg(md5(i || seed), '' ORDER BY i), 1, n)
	FROM generate_series(1, n / 32 + 1) AS i
$$;
-- Records with long values as their length and md5.
CREATE FUNCTION short(record text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE value text[];
BEGIN
	FOR value IN SELECT regexp_matches(record, '"([0-9a-z]{100,})"', 'g') LOOP
		record := replace(record, value[1], format('<%s: %s>', length(value[1]), md5(value[1])));
	END LOOP;
	RETURN record;
END
$$;
CREATE TABLE doc (id int PRIMARY KEY, body text, extra bytea, n int);
ALTER TABLE doc ALTER body SET STORAGE EXTERNAL, ALTER extra SET STORAGE EXTERNAL;
SELECT length(long(5000)), md5(long(5000)), md5(long(6000, 'x'));

-- Not changed, so not logged: listed, and not in after.
INSERT INTO doc VALUES (1, long(5000), '\x01', 1);
UPDATE doc SET n = 2;
UPDATE doc SET body = long(6000, 'x');
UPDATE doc SET extra = convert_to(long(3000), 'UTF8');
UPDATE doc SET n = 3;
UPDATE doc SET id = 2;
UPDATE doc SET body = NULL, n = 4;
UPDATE doc SET body = 'short';
DELETE FROM doc;
SELECT short(r) FROM brief() AS r WHERE r !~ '"extra":"\\\\x[0-9a-f]{100}';

-- What is in the record is the whole value, also in base64.
INSERT INTO doc VALUES (3, NULL, convert_to(long(3000), 'UTF8'), 1);
SELECT decode(data::json->'after'->>'extra', 'base64') = convert_to(long(3000), 'UTF8')
FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, 'binary', 'base64');
SELECT * FROM round_trip('doc');
SELECT skip();

-- The old row has it under FULL: filled in from there.
ALTER TABLE doc REPLICA IDENTITY FULL;
DELETE FROM doc;
INSERT INTO doc VALUES (1, long(5000), '\x01', 1);
UPDATE doc SET n = 2;
UPDATE doc SET body = long(6000, 'x');
UPDATE doc SET body = NULL;
DELETE FROM doc;
SELECT short(r) FROM brief() AS r WHERE r::json->>'op' <> 'delete';

-- Not without an identity.
ALTER TABLE doc REPLICA IDENTITY NOTHING;
INSERT INTO doc VALUES (1, long(5000), '\x01', 1);
UPDATE doc SET n = 2;
SELECT short(r) FROM brief() AS r;

-- Several columns, in the table's order; the same under every storage that goes out of line.
CREATE TABLE many (id int PRIMARY KEY, a text, b text, c jsonb, d text[], e numeric, n int);
ALTER TABLE many ALTER a SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTENDED,
	ALTER c SET STORAGE EXTERNAL, ALTER d SET STORAGE EXTERNAL, ALTER e SET STORAGE EXTERNAL;
INSERT INTO many VALUES (1, long(3000), long(6000), to_jsonb(long(3000)), ARRAY[long(3000)],
	repeat('1234567890', 900)::numeric, 1);
SELECT skip();
UPDATE many SET n = 2;
UPDATE many SET b = 'b', d = '{}', n = 3;
SELECT brief();
TRUNCATE many;
INSERT INTO many VALUES (1, long(3000), long(6000), to_jsonb(long(3000)), ARRAY[long(3000)],
	repeat('1234567890', 900)::numeric, 1);
SELECT * FROM round_trip('many');
SELECT skip();

-- Compressed in line is logged with the row: never listed.
CREATE TABLE packed (id int PRIMARY KEY, body text, n int);
INSERT INTO packed VALUES (1, repeat('a', 20000), 1);
SELECT pg_column_size(body) < 2000 AS compressed FROM packed;
UPDATE packed SET n = 2;
SELECT replace(r, repeat('a', 20000), '<a * 20000>') FROM brief() AS r;

-- Compressed and out of line.
CREATE TABLE squeezed (id int PRIMARY KEY, body text, n int);
ALTER TABLE squeezed ALTER body SET COMPRESSION pglz;
INSERT INTO squeezed SELECT 1, string_agg(repeat(md5(i::text), 3), ''), 1 FROM generate_series(1, 2000) AS i;
SELECT length(body), pg_column_size(body) BETWEEN 3000 AND length(body) - 1 AS compressed FROM squeezed;
SELECT * FROM round_trip('squeezed');
SELECT skip();
UPDATE squeezed SET n = 2;
SELECT brief();

-- In the key, where an index allows it: logged with the old row, and so known.
CREATE TABLE keyed (body text NOT NULL, n int);
ALTER TABLE keyed ALTER body SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX keyed_body ON keyed (body);
ALTER TABLE keyed REPLICA IDENTITY USING INDEX keyed_body;
INSERT INTO keyed VALUES (long(2500), 1);
UPDATE keyed SET n = 2;
UPDATE keyed SET body = long(2500, 'x');
DELETE FROM keyed;
SELECT short(r) FROM brief() AS r;

-- Inside a composite value there is no such thing as unchanged: it is stored flat.
CREATE TYPE pair AS (a text, b int);
CREATE TABLE nested (id int PRIMARY KEY, p pair, ps pair[], n int);
INSERT INTO nested SELECT 1, ROW(body, 1)::pair, ARRAY[ROW(body, 2)::pair], 1 FROM squeezed;
SELECT * FROM round_trip('nested');
SELECT skip();
UPDATE nested SET n = 2;
SELECT brief();
ALTER TABLE nested REPLICA IDENTITY FULL;
UPDATE nested SET n = 3;
SELECT r::json->>'unchanged' AS unchanged, (r::json->'after')::jsonb = to_jsonb(nested) AS whole
FROM brief() AS r, nested;

DROP TABLE doc, many, packed, squeezed, keyed, nested;
DROP TYPE pair;
DROP FUNCTION long, short;
SELECT pg_drop_replication_slot('cdc');
