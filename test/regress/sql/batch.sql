-- Batches: option batch_bytes with framing=lines.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
-- batch_bytes: several records in one message (one row of the SQL functions), with a newline between them.
CREATE TABLE b (id int PRIMARY KEY, v text);
CREATE FUNCTION batches(VARIADIC options text[]) RETURNS TABLE (n bigint, lines int, bytes int) LANGUAGE sql AS $$
	SELECT row_number() OVER (), length(r) - length(replace(r, E'\n', '')) + 1, octet_length(r) FROM peek(VARIADIC options) AS r
$$;

INSERT INTO b SELECT i, repeat('v', 100) FROM generate_series(1, 10) AS i;
INSERT INTO b VALUES (11, repeat('v', 100));
BEGIN;
INSERT INTO b VALUES (12, repeat('v', 100)), (13, repeat('v', 100));
SELECT 'lsn' FROM pg_logical_emit_message(false, 'p', 'outside');
SELECT 'lsn' FROM pg_logical_emit_message(true, 'p', 'inside');
COMMIT;

-- One by one; all of a transaction together, but never more than one transaction; some at a time.
SELECT n, lines FROM batches('batch_bytes', '0');
SELECT n, lines FROM batches('batch_bytes', '1');
SELECT n, lines FROM batches('batch_bytes', '65536');
SELECT n, lines FROM batches('batch_bytes', '16777216', 'transaction_records', 'on');
SELECT n, lines, bytes >= 700 AS full FROM batches('batch_bytes', '700');

-- However they are gathered, the records are the same.
SELECT bool_and((SELECT string_agg(r, E'\n') FROM peek() AS r)
	= (SELECT string_agg(r, E'\n') FROM peek('batch_bytes', size::text) AS r)) AS same
FROM unnest(ARRAY[0, 1, 100, 200, 201, 202, 300, 700, 1000, 5000, 65536]) AS size;
SELECT skip();

-- A record larger than a batch is a batch.
INSERT INTO b VALUES (20, 'short'), (21, repeat('long', 1000)), (22, 'short');
SELECT n, lines, bytes > 4000 AS long FROM batches('batch_bytes', '1000');
SELECT skip();

-- Newlines in values do not end a line.
INSERT INTO b VALUES (30, E'a\nb\r\nc'), (31, E'\n');
SELECT brief('batch_bytes', '65536');

-- upto_nchanges counts messages, at the ends of transactions.
INSERT INTO b VALUES (40);
INSERT INTO b VALUES (41), (42);
INSERT INTO b VALUES (43);
SELECT count(*) FROM pg_logical_slot_peek_changes('cdc', NULL, 2);
SELECT count(*) FROM pg_logical_slot_peek_changes('cdc', NULL, 2, 'batch_bytes', '65536');
-- and where the records go, the slot goes
SELECT data::json->'after'->>'id' FROM pg_logical_slot_get_changes('cdc', NULL, 1, 'batch_bytes', '65536');
SELECT replace(r, E'\n', ' / ') FROM brief('batch_bytes', '65536') AS r;

DROP TABLE b;
DROP FUNCTION batches;
SELECT pg_drop_replication_slot('cdc');
