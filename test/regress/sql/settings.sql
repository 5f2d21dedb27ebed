-- The session's settings: the bytes depend on none of them, and decoding leaves all as they were.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
CREATE SCHEMA elsewhere;
CREATE TYPE elsewhere.stamped AS (at timestamptz, for_how_long interval);
CREATE TYPE elsewhere.stamped_range AS RANGE (subtype = elsewhere.stamped);
CREATE TYPE elsewhere.float_range AS RANGE (subtype = float8);
CREATE FUNCTION elsewhere.f(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE TABLE elsewhere.s (id int PRIMARY KEY, a date, b timestamp, c timestamptz, d time, e timetz, f interval, g float4, h float8,
	i bytea, j money, k regclass, l regproc, m regtype, n tsrange, o tstzrange, p daterange, q elsewhere.stamped,
	r elsewhere.stamped[], s elsewhere.stamped_range, t elsewhere.float_range, u point, v box, w numeric, x json, y xml,
	z regprocedure, aa regoper, ab tsmultirange, ac money[], ad circle, ae regclass[], af regrole, ag regnamespace);
CREATE ROLE "Odd role";
INSERT INTO elsewhere.s VALUES (1, '2026-02-03', '2026-02-03 04:05:06.7', '2026-02-03 04:05:06.7+00', '04:05:06.7', '04:05:06.7-08',
	'1 year -2 months 3 days 04:05:06.7', 0.1, 0.1::float8 + 0.2, '\x00ff', 1234567.89, 'elsewhere.s', 'elsewhere.f', 'elsewhere.stamped',
	'[2026-02-03 04:05:06,)', '[2026-02-03 04:05:06+00,)', '[2026-02-03,)', ROW('2026-02-03 04:05:06+00', '1 day'),
	ARRAY[ROW('2026-02-03 04:05:06+00', '-1 day')]::elsewhere.stamped[],
	elsewhere.stamped_range(ROW('2026-02-03 04:05:06+00', '1 day -1 hour')::elsewhere.stamped, NULL),
	elsewhere.float_range(0.1, 0.1::float8 + 0.2), point(0.1, 0.1::float8 + 0.2), '(0.1,0.2),(0.3,0.4)', 1.50, '{"a":1}', '<a/>',
	'elsewhere.f(int)', '|/', '{[2026-02-03 04:05:06,)}', '{1234.5}', '<(0.1,0.2),0.30000000000000004>', '{pg_class,elsewhere.s}',
	'"Odd role"', 'elsewhere');
UPDATE elsewhere.s SET id = 2;
DELETE FROM elsewhere.s;
CREATE TEMP TABLE by_default AS SELECT string_agg(r, E'\n') AS r FROM peek() AS r;
SELECT r::json->>'after' FROM peek() AS r LIMIT 1;

-- Other settings, the same bytes; and the settings are afterwards what they were.
CREATE FUNCTION settings() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT name || ' = ' || setting FROM pg_settings WHERE name IN ('DateStyle', 'IntervalStyle', 'TimeZone', 'extra_float_digits',
		'bytea_output', 'search_path', 'quote_all_identifiers', 'xmlbinary', 'xmloption') ORDER BY name COLLATE "C"
$$;
SET datestyle = 'SQL, DMY';
SET intervalstyle = 'sql_standard';
SET timezone = 'Asia/Kolkata';
SET extra_float_digits = -15;
SET bytea_output = 'escape';
SET lc_monetary = 'C';
SET search_path = elsewhere, public;
SELECT settings();
SELECT (SELECT string_agg(r, E'\n') FROM peek() AS r) = r AS same FROM by_default;
SELECT settings();

SET datestyle = 'German';
SET intervalstyle = 'postgres_verbose';
SET timezone = '<-0330>+3:30';
SET extra_float_digits = 3;
SET lc_monetary = 'POSIX';
SET search_path = pg_temp, public, elsewhere, pg_catalog;
SET xmlbinary = 'hex';
SET xmloption = 'document';
SET quote_all_identifiers = on;
SELECT settings();
SELECT (SELECT string_agg(r, E'\n') FROM peek() AS r) = r AS same FROM by_default;
SELECT settings();

SET datestyle = 'Postgres, MDY';
SET intervalstyle = 'iso_8601';
SET timezone = 'America/St_Johns';
SET extra_float_digits = 0;
SET bytea_output = 'hex';
SET search_path = '';
RESET quote_all_identifiers;
SELECT (SELECT pg_catalog.string_agg(r, E'\n') FROM public.peek() AS r) = r AS same FROM by_default;
SELECT public.settings();
RESET ALL;

-- Set for a transaction, or within a savepoint, they are no less kept.
BEGIN;
SET LOCAL datestyle = 'SQL, DMY';
SET LOCAL timezone = 'Asia/Kolkata';
SAVEPOINT s;
SET LOCAL timezone = 'Asia/Kathmandu';
SELECT (SELECT string_agg(r, E'\n') FROM peek() AS r) = r AS same FROM by_default;
SHOW datestyle;
SHOW timezone;
ROLLBACK TO s;
SHOW timezone;
COMMIT;
SELECT current_setting('datestyle') = reset_val AS kept FROM pg_settings WHERE name = 'DateStyle';

-- Also after an ERROR, here of a type that cannot be printed.
CREATE TYPE unprintable;
SET client_min_messages = error;
CREATE FUNCTION unprintable_in(cstring) RETURNS unprintable LANGUAGE internal IMMUTABLE STRICT AS 'oidin';
CREATE FUNCTION unprintable_out(unprintable) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'enum_out';
RESET client_min_messages;
CREATE TYPE unprintable (INPUT = unprintable_in, OUTPUT = unprintable_out, INTERNALLENGTH = 4, PASSEDBYVALUE, ALIGNMENT = int4);
CREATE TABLE bad (id int, r tstzrange, u unprintable);
SELECT skip();
INSERT INTO bad VALUES (1, '[2026-02-03 04:05:06+00,)', NULL), (2, '[2026-02-03 04:05:06+00,)', '1');
SET datestyle = 'SQL, DMY';
SET intervalstyle = 'sql_standard';
SET timezone = 'Asia/Kolkata';
SET extra_float_digits = -15;
SET bytea_output = 'escape';
SET search_path = elsewhere, public;
\set SHOW_CONTEXT never
SELECT brief();
SELECT settings();
BEGIN;
SAVEPOINT s;
SELECT brief();
ROLLBACK TO s;
SELECT count(*) FROM settings();
SHOW timezone;
COMMIT;
DO $$
BEGIN
	PERFORM brief();
EXCEPTION WHEN OTHERS THEN
	RAISE NOTICE '%: DateStyle %, TimeZone %', SQLERRM, current_setting('datestyle'), current_setting('timezone');
END
$$;
SELECT settings();
RESET ALL;

-- The session goes on decoding as before, and what the failed calls took is given back.
SELECT count(*) FROM pg_backend_memory_contexts WHERE name LIKE 'cdc\_decoder%';
SELECT skip();
INSERT INTO bad VALUES (3, '[2026-02-03 04:05:06+00,)', NULL);
SELECT brief();

DROP TABLE bad, elsewhere.s;
SET client_min_messages = warning;
DROP TYPE unprintable CASCADE;
DROP SCHEMA elsewhere CASCADE;
DROP ROLE "Odd role";
DROP FUNCTION settings;
SELECT pg_drop_replication_slot('cdc');
