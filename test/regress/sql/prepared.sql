-- Two-phase commit: a prepared transaction is delivered when it is committed.
-- Needs max_prepared_transactions.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
SELECT current_setting('max_prepared_transactions')::int = 0 AS impossible \gset
\if :impossible
SELECT pg_drop_replication_slot('cdc');
\quit
\endif
CREATE TABLE p (id int PRIMARY KEY);
BEGIN;
INSERT INTO p VALUES (1);
SELECT 'lsn' FROM pg_logical_emit_message(true, 'p', 'x');
PREPARE TRANSACTION 'cdc_a';
BEGIN;
INSERT INTO p VALUES (2);
PREPARE TRANSACTION 'cdc_b';
INSERT INTO p VALUES (3);
SELECT brief('transaction_records', 'on');
COMMIT PREPARED 'cdc_a';
ROLLBACK PREPARED 'cdc_b';
SELECT records('transaction_records', 'on');
DROP TABLE p;
SELECT pg_drop_replication_slot('cdc');
