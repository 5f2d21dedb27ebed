-- framing=frames: each byte of message header and frame, read by SQL.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
-- A reader of frames in SQL, by what cdc_protocol.h says of each byte.
CREATE FUNCTION uint(bytes bytea, at int, size int) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
	SELECT sum(get_byte(bytes, at + i) * 256::numeric ^ (size - 1 - i))::numeric(20,0) FROM generate_series(0, size - 1) AS i
$$;
CREATE FUNCTION to_lsn(n numeric) RETURNS pg_lsn LANGUAGE sql IMMUTABLE AS $$ SELECT '0/0'::pg_lsn + n $$;
CREATE FUNCTION frames(VARIADIC options text[] DEFAULT '{}')
RETURNS TABLE (message int, version int, flags int, timeline numeric, commit_lsn pg_lsn, end_lsn pg_lsn, commit_time numeric, xid numeric,
	kind text, op text, part numeric, seq numeric, relation numeric, payload text, key text, old_key text)
LANGUAGE plpgsql AS $$
DECLARE
	bytes bytea;
	at int;
	len int;
	payload_len int;
BEGIN
	message := 0;
	FOR bytes IN SELECT data FROM pg_logical_slot_peek_binary_changes('cdc', NULL, NULL,
		VARIADIC ARRAY['framing', 'frames'] || options)
	LOOP
		message := message + 1;
		version := get_byte(bytes, 0);
		flags := get_byte(bytes, 1);
		IF uint(bytes, 2, 2) <> 0 OR uint(bytes, 36, 4) <> 0 THEN
			RAISE 'reserved bytes of the message header are not 0';
		END IF;
		timeline := uint(bytes, 4, 4);
		commit_lsn := to_lsn(uint(bytes, 8, 8));
		end_lsn := to_lsn(uint(bytes, 16, 8));
		commit_time := uint(bytes, 24, 8);
		xid := uint(bytes, 32, 4);
		at := 40;
		WHILE at < length(bytes) LOOP
			len := uint(bytes, at, 4);
			IF len < 40 OR at + len > length(bytes) THEN
				RAISE 'frame of % bytes at % of %', len, at, length(bytes);
			END IF;
			kind := chr(get_byte(bytes, at + 4));
			op := chr(nullif(get_byte(bytes, at + 5), 0));
			part := uint(bytes, at + 6, 2);
			seq := uint(bytes, at + 8, 8);
			relation := uint(bytes, at + 16, 4);
			payload_len := uint(bytes, at + 20, 4);
			IF 40 + payload_len > len THEN
				RAISE 'payload of % bytes in a frame of %', payload_len, len;
			END IF;
			IF kind = 'R' THEN
				DECLARE
					p int := at + 40;
				BEGIN
					payload := '';
					FOR i IN 1 .. 3 LOOP
						payload := payload || '[' || convert_from(substring(bytes, p + 3, uint(bytes, p, 2)::int), 'UTF8') || ']';
						p := p + 2 + uint(bytes, p, 2)::int;
					END LOOP;
					IF p <> at + len OR payload_len <> len - 40 THEN
						RAISE 'relation frame of % bytes, % of them used', len, p - at;
					END IF;
				END;
			ELSE
				payload := convert_from(substring(bytes, at + 41, payload_len), 'UTF8');
			END IF;
			key := convert_from(nullif(substring(bytes, at + uint(bytes, at + 24, 4)::int + 1, uint(bytes, at + 28, 4)::int), ''), 'UTF8');
			old_key := convert_from(nullif(substring(bytes, at + uint(bytes, at + 32, 4)::int + 1, uint(bytes, at + 36, 4)::int), ''), 'UTF8');
			RETURN NEXT;
			at := at + len;
		END LOOP;
	END LOOP;
END
$$;

CREATE TABLE f (id int PRIMARY KEY, v text);
CREATE TABLE "f ""é" (v text);
CREATE TABLE g (a int, b int, c int, PRIMARY KEY (a, c));
BEGIN;
INSERT INTO f VALUES (1, 'a'), (2, 'é');
INSERT INTO "f ""é" VALUES ('no key');
INSERT INTO g VALUES (1, 2, 3);
UPDATE f SET v = 'b' WHERE id = 1;
UPDATE f SET id = 3 WHERE id = 2;
UPDATE g SET b = 5;
UPDATE g SET c = 5;
DELETE FROM f;
TRUNCATE f, g;
SELECT 'lsn' FROM pg_logical_emit_message(true, 'p', 'content');
COMMIT;
SELECT 'lsn' FROM pg_logical_emit_message(false, 'p', 'outside');
INSERT INTO f VALUES (4);
SELECT message, kind, op, part, seq, relation, key, old_key, CASE WHEN kind = 'D' THEN '' ELSE payload END AS relation FROM frames();

-- The payload is the record, and the same as the line.
SELECT mask(payload) FROM frames() WHERE kind = 'D' AND op = 'u';
SELECT (SELECT string_agg(payload, E'\n') FROM frames() WHERE kind = 'D') = (SELECT string_agg(r, E'\n') FROM peek() AS r) AS same;
-- the header says what the record says
SELECT bool_and(CASE op WHEN 'i' THEN 'insert' WHEN 'u' THEN 'update' WHEN 'd' THEN 'delete' WHEN 't' THEN 'truncate'
		WHEN 'm' THEN 'message' END = payload::json->>'op') AS op,
	bool_and(commit_lsn = (payload::json->>'commit_lsn')::pg_lsn) AS commit_lsn,
	bool_and(seq = (payload::json->>'seq')::numeric AND part = coalesce((payload::json->>'part')::int, 0)) AS seq,
	bool_and(xid = coalesce((payload::json->>'xid')::numeric, 0)) AS xid,
	bool_and(CASE WHEN payload::jsonb ? 'ts'
		THEN '2000-01-01 00:00+00'::timestamptz + commit_time::bigint * interval '1 us' = (payload::json->>'ts')::timestamptz
		ELSE commit_time = 0 END) AS ts,
	bool_and(key IS NOT DISTINCT FROM payload::json->>'key') AS key,
	bool_and((flags = 1) = (op <> 'm' OR payload::json->>'transactional' = 'true')) AS flags
FROM frames() WHERE kind = 'D';
SELECT DISTINCT version, timeline::text = (SELECT timeline_id::text FROM pg_control_checkpoint()) AS timeline, end_lsn > commit_lsn OR flags = 0 AS ends_later
FROM frames();
-- end_lsn is what may be acknowledged: where the slot's own lsn of the commit is
SELECT bool_and(d.lsn = to_lsn(uint(data, 16, 8))) AS end_lsn FROM pg_logical_slot_peek_binary_changes('cdc', NULL, NULL, 'framing', 'frames') AS d;

-- begin and commit, where asked for: in the payload; a commit frame is there anyway, the last of each transaction.
SELECT message, kind, op, part, seq, mask(payload) FROM frames('transaction_records', 'on') WHERE op IN ('b', 'c');
SELECT skip();

-- Batches: 64 KiB by default, as large as asked for, one transaction at most; the relation is announced once.
INSERT INTO f SELECT i, repeat('v', 1000) FROM generate_series(100, 299) AS i;
SELECT count(DISTINCT message) AS messages, count(*) FILTER (WHERE kind = 'R') AS relations, count(*) FILTER (WHERE kind = 'D') AS records,
	count(*) FILTER (WHERE kind = 'C') AS commits FROM frames();
SELECT count(DISTINCT message) AS messages, count(*) FILTER (WHERE kind = 'R') AS relations, count(*) FILTER (WHERE kind = 'D') AS records,
	count(*) FILTER (WHERE kind = 'C') AS commits FROM frames('batch_bytes', '1000000');
SELECT count(DISTINCT message) AS messages, count(*) FILTER (WHERE kind = 'R') AS relations, count(*) FILTER (WHERE kind = 'D') AS records,
	count(*) FILTER (WHERE kind = 'C') AS commits FROM frames('batch_bytes', '0');
SELECT count(*) FILTER (WHERE length(data) BETWEEN 65536 AND 68000) AS full, count(*) FILTER (WHERE length(data) < 65536) AS rest
FROM pg_logical_slot_peek_binary_changes('cdc', NULL, NULL, 'framing', 'frames');
SELECT skip();

-- A relation is announced again when it has another name, and another gets another number.
INSERT INTO f VALUES (500);
ALTER TABLE f RENAME TO f2;
INSERT INTO f2 VALUES (501);
INSERT INTO g VALUES (1, 1, 1);
CREATE SCHEMA sch;
ALTER TABLE f2 SET SCHEMA sch;
INSERT INTO sch.f2 VALUES (502);
ALTER SCHEMA sch RENAME TO sch2;
INSERT INTO sch2.f2 VALUES (503);
ALTER TABLE g ADD d int;
INSERT INTO g VALUES (2, 2, 2, 2);
SELECT message, kind, seq, relation > 0 AS related, CASE WHEN kind = 'D' THEN '' ELSE payload END AS payload FROM frames();
-- what is said with a number's last announcement is what the record says
SELECT bool_and(r.payload = format('[%s][%s][]', d.payload::json->>'schema', d.payload::json->>'table')) AS right
FROM (SELECT *, row_number() OVER () AS n FROM frames()) AS d,
	LATERAL (SELECT payload FROM (SELECT *, row_number() OVER () AS n FROM frames()) AS r
		WHERE r.kind = 'R' AND r.relation = d.relation AND r.n < d.n ORDER BY r.n DESC LIMIT 1) AS r
WHERE d.kind = 'D';
SELECT skip();

-- Old keys: where a key changed, not where it only was logged; also under FULL.
ALTER TABLE g REPLICA IDENTITY FULL;
UPDATE g SET b = 9 WHERE a = 1;
UPDATE g SET a = 7 WHERE a = 1;
UPDATE g SET d = NULL, c = 8 WHERE a = 2;
ALTER TABLE g DROP CONSTRAINT g_pkey;
UPDATE g SET a = 8;
CREATE TABLE n (id numeric PRIMARY KEY);
INSERT INTO n VALUES (1.0);
UPDATE n SET id = 1.00;
SELECT kind, op, seq, key, old_key FROM frames() WHERE kind = 'D';
SELECT skip();
-- logged as changed, since its bytes are others (compressed, and not), but the same value
CREATE TABLE z (id text PRIMARY KEY);
INSERT INTO z VALUES (repeat('z', 2500));
ALTER TABLE z ALTER id SET STORAGE EXTERNAL;
UPDATE z SET id = repeat('z', 2500);
SELECT kind, op, payload::jsonb ? 'before' AS logged, length(key), old_key FROM frames() WHERE kind = 'D';
SELECT skip();

-- Nothing of a transaction of which nothing is selected: no message at all.
SELECT 'lsn' FROM pg_logical_emit_message(true, 'p', 'x');
SELECT 'lsn' FROM pg_logical_emit_message(false, 'p', 'x');
CALL flush();
SELECT count(*) FROM frames('messages', 'off', 'transaction_records', 'on');
SELECT skip();

-- Oversized records, in frames.
INSERT INTO sch2.f2 VALUES (600, repeat('x', 2000000));
SELECT kind, op, key, octet_length(payload) < 1000 AS short, kind = 'D' AND payload::jsonb ? 'oversized' FROM frames('max_record_bytes', '1048576')
WHERE kind = 'D';
SELECT kind, op, key, octet_length(payload) > 2000000 AS long FROM frames() WHERE kind = 'D';

-- Frames are bytes: the functions for text say so.
\set SHOW_CONTEXT never
SELECT * FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, 'framing', 'frames');
SELECT * FROM pg_logical_slot_get_changes('cdc', NULL, NULL, 'framing', 'frames');
-- lines are text, which the functions for bytes take
SELECT length(data) > 2000000 FROM pg_logical_slot_peek_binary_changes('cdc', NULL, NULL, 'framing', 'lines');

DROP TABLE sch2.f2, "f ""é", g, n, z;
DROP SCHEMA sch2;
DROP FUNCTION frames, to_lsn, uint;
SELECT pg_drop_replication_slot('cdc');
