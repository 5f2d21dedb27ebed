-- Several changes of one WAL record: COPY, multi-row INSERT, TRUNCATE of several tables.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
-- The rows of one COPY or of one INSERT may share an LSN in the WAL: seq tells them apart.
CREATE TABLE c (id int PRIMARY KEY, v text);
COPY c FROM stdin;
1	a
2	\N
3	c\td
4	\\.
\.
INSERT INTO c SELECT i, 'x' FROM generate_series(10, 13) AS i;
SELECT brief('transaction_records', 'on');
SELECT skip();
COPY c FROM PROGRAM 'seq -f "%.0f	y" 1000 4999';
SELECT count(*), count(DISTINCT lsn) < count(*) AS shared, count(DISTINCT data::json->>'seq'), min((data::json->>'seq')::int),
	max((data::json->>'seq')::int), bool_and((data::json->'key'->>'id')::int = (data::json->>'seq')::int + 999) AS in_order
FROM pg_logical_slot_peek_changes('cdc', NULL, NULL);
SELECT skip();

-- TRUNCATE: a record for each table, also for those that CASCADE reaches, in the order of the command.
CREATE TABLE a (id int PRIMARY KEY);
CREATE TABLE b (id int PRIMARY KEY, a_id int REFERENCES a);
CREATE SCHEMA sch;
CREATE TABLE sch.d (id serial PRIMARY KEY);
CREATE TABLE part (id int) PARTITION BY LIST (id);
CREATE TABLE part1 PARTITION OF part FOR VALUES IN (1);
CREATE TABLE part2 PARTITION OF part FOR VALUES IN (2);
CREATE UNLOGGED TABLE unlogged (id int);
SELECT skip();
TRUNCATE c, sch.d;
TRUNCATE sch.d, c RESTART IDENTITY;
TRUNCATE a CASCADE;
TRUNCATE part;
TRUNCATE unlogged, c;
TRUNCATE unlogged;
BEGIN;
INSERT INTO c VALUES (1);
TRUNCATE c;
TRUNCATE c;
INSERT INTO c VALUES (2);
SAVEPOINT s;
TRUNCATE c;
ROLLBACK TO s;
INSERT INTO c VALUES (3);
COMMIT;
SELECT brief();

DROP TABLE a, b, c, sch.d, part, unlogged;
DROP SCHEMA sch;
SELECT pg_drop_replication_slot('cdc');
