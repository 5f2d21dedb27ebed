-- Text, bytes and JSON: what is escaped and what is not, and back.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
-- Text-like types, and what JSON escapes.
CREATE TABLE texts (a text, b varchar(20), c char(5), d name, e "char");
INSERT INTO texts VALUES
	('', '', '', '', ''),
	('a', 'a', 'a', 'a', 'a'),
	(E'"\\/\b\f\n\r\t', E'"\\/\b\f\n\r\t', E'"\\\n', E'"\\/\b\f\n\r\t', '"'),
	(E'\x01\x02\x03\x1e\x1f\x7f', E'\x01', E'\x1f', E'\x0b', E'\x01'),
	('ä€😀', 'ä€😀', 'ä€😀', 'ä€😀', 'z'),
	(E'\u2028\u2029\ufeff\ufffd', ' a ', ' a ', ' a ', ' '),
	(NULL, NULL, NULL, NULL, NULL),
	('null', 'true', '1', '{}', '\'),
	('</script>', '''', '%s', '$1', '''');
SELECT * FROM round_trip('texts');
SELECT r::json->>'after' FROM brief() AS r;

-- Every character below U+0100 but NUL, and each length around the eight bytes that are escaped at a time.
CREATE TABLE chars (id int, a text);
INSERT INTO chars VALUES
	(0, (SELECT string_agg(chr(i), '' ORDER BY i) FROM generate_series(1, 255) AS i)),
	(0, repeat('a', 0) || '"' || repeat('b', 17)),
	(1, repeat('a', 1) || '"' || repeat('b', 16)),
	(2, repeat('a', 2) || '"' || repeat('b', 15)),
	(3, repeat('a', 3) || '"' || repeat('b', 14)),
	(4, repeat('a', 4) || '"' || repeat('b', 13)),
	(5, repeat('a', 5) || '"' || repeat('b', 12)),
	(6, repeat('a', 6) || '"' || repeat('b', 11)),
	(7, repeat('a', 7) || '"' || repeat('b', 10)),
	(8, repeat('a', 8) || '"' || repeat('b', 9)),
	(9, repeat('a', 9) || '"' || repeat('b', 8)),
	(10, repeat('a', 10) || '"' || repeat('b', 7)),
	(11, repeat('a', 11) || '"' || repeat('b', 6)),
	(12, repeat('a', 12) || '"' || repeat('b', 5)),
	(13, repeat('a', 13) || '"' || repeat('b', 4)),
	(14, repeat('a', 14) || '"' || repeat('b', 3)),
	(15, repeat('a', 15) || '"' || repeat('b', 2)),
	(16, repeat('a', 16) || '"' || repeat('b', 1)),
	(17, repeat('a', 17) || '"' || repeat('b', 0)),
	(107, repeat('x', 7)),
	(108, repeat('x', 8)),
	(109, repeat('x', 9)),
	(115, repeat('x', 15)),
	(116, repeat('x', 16)),
	(117, repeat('x', 17)),
	(200, repeat('ä', 7) || E'\n' || repeat('€', 9));
SELECT * FROM round_trip('chars');
SELECT r::json->>'after' FROM brief() AS r;

-- A "char" beyond ASCII.
CREATE TABLE byte (a "char");
INSERT INTO byte VALUES ((-1)::int4::"char"), ((-128)::int4::"char");
SELECT * FROM round_trip('byte');
SELECT r::json->>'after' FROM brief() AS r;

-- bytea.
CREATE TABLE bytes (a bytea);
INSERT INTO bytes VALUES
	(''),
	('\x00'),
	('\xdeadbeef'),
	('\x00ff0a0d225c'),
	(NULL),
	(decode('0001020304050607', 'hex'));
SELECT * FROM round_trip('bytes');
SELECT r::json->>'after', decode(r::json->'after'->>'a', 'base64') FROM peek('binary', 'base64') AS r;
SELECT r::json->>'after' FROM brief() AS r;

-- json stays as it was written, but on one line.
CREATE TABLE jsons (a json);
INSERT INTO jsons VALUES
	(E'{"b" : 1,\n "a":\r\n\t[1, 2.50, 1e3, null, true, "x\\ny"]}'),
	('{}'), ('[]'), ('"s"'), ('1.10'), ('true'), ('  1  '), (E'\n[\n]\r'),
	('["\u00e4\u20ac\ud83d\ude00\u0001"]'),
	('[0, -0, 1E400, -1.5e-400, 12345678901234567890]'),
	('{"a":1,"a":2}'),
	(NULL);
-- (The operators -> and ->> cut off the spaces around.)
SELECT sent IS NOT DISTINCT FROM btrim(translate(a::text, E'\n\r', '  ')) AS same, sent
FROM (SELECT r::json->'after'->>'a', row_number() OVER () FROM peek() AS r
	WHERE json_typeof(r::json->'after'->'a') <> 'string') AS d (sent, at)
JOIN (SELECT a, row_number() OVER () FROM jsons WHERE json_typeof(a) <> 'string' OR a IS NULL) AS j (a, at)
	USING (at) ORDER BY at;
SELECT r::json->>'after' FROM brief() AS r;
INSERT INTO jsons VALUES ('["\u0000", "\ud800"]');
SELECT brief();

-- jsonb as it is stored, without the spaces that PostgreSQL prints.
CREATE TABLE jsonbs (b jsonb);
INSERT INTO jsonbs VALUES
	('{"b" : 1, "a": [1, 2.50, 1e3, null, true, "x\ny"]}'),
	('{}'), ('[]'), ('"s"'), ('1.10'), ('false'), ('{"a": null}'), ('[null, {}, [], ""]'),
	('{"a":{"b":{"c":[[],{},[{}]]}}}'),
	('["\u00e4\u20ac\ud83d\ude00\u0001\"\\\/\b"]'),
	('[0, -0, 1E40, -1.5e-40, 12345678901234567890, 0.10, -0.0]'),
	('{"":"", " ":" ", "é":"é", "a\"b":1, "a\\b":2, "aa":3, "b":4, "c\nd":5}'),
	(NULL);
SELECT * FROM round_trip('jsonbs');
SELECT r::json->>'after' FROM brief() AS r;

-- What JSON itself cannot tell apart: a jsonb null and an SQL NULL.
INSERT INTO jsonbs VALUES ('null');
INSERT INTO jsons VALUES ('null');
SELECT r::json->>'after' FROM brief() AS r;

-- Deep jsonb, deeper than any array on a stack; and wide.
CREATE TABLE deep (id int, a jsonb);
INSERT INTO deep SELECT 1, (repeat('[', 1000) || repeat(']', 1000))::jsonb;
INSERT INTO deep SELECT 2, (repeat('{"a":', 500) || '1' || repeat('}', 500))::jsonb;
INSERT INTO deep SELECT 3, jsonb_object_agg('key' || i, jsonb_build_array(i, i::text, i / 7.0)) FROM generate_series(1, 5000) AS i;
INSERT INTO deep SELECT 4, jsonb_agg(jsonb_build_object('i', i, 'x', repeat('x', i % 50))) FROM generate_series(1, 3000) AS i;
SELECT * FROM round_trip('deep');
SELECT r::json->'after'->>'id', length(r::json->'after'->>'a'), (r::json->'after'->>'a')::jsonb = a
FROM brief() AS r JOIN deep ON id = (r::json->'after'->>'id')::int;
DROP TABLE texts, chars, byte, bytes, jsons, jsonbs, deep;
SELECT pg_drop_replication_slot('cdc');
