-- Records that are too long, and values of several MiB.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
-- A record that would be longer than max_record_bytes (here 1 MiB, the least) leaves out its largest columns and names them.
CREATE TABLE o (id int PRIMARY KEY, a text, b text, c bytea, n int);
CREATE FUNCTION shape(VARIADIC options text[] DEFAULT '{}') RETURNS TABLE (op text, seq text, bytes text, members text, key text,
	before text, after text, unchanged text, oversized text) LANGUAGE sql AS $$
	SELECT r->>'op', r->>'seq', CASE WHEN octet_length(data) <= 1048576 THEN 'fits' ELSE 'too long' END,
		(SELECT string_agg(k, ' ') FROM json_object_keys(r) AS k WHERE k NOT IN ('op', 'source', 'schema', 'table', 'commit_lsn', 'seq', 'xid', 'ts')),
		r->>'key', (SELECT string_agg(k, ' ') FROM json_object_keys(r->'before') AS k),
		(SELECT string_agg(k, ' ') FROM json_object_keys(r->'after') AS k), r->>'unchanged', r->>'oversized'
	FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, VARIADIC ARRAY['max_record_bytes', '1048576'] || options) AS d (lsn, xid, data),
		LATERAL (SELECT data::json AS r) AS j
$$;
INSERT INTO o VALUES (1, repeat('a', 100), 'b', '\x00', 1);
INSERT INTO o VALUES (2, repeat('a', 2000000), 'b', '\x00', 2);
INSERT INTO o VALUES (3, repeat('a', 600000), repeat('b', 600001), '\x00', 3);
INSERT INTO o VALUES (4, repeat('a', 600001), repeat('b', 600000), '\x00', 4);
INSERT INTO o VALUES (5, repeat('a', 2000000), repeat('b', 2000000), '\x00', 5);
INSERT INTO o VALUES (6, 'a', 'b', decode(repeat('ff', 600000), 'hex'), 6);
INSERT INTO o VALUES (7, repeat(E'\x01', 200000), 'b', '\x00', 7);
INSERT INTO o VALUES (8, repeat('é', 520000), repeat('"', 10000), '\x00', 8);
INSERT INTO o VALUES (9, repeat('a', 300000), repeat('b', 300000), decode(repeat('00', 230000), 'hex'), 9);
SELECT * FROM shape();
-- the same with base64, which is shorter than hex, and without a limit
SELECT * FROM shape('binary', 'base64') WHERE key = '{"id":6}';
SELECT r::json->'key'->>'id' AS id, octet_length(r) > 1048576 AS long, r::jsonb ? 'oversized' AS oversized FROM peek() AS r;
SELECT skip();

-- At the limit: as many bytes are allowed, and used.
CREATE TABLE l (id int, v text);
INSERT INTO l VALUES (1, '');
SELECT octet_length(r) AS rest FROM peek() AS r \gset
SELECT skip();
INSERT INTO l SELECT 1, repeat('x', 1048576 - :rest + i) FROM generate_series(-9, 9) AS i;
SELECT bool_and(octet_length(data) <= 1048576) AS fit,
	bool_and(CASE WHEN octet_length(data) < 1000 THEN data LIKE '%,"after":{"id":1},"oversized":["v"]}'
		ELSE data LIKE '%,"after":{"id":1,"v":"xxx%xxx"}}' END) AS named,
	count(*) FILTER (WHERE octet_length(data) < 1000) BETWEEN 3 AND 16 AS some,
	max(octet_length(data)) BETWEEN 1048573 AND 1048576 AS used
FROM pg_logical_slot_get_changes('cdc', NULL, NULL, 'max_record_bytes', '1048576');

-- Updates and deletes: a column counts in the old row and in the new.
ALTER TABLE o ALTER a SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL, REPLICA IDENTITY FULL;
TRUNCATE o;
INSERT INTO o VALUES (1, repeat('a', 400000), repeat('b', 300000), '\x00', 1);
SELECT skip();
UPDATE o SET n = 2;
UPDATE o SET a = repeat('A', 700000);
UPDATE o SET id = 2, b = 'b';
UPDATE o SET a = 'a';
UPDATE o SET b = repeat('b', 1100000), id = 3;
DELETE FROM o;
SELECT * FROM shape();
SELECT * FROM shape('delete', 'key') WHERE op = 'delete';
ALTER TABLE o REPLICA IDENTITY DEFAULT;
INSERT INTO o VALUES (1, repeat('a', 400000), repeat('b', 300000), '\x00', 1);
SELECT skip();
UPDATE o SET c = decode(repeat('00', 600000), 'hex');
UPDATE o SET n = 3;
SELECT * FROM shape();
SELECT skip();

-- The key goes last; where it goes, there is no key.  (Index entries are small, but what they say need not be.)
CREATE TABLE kk (k1 text, k2 text, k3 text, v text, PRIMARY KEY (k1, k2, k3));
INSERT INTO kk VALUES (repeat('a', 100000), repeat('b', 90000), 'c', repeat('v', 1100000));
INSERT INTO kk VALUES (repeat(E'\x01', 100000), repeat(E'\x02', 90000), 'c', 'v');
UPDATE kk SET k3 = 'd', v = 'w' WHERE v = 'v';
DELETE FROM kk WHERE v = 'w';
SELECT op, seq, bytes, members, length(key) AS key, before, after, unchanged, oversized FROM shape();
SELECT skip();

-- Messages: their content goes, then their prefix.
SELECT 'lsn' FROM pg_logical_emit_message(true, 'p', repeat('x', 1048000));
SELECT 'lsn' FROM pg_logical_emit_message(true, 'p', repeat('x', 1048576));
SELECT 'lsn' FROM pg_logical_emit_message(true, 'p', decode(repeat('ff', 800000), 'hex'));
SELECT 'lsn' FROM pg_logical_emit_message(true, repeat('p', 1100000), 'x');
SELECT 'lsn' FROM pg_logical_emit_message(false, 'p', repeat('x', 2000000));
CALL flush();
SELECT op, seq, bytes, members, oversized FROM shape();
SELECT skip();

-- In a batch, the records around it are as they would be.
INSERT INTO o VALUES (10, 'a', 'b', '\x00', 1), (11, repeat('a', 2000000), 'b', '\x00', 2), (12, 'a', 'b', '\x00', 3);
SELECT brief('batch_bytes', '65536', 'max_record_bytes', '1048576');

-- Several MiB in one value, whole.
TRUNCATE o;
INSERT INTO o VALUES (1, (SELECT string_agg(md5(i::text), E'\n') FROM generate_series(1, 60000) AS i), repeat('é', 800000),
	decode(repeat('00ff', 600000), 'hex'), 1);
SELECT * FROM round_trip('o');
SELECT octet_length(r) > 5000000, r::json->'after'->>'a' = a, r::json->'after'->>'b' = b, (r::json->'after'->>'c')::bytea = c
FROM peek() AS r, o WHERE r::json->>'op' = 'insert';
SELECT skip();

DROP TABLE o, l, kk;
DROP FUNCTION shape;
SELECT pg_drop_replication_slot('cdc');
