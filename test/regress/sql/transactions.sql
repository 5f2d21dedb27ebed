-- Transactions: savepoints, rows changed again, and nothing for what leaves nothing.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
CREATE TABLE t (id int PRIMARY KEY, v text);

-- Savepoints: what is rolled back leaves nothing, also no number.
BEGIN;
INSERT INTO t VALUES (1, 'kept');
SAVEPOINT a;
INSERT INTO t VALUES (2, 'gone');
SAVEPOINT b;
UPDATE t SET v = 'gone too';
ROLLBACK TO b;
INSERT INTO t VALUES (3, 'gone');
ROLLBACK TO a;
INSERT INTO t VALUES (4, 'kept');
SAVEPOINT c;
UPDATE t SET v = 'kept too' WHERE id = 4;
RELEASE c;
SAVEPOINT d;
DELETE FROM t WHERE id = 1;
SAVEPOINT e;
INSERT INTO t VALUES (5, 'kept');
RELEASE e;
RELEASE d;
COMMIT;
SELECT brief('transaction_records', 'on');

-- Exceptions are savepoints, too.
DO $$
BEGIN
	INSERT INTO t VALUES (6, 'kept');
	BEGIN
		INSERT INTO t VALUES (7, 'gone'), (6, 'twice');
	EXCEPTION WHEN unique_violation THEN
		INSERT INTO t VALUES (8, 'instead');
	END;
END
$$;
SELECT brief('transaction_records', 'on');

-- One row changed again and again.
BEGIN;
INSERT INTO t VALUES (9, 'a');
UPDATE t SET v = 'b' WHERE id = 9;
UPDATE t SET id = 10, v = 'c' WHERE id = 9;
DELETE FROM t WHERE id = 10;
INSERT INTO t VALUES (9, 'd') ON CONFLICT (id) DO UPDATE SET v = 'e';
INSERT INTO t VALUES (9, 'f') ON CONFLICT (id) DO UPDATE SET v = excluded.v;
INSERT INTO t VALUES (9, 'g') ON CONFLICT DO NOTHING;
COMMIT;
SELECT brief();

-- Nothing at all, of a transaction in which there was nothing, or nothing that is selected.
BEGIN;
COMMIT;
BEGIN;
INSERT INTO t VALUES (100, 'x');
ROLLBACK;
BEGIN;
SELECT count(*) FROM t;
SELECT id FROM t WHERE id = 1 FOR UPDATE;
COMMIT;
CREATE TABLE other (id int);
DROP TABLE other;
CREATE TEMP TABLE temporary (id int);
INSERT INTO temporary VALUES (1);
ANALYZE t;
VACUUM t;
CREATE INDEX ON t (v);
UPDATE t SET v = 'x' WHERE false;
SELECT 'lsn' FROM pg_logical_emit_message(true, 'p', 'x');
BEGIN;
SAVEPOINT a;
INSERT INTO t VALUES (101, 'x');
ROLLBACK TO a;
COMMIT;
SELECT brief('transaction_records', 'on', 'messages', 'off');

-- Foreign keys, triggers, inheritance, partitions: what was written where it was written.
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int PRIMARY KEY, parent_id int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE part (id int, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (10);
CREATE TABLE part2 (v text, extra int, id int NOT NULL);
ALTER TABLE part2 DROP COLUMN extra;
ALTER TABLE part ATTACH PARTITION part2 FOR VALUES FROM (10) TO (20);
CREATE TABLE base (id int PRIMARY KEY);
CREATE TABLE derived (PRIMARY KEY (id), more int) INHERITS (base);
SELECT skip();
INSERT INTO parent VALUES (1), (2);
INSERT INTO child VALUES (1, 1), (2, 2);
UPDATE parent SET id = 3 WHERE id = 1;
DELETE FROM parent WHERE id = 2;
INSERT INTO part VALUES (1, 'one'), (11, 'eleven');
UPDATE part SET id = 12 WHERE id = 1;
DELETE FROM part WHERE id = 11;
INSERT INTO derived VALUES (1, 2);
UPDATE base SET id = 2;
SELECT brief();

DROP TABLE t, child, parent, part, derived, base;
SELECT pg_drop_replication_slot('cdc');
