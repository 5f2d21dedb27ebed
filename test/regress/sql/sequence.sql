-- seq: counted before anything is selected, so that (commit_lsn, seq, part) identifies a record for good.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
-- The number of each change, of those that follow, is the same whatever is selected.
CREATE TABLE s (id int PRIMARY KEY);
CREATE TABLE t (id int PRIMARY KEY);
BEGIN;
SELECT 'lsn' FROM pg_logical_emit_message(true, 'a', '1');
INSERT INTO s VALUES (1), (2);
SELECT 'lsn' FROM pg_logical_emit_message(true, 'b', '2');
SELECT 'lsn' FROM pg_logical_emit_message(false, 'outside', 'counts nowhere');
TRUNCATE s, t;
UPDATE s SET id = 3;
INSERT INTO s VALUES (4);
SELECT 'lsn' FROM pg_logical_emit_message(true, 'a', '3');
COMMIT;
CREATE FUNCTION numbers(VARIADIC options text[]) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(format('%s %s.%s', r::json->>'op', r::json->>'seq', coalesce(r::json->>'part', '0')), ', ')
	FROM peek(VARIADIC options) AS r
$$;
SELECT numbers('transaction_records', 'on');
SELECT numbers('transaction_records', 'off');
SELECT numbers('transaction_records', 'on', 'messages', 'off');
SELECT numbers('transaction_records', 'on', 'message_prefixes', 'b');
SELECT numbers('message_prefixes', 'b', 'delete', 'key', 'bigint', 'string', 'batch_bytes', '0');
SELECT skip();

-- Filtered by origin: changes that were replicated from elsewhere are counted, not told.
SELECT pg_replication_origin_create('cdc_regress') > 0;
BEGIN;
INSERT INTO s VALUES (10);
SELECT pg_replication_origin_session_setup('cdc_regress');
INSERT INTO s VALUES (11), (12);
TRUNCATE t;
SELECT pg_replication_origin_session_reset();
INSERT INTO s VALUES (13);
COMMIT;
SELECT numbers('transaction_records', 'on');
SELECT numbers('transaction_records', 'on', 'origin', 'any');
SELECT numbers('transaction_records', 'on', 'origin', 'none');
SELECT skip();

-- A transaction that is from elsewhere altogether leaves nothing, not even its begin.
SELECT pg_replication_origin_session_setup('cdc_regress');
BEGIN;
SELECT pg_replication_origin_xact_setup('0/1234', '2026-01-31 00:00+00');
INSERT INTO s VALUES (20);
DELETE FROM s WHERE id = 20;
TRUNCATE t;
SELECT 'lsn' FROM pg_logical_emit_message(true, 'a', 'x');
COMMIT;
SELECT 'lsn' FROM pg_logical_emit_message(false, 'a', 'x');
SELECT pg_replication_origin_session_reset();
CALL flush();
SELECT numbers('transaction_records', 'on', 'origin', 'none');
SELECT numbers('transaction_records', 'on');
-- ts is when it was committed here, or there where that was told
SELECT DISTINCT r::json->>'ts' FROM peek() AS r WHERE r::jsonb ? 'ts';
INSERT INTO s VALUES (21);
SELECT numbers('transaction_records', 'on', 'origin', 'none');
SELECT pg_replication_origin_drop('cdc_regress');
SELECT skip();

-- Across transactions: (commit_lsn, seq, part) always rises, and is the same again, through another slot too.
SELECT slot_name FROM pg_copy_logical_replication_slot('cdc', 'cdc_copy', true);
DO $$
BEGIN
	FOR i IN 100 .. 150 LOOP
		INSERT INTO s SELECT i * 1000 + j FROM generate_series(1, i % 7) AS j;
		PERFORM pg_logical_emit_message(i % 2 = 0, 'p', i::text);
		COMMIT;
	END LOOP;
END
$$;
CREATE TEMP TABLE identities AS
	SELECT row_number() OVER () AS n, (r::json->>'commit_lsn')::pg_lsn AS lsn, (r::json->>'seq')::bigint AS seq,
		coalesce((r::json->>'part')::int, 0) AS part, r::text
	FROM peek('transaction_records', 'on') AS r;
SELECT count(*), count(DISTINCT (lsn, seq, part)), max(lsn) > min(lsn),
	bool_and(row(lsn, seq, part) > row(prev_lsn, prev_seq, prev_part)) AS rises
FROM (SELECT *, lag(lsn) OVER w AS prev_lsn, lag(seq) OVER w AS prev_seq, lag(part) OVER w AS prev_part
	FROM identities WINDOW w AS (ORDER BY n)) AS i;
SELECT count(*) FROM identities AS i FULL JOIN (SELECT row_number() OVER () AS n, data AS r
	FROM pg_logical_slot_get_changes('cdc_copy', NULL, NULL, 'transaction_records', 'on')) AS c USING (n, r)
	WHERE i.n IS NULL OR c.n IS NULL;
-- consumed in pieces, nothing is renumbered
SELECT count(*) FROM (SELECT data FROM pg_logical_slot_get_changes('cdc', NULL, 20, 'transaction_records', 'on')) AS a (r)
	WHERE r NOT IN (SELECT r FROM identities);
SELECT count(*) FROM (SELECT data FROM pg_logical_slot_get_changes('cdc', NULL, NULL, 'transaction_records', 'on')) AS a (r)
	WHERE r NOT IN (SELECT r FROM identities);
SELECT pg_drop_replication_slot('cdc_copy');

DROP TABLE s, t;
DROP FUNCTION numbers;
SELECT pg_drop_replication_slot('cdc');
