-- Infinite intervals (PostgreSQL 17 and newer).
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
SELECT current_setting('server_version_num')::int < 170000 AS too_old \gset
\if :too_old
SELECT pg_drop_replication_slot('cdc');
\quit
\endif
CREATE TABLE i (a interval, b interval[], c interval(2));
INSERT INTO i VALUES ('infinity', '{infinity,-infinity,NULL,1 day}', 'infinity'), ('-infinity', '{}', '-infinity');
SELECT * FROM round_trip('i');
SELECT r::json->>'after' FROM brief() AS r;
DROP TABLE i;
SELECT pg_drop_replication_slot('cdc');
