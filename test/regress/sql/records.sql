-- Every kind of record, byte by byte.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
CREATE TABLE r (id int PRIMARY KEY, name text, amount numeric(10,2));

-- Every kind of record, every member, in order.
BEGIN;
INSERT INTO r VALUES (1, 'one', 9.50), (2, NULL, NULL);
UPDATE r SET amount = 10 WHERE id = 1;
UPDATE r SET id = 3 WHERE id = 2;
DELETE FROM r WHERE id = 3;
TRUNCATE r;
SELECT 'lsn' FROM pg_logical_emit_message(true, 'prefix', 'content');
COMMIT;
SELECT 'lsn' FROM pg_logical_emit_message(false, 'prefix', 'content');
CALL flush();
SELECT mask(r) FROM peek('transaction_records', 'on') AS r;
SELECT mask(r) FROM peek() AS r;
SELECT mask(r) FROM peek('source', E'the "shop"\n') AS r LIMIT 1;

-- Each is one object, on one line, and valid JSON; the members are those, in that order.
SELECT r::json->>'op' AS op, string_agg(member, ' ' ORDER BY at) AS members
FROM peek('transaction_records', 'on') WITH ORDINALITY AS a (r, n),
	json_object_keys(r::json) WITH ORDINALITY AS m (member, at)
GROUP BY n, r ORDER BY n;
SELECT count(*), bool_and(r !~ E'[\n\r]') FROM peek('transaction_records', 'on') AS r;

-- One transaction has one commit_lsn, xid and ts; the message outside has an LSN of its own.
SELECT count(DISTINCT r::json->>'commit_lsn'), count(DISTINCT r::json->>'xid'),
	count(DISTINCT r::json->>'ts'), count(*)
FROM peek('transaction_records', 'on') AS r;

-- They are those of the slot's own columns: xid is the transaction's, and the last lsn that the
-- function shows (the end of the commit record) lies behind commit_lsn.
SELECT bool_and(xid::text = data::json->>'xid'),
	bool_and(lsn > (data::json->>'commit_lsn')::pg_lsn) FILTER (WHERE data::json->>'op' = 'commit'),
	max((data::json->>'commit_lsn')::pg_lsn) < pg_current_wal_lsn()
FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, 'transaction_records', 'on')
WHERE data::json->>'xid' IS NOT NULL;

-- ts is when it was committed.
SELECT (min(data::json->>'ts')::timestamptz BETWEEN now() - interval '1 hour' AND clock_timestamp())
FROM pg_logical_slot_peek_changes('cdc', NULL, NULL);

-- The same again, byte by byte: decoding is repeatable.
SELECT (SELECT md5(string_agg(r, E'\n')) FROM peek() AS r) =
	(SELECT md5(string_agg(r, E'\n')) FROM peek() AS r);

-- Consumed once, they are gone.
SELECT count(*) FROM records();
SELECT count(*) FROM records();
DROP TABLE r;
SELECT pg_drop_replication_slot('cdc');
