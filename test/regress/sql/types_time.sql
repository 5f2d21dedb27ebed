-- Dates and times: ISO 8601, what is before Christ, after 9999 or for ever, and back.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
-- date
CREATE TABLE dates (a date);
INSERT INTO dates VALUES
	('2026-01-31'),
	('2000-01-01'),
	('1999-12-31'),
	('1970-01-01'),
	('2024-02-29'),
	('0001-01-01'),
	('0001-12-31 BC'),
	('0044-03-15 BC'),
	('4713-01-01 BC'),
	('4714-11-24 BC'),
	('9999-12-31'),
	('10000-01-01'),
	('99999-06-07'),
	('5874897-12-31'),
	('infinity'),
	('-infinity'),
	(NULL);
SELECT * FROM round_trip('dates');
SELECT r::json->>'after' FROM brief() AS r;

-- timestamp, timestamptz
CREATE TABLE stamps (a timestamp, b timestamptz);
INSERT INTO stamps VALUES
	('2026-01-31 23:59:59.123456', '2026-01-31 23:59:59.123456+00'),
	('2026-01-31', '2026-01-31 00:00:00+05:30'),
	('2026-01-31 12:00:00.1', '2026-01-31 12:00:00.1-08'),
	('2026-01-31 12:00:00.000001', '2026-01-31 12:00:00.000001+00'),
	('1999-12-31 23:59:59.999999', '1999-12-31 23:59:59.999999+00'),
	('1969-12-31 23:59:59.5', '1969-12-31 23:59:59.5+00'),
	('0001-01-01 BC', '0001-01-01 00:00:00+00 BC'),
	('0044-03-15 12:34:56.5 BC', '0044-03-15 12:34:56.5+00 BC'),
	('4714-11-24 00:00:00 BC', '4714-11-24 00:00:00+00 BC'),
	('10000-01-01', '10000-01-01 00:00:00+00'),
	('294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999+00'),
	('infinity', 'infinity'),
	('-infinity', '-infinity'),
	(NULL, NULL),
	('2024-06-30 23:59:60', '2024-06-30 23:59:60+00'),
	('2026-03-29 02:30:00', '2026-03-29 02:30:00 Europe/Berlin');
SELECT * FROM round_trip('stamps');
SELECT r::json->>'after' FROM brief() AS r;

-- time, timetz, with zones of hours, minutes and seconds
CREATE TABLE times (a time, b timetz);
INSERT INTO times VALUES
	('00:00:00', '00:00:00+00'),
	('23:59:59.999999', '23:59:59.999999+00'),
	('24:00:00', '24:00:00+00'),
	('12:34:56.5', '12:34:56.5+05:30'),
	('00:00:00.000001', '00:00:00.000001-03:30'),
	('01:02:03', '01:02:03+15:59:59'),
	('01:02:03', '01:02:03-15:59:59'),
	('01:02:03', '01:02:03-00:00:01'),
	('01:02:03', '01:02:03+00:01'),
	(NULL, NULL);
SELECT * FROM round_trip('times');
SELECT r::json->>'after' FROM brief() AS r;

-- Declared precisions
CREATE TABLE rounded (a timestamp(0), b timestamptz(3), c time(2), d interval(1), e interval day to hour);
INSERT INTO rounded VALUES
	('2026-01-31 23:59:59.5', '2026-01-31 23:59:59.123456+00', '12:34:56.789', '1.26 seconds', '1 day 2 hours 3 minutes');
SELECT * FROM round_trip('rounded');
SELECT r::json->>'after' FROM brief() AS r;

-- interval: signs mixed, limits
CREATE TABLE intervals (a interval);
INSERT INTO intervals VALUES
	('0'),
	('1 year 2 months 3 days 04:05:06.7'),
	('-1 year -2 months -3 days -04:05:06.7'),
	('1 year -2 days 3 hours'),
	('-1 month 1 day'),
	('1 mon -1 day +00:00:01'),
	('1 day -00:00:00.000001'),
	('100 hours'),
	('-100:00:00.5'),
	('12 months'),
	('13 months'),
	('-13 months 40 days'),
	('178956970 years 7 months'),
	('-178956970 years -8 months'),
	('2147483647 days'),
	('-2147483648 days'),
	('2562047788:00:54.775807'),
	('-2562047788:00:54.775807'),
	('00:00:00.000001'),
	('-00:00:00.000001'),
	('7 days'),
	('1 week 1 second'),
	(NULL);
SELECT * FROM round_trip('intervals');
SELECT r::json->>'after' FROM brief() AS r;

DROP TABLE dates, stamps, times, rounded, intervals;
SELECT pg_drop_replication_slot('cdc');
