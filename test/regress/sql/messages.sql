-- Logical messages: transactional and not, text and bytes, by prefix.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
-- Transactional, and not: the latter are there whatever becomes of the transaction.
BEGIN;
SELECT 'lsn' FROM pg_logical_emit_message(true, 'p', 'in');
SELECT 'lsn' FROM pg_logical_emit_message(false, 'p', 'out');
COMMIT;
BEGIN;
SELECT 'lsn' FROM pg_logical_emit_message(true, 'p', 'rolled back');
SELECT 'lsn' FROM pg_logical_emit_message(false, 'p', 'out all the same');
ROLLBACK;
SELECT 'lsn' FROM pg_logical_emit_message(true, 'p', 'a transaction of its own');
SELECT 'lsn' FROM pg_logical_emit_message(false, 'p', 'no transaction');
CALL flush();
SELECT records();

-- A message outside transactions carries no time, and an xid only where one had been assigned.
CREATE TABLE m (id int);
BEGIN;
INSERT INTO m VALUES (1);
SELECT 'lsn' FROM pg_logical_emit_message(false, 'p', 'with xid');
ROLLBACK;
SELECT 'lsn' FROM pg_logical_emit_message(false, 'p', 'without');
CALL flush();
SELECT records('transaction_records', 'on');

-- Its commit_lsn is the end of its own record: what the function that wrote it returned.
SELECT pg_logical_emit_message(false, 'p', 'where') AS lsn \gset
CALL flush();
SELECT (data::json->>'commit_lsn')::pg_lsn = :'lsn', lsn = :'lsn'
FROM pg_logical_slot_get_changes('cdc', NULL, NULL);

-- Text, where it is text; else base64.  Nothing is cut at a NUL.
SELECT 'lsn' FROM pg_logical_emit_message(true, '', '');
SELECT 'lsn' FROM pg_logical_emit_message(true, E'p"\\\n\té', E'q"\\\n\t\x01é😀');
SELECT 'lsn' FROM pg_logical_emit_message(true, 'p', '\x'::bytea);
SELECT 'lsn' FROM pg_logical_emit_message(true, 'p', '\x00'::bytea);
SELECT 'lsn' FROM pg_logical_emit_message(true, 'p', 'abc\000def'::bytea);
SELECT 'lsn' FROM pg_logical_emit_message(true, 'p', 'abc\000'::bytea);
SELECT 'lsn' FROM pg_logical_emit_message(true, 'p', '\xff'::bytea);
SELECT 'lsn' FROM pg_logical_emit_message(true, 'p', '\xc3'::bytea);
SELECT 'lsn' FROM pg_logical_emit_message(true, 'p', '\x61eda08061'::bytea);
SELECT 'lsn' FROM pg_logical_emit_message(true, 'p', '\xc080'::bytea);
SELECT 'lsn' FROM pg_logical_emit_message(true, 'p', convert_to('é€😀', 'UTF8'));
SELECT 'lsn' FROM pg_logical_emit_message(false, 'p', 'abc\000\377'::bytea);
SELECT 'lsn' FROM generate_series(1, 4) AS i, pg_logical_emit_message(true, 'p', decode(repeat('f8', i), 'hex'));
SELECT brief();
CREATE TEMP TABLE long AS
	SELECT decode(string_agg(to_hex(i % 256 + 256), ''), 'hex') AS bytes FROM generate_series(0, 99999) AS i;
SELECT 'lsn' FROM long, pg_logical_emit_message(true, 'p', bytes);
SELECT length(bytes), decode(r::json->>'content_base64', 'base64') = bytes AS same FROM brief() AS r, long;

-- Chosen by prefix: whole, or by how it begins.
CREATE FUNCTION emit(VARIADIC prefixes text[]) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(pg_logical_emit_message(true, p, p)) + count(pg_logical_emit_message(false, p, p)) FROM unnest(prefixes) AS p
$$;
CREATE FUNCTION got(VARIADIC options text[] DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
	SELECT string_agg((r::json->>'seq') || ':' || (r::json->>'prefix'), ' ') FROM peek(VARIADIC options) AS r
$$;
SELECT emit('a', 'ab', 'abc', 'b', 'A', '*', 'a*', '', 'a,b', ' a');
CALL flush();
SELECT got();
SELECT got('message_prefixes', 'a');
SELECT got('message_prefixes', 'a*');
SELECT got('message_prefixes', '*');
SELECT got('message_prefixes', 'a,b');
SELECT got('message_prefixes', ' ab* , b ');
SELECT got('message_prefixes', 'ab,ab');
SELECT got('message_prefixes', 'nothing');
SELECT got('messages', 'off');
SELECT got('messages', 'off', 'message_prefixes', 'a');
SELECT skip();

-- In a savepoint that is rolled back; and in one that is not.
BEGIN;
SELECT 'lsn' FROM pg_logical_emit_message(true, 'p', 'one');
SAVEPOINT a;
SELECT 'lsn' FROM pg_logical_emit_message(true, 'p', 'gone');
ROLLBACK TO a;
SAVEPOINT b;
SELECT 'lsn' FROM pg_logical_emit_message(true, 'p', 'two');
RELEASE b;
INSERT INTO m VALUES (1);
SELECT 'lsn' FROM pg_logical_emit_message(true, 'p', 'three');
COMMIT;
SELECT count(*), string_agg(r::json->>'content', ' ' ORDER BY (r::json->>'seq')::int) FILTER (WHERE r::json->>'op' = 'message')
FROM brief() AS r;

DROP TABLE m;
DROP FUNCTION emit, got;
SELECT pg_drop_replication_slot('cdc');
