-- format=debezium: values of each type in each mode.  (These are what the connector sent, but for what doc/format-debezium.md
-- lists as differences; test/tap/065_debezium.pl asks it again, and for types of extensions.)
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
SET client_min_messages = warning;
CREATE SCHEMA debezium_types;
SET search_path = debezium_types, public;
CREATE FUNCTION after(VARIADIC options text[] DEFAULT '{}') RETURNS SETOF text LANGUAGE sql AS $$
	SELECT (data::json->'after')::text FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, VARIADIC ARRAY['format', 'debezium'] || options)
$$;
CREATE DOMAIN posint AS int CHECK (value > 0);
CREATE DOMAIN price AS numeric(10,2);
CREATE TYPE mood AS ENUM ('sad', 'so "so"');
CREATE TYPE pair AS (a int, b text);
CREATE TYPE frange AS RANGE (subtype = float8);

CREATE TABLE numbers (i2 int2, i4 int4, i8 int8, o oid, n numeric, n102 numeric(10,2), n5 numeric(5), neg numeric(5,-2), small numeric(3,8), m money, b bool, di posint, dn price);
SELECT skip();
INSERT INTO numbers VALUES
	(-32768, -2147483648, -9223372036854775808, 4294967295, 123.4500, 12345678.90, 99999, 12300, 0.00000123, 1234.56, true, 5, 7.5),
	(32767, 2147483647, 9223372036854775807, 0, 1e30, -0.01, 0, -500, -0.00000999, -0.01, false, 5, -7.25),
	(0, 0, 0, 0, 0.00, 0, 0, 0, 0, 0, false, 1, 0),
	(1, 1, 1, 1, -0.000123000, 100, -128, 25600, 0.00000255, '92233720368547758.07', false, 1, 1),
	(1, 1, 1, 1, 12345678901234567890.123456789, 100, -129, -100, -0.00000256, '-92233720368547758.08', false, 1, 1);
INSERT INTO numbers (n, n102) VALUES ('NaN', 'NaN'), ('Infinity', 1), ('-Infinity', 1), (1000000, 1), (0.5, 1), (-1, 1), (255, 2.55), (256, 2.56), (-256, -2.56), (1e-20, 1.28),
	(1234567890123456789012345678, 1.27), (-1234567890123456789012345678, 1.29), (999999999999999999, 0), (-9223372036854775808, 0), (4294967296, 0), (-1e40, 0);
INSERT INTO numbers (n) VALUES (('1' || repeat('0', 40) || '.' || repeat('0', 40) || '1')::numeric);
SELECT after();
SELECT after('decimal.handling.mode', 'string');
SELECT after('decimal.handling.mode', 'double');
-- A number of any length is the same as in arithmetic that is not ours.
CREATE FUNCTION decoded(base64 text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
	bytes bytea := decode(base64, 'base64');
	n numeric := get_byte(bytes, 0) - CASE WHEN get_byte(bytes, 0) > 127 THEN 256 ELSE 0 END;
BEGIN
	FOR i IN 1 .. length(bytes) - 1 LOOP
		n := n * 256 + get_byte(bytes, i);
	END LOOP;
	RETURN n;
END $$;
CREATE TABLE long (n numeric);
SELECT skip();
SELECT setseed(0.5);
INSERT INTO long SELECT (CASE WHEN i % 2 = 0 THEN '-' ELSE '' END || string_agg(trunc(random() * 1e9)::text, '') || CASE WHEN i % 3 = 0 THEN '.' || i ELSE '' END)::numeric
FROM generate_series(1, 40) AS i, generate_series(1, i) GROUP BY i;
SELECT count(*), count(*) FILTER (WHERE decoded(data::json->'after'->'n'->>'value') / 10::numeric ^ (data::json->'after'->'n'->>'scale')::int =
	(SELECT n FROM long WHERE n = decoded(data::json->'after'->'n'->>'value') / 10::numeric ^ (data::json->'after'->'n'->>'scale')::int)) AS same
FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, 'format', 'debezium');

CREATE TABLE floats (f4 float4, f8 float8);
SELECT skip();
INSERT INTO floats VALUES (1.1, -0.1), ('NaN', 'Infinity'), (0, 0), ('-0', '-0'), (1e20, 1e300), (3.4e38, 1e21), (0.001, 0.0001), (1e7, 1e7), (123456.7, 1234567.8), (9999999, 12345678),
	(1e-5, 1.5e-7), (16777216, 100), ('-Infinity', '-Infinity'), (1e10, 1.7976931348623157e308), (0.3, 9007199254740993), (8.41e21, 0.002), (100, 1234567), (0.00999, 0.00100001);
SELECT after();

CREATE TABLE texts (t text, v varchar(10), c char(5), qc "char", nm name, x xml, j json, jb jsonb, u uuid, md mood, bn bytea, ine inet, mac macaddr, ir int4range, tr tsrange, tzr tstzrange, tv tsvector);
SELECT skip();
INSERT INTO texts VALUES (E'a"b\\c\n\té', 'vé', 'ab', 'q', 'name', '<a x="1">é</a>', '{"a" : 1, "b":[1,2 ]}', '{"b":1,"a":[1.50,null,"é\""], "o": {}, "e": []}', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11',
	'so "so"', '\x00ff10fb', '192.168.1.1/24', '08:00:2b:01:02:03', '[1,5)', '[2026-01-01,2026-02-01)', '[2026-01-01 00:00+00,2026-02-01 00:00+00)', 'a fat cat:2A'),
	('', '', '', '', '', NULL, 'null', 'null', NULL, NULL, '', NULL, NULL, 'empty', 'empty', '(,)', '');
INSERT INTO texts (bn) VALUES ('\x00'), ('\x0001'), ('\xfffeff'), ('\xfffefffe');
SELECT after();
SELECT after->>'bn' FROM after('binary.handling.mode', 'hex') AS a, LATERAL (SELECT a::json) AS r (after);
SELECT after->>'bn' FROM after('binary.handling.mode', 'base64-url-safe') AS a, LATERAL (SELECT a::json) AS r (after);

CREATE TABLE times (d date, t0 time(0), t3 time(3), t time, tz timetz, ts0 timestamp(0), ts3 timestamp(3), ts timestamp, z timestamptz, z0 timestamptz(0), z2 timestamptz(2), iv interval);
SELECT skip();
SET TimeZone = 'Asia/Kolkata';
INSERT INTO times VALUES
	('2026-01-31', '12:34:56', '12:34:56.789', '12:34:56.789012', '12:34:56.789012+02', '2026-01-31 12:34:56', '2026-01-31 12:34:56.789', '2026-01-31 12:34:56.789012',
		'2026-01-31 12:34:56.789012+02', '2026-01-31 12:34:56+02', '2026-01-31 12:34:56.7+02', '1 year 2 mons 3 days 04:05:06.789'),
	('0044-03-15 BC', '00:00:00', '24:00:00', '00:00:00', '24:00:00+00', 'infinity', 'infinity', '-infinity', 'infinity', '-infinity', 'infinity', '-1 year -2 mons +3 days -04:05:06.789'),
	('1969-12-31', '23:59:59', '23:59:59.999', '23:59:59.1', '23:59:59-15:59', '1969-12-31 23:59:59', '1969-12-31 23:59:59.999', '1969-12-31 23:59:59.999999', '1969-12-31 23:59:59.5Z', '1970-01-01Z', NULL, '0');
INSERT INTO times (d, ts, z, iv) VALUES ('infinity', '0044-03-15 BC', '0044-03-15 12:00+00 BC', '178000000 years'), ('-infinity', '0001-01-01', '9999-12-31 23:59:59.999999Z', '-178000000 years'),
	('12026-01-31', '12026-01-31 01:02:03.000004', '12026-01-31 01:02:03.000004Z', '-0.5 seconds'), ('294276-12-31', '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999Z', '-1 day 23:59:59'),
	('4714-11-24 BC', '4714-11-24 BC', '4714-11-24 00:00Z BC', '1 day -00:00:00.000001'), ('1500-03-01', '1500-03-01 10:00', '1500-03-01 10:00Z', '30 days 500 hours'), (NULL, NULL, NULL, '1.000001 seconds');
SELECT after();
SELECT after('time.precision.mode', 'adaptive_time_microseconds');
SELECT after('time.precision.mode', 'connect');
SELECT after('time.precision.mode', 'isostring', 'interval.handling.mode', 'string');
SELECT after('time.precision.mode', 'microseconds');
SELECT after('time.precision.mode', 'nanoseconds');
RESET TimeZone;

CREATE TABLE others (b1 bit, b3 bit(3), b12 bit(12), vb varbit, vb1 varbit(1), p point, l lseg, fr frange, im int4multirange, q tsquery, lsn pg_lsn, pr pair, rc regclass, ov oidvector, iv int2vector);
SELECT skip();
INSERT INTO others VALUES ('1', '101', '000100100011', '1111111100000001', '1', '(1.5,-2)', '[(1,2),(3,4)]', '[1,2)', '{[1,2),[5,7)}', 'fat & cat', '16/B374D848', ROW(1, 'é'), 'pg_class', '1 2', '3 4'),
	('0', '000', '100000000000', '', '', '(NaN,Infinity)', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '', NULL);
INSERT INTO others VALUES (NULL, '001', '000010000000', '100000000', '0', '(1e300,0.1)');
SELECT after();
SELECT after('include.unknown.datatypes', 'on');
SELECT after('include.unknown.datatypes', 'on', 'binary.handling.mode', 'hex');

CREATE TABLE arrays (a int[], t text[], n numeric(10,2)[], v numeric[], d date[], ts timestamp(3)[], z timestamptz[], u uuid[], j jsonb[], b bytea[], m mood[], r int4range[], bt bit(3)[],
	di posint[], mo money[], nm name[], iv interval[], vb varbit[], x xml[], p point[], pr pair[]);
SELECT skip();
INSERT INTO arrays VALUES ('{1,NULL,2}', '{"a","b\"c",NULL}', '{1.50,-2.25,NaN}', '{1.5,200}', '{2026-01-31}', '{2026-01-31 12:34:56.789}', '{2026-01-31 12:34:56+02}', '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}',
	ARRAY['{"a": 1}']::jsonb[], ARRAY['\x00ff']::bytea[], '{sad,"so \"so\""}', '{"[1,2)"}', '{101}', '{1}', '{1}', '{n}', '{1 day}', '{1}', '{<a/>}', ARRAY['(1,2)']::point[], ARRAY[ROW(1,'x')]::pair[]);
INSERT INTO arrays VALUES ('{{1,2},{3,4}}', '{}', NULL);
SELECT after();
SELECT after('include.unknown.datatypes', 'on', 'decimal.handling.mode', 'double', 'time.precision.mode', 'isostring', 'binary.handling.mode', 'hex');

-- What stands in place of values that were not logged: of each type NOT NULL, in a row that was deleted.
CREATE TABLE required (id int PRIMARY KEY, i int8 NOT NULL, f float4 NOT NULL, n numeric NOT NULL, n2 numeric(10,2) NOT NULL, m money NOT NULL, b bool NOT NULL, t text NOT NULL, j jsonb NOT NULL, by bytea NOT NULL,
	d date NOT NULL, tm time NOT NULL, tz timetz NOT NULL, ts timestamp NOT NULL, z timestamptz NOT NULL, iv interval NOT NULL, bt bit NOT NULL, vb varbit NOT NULL, p point NOT NULL, a int[] NOT NULL);
INSERT INTO required VALUES (1, 1, 1, 1, 1, 1, true, 't', '1', '\x00', '2026-01-31', '12:00', '12:00+00', '2026-01-31', '2026-01-31', '1 day', '1', '1', '(1,2)', '{1}');
SELECT skip();
DELETE FROM required;
CREATE FUNCTION before(VARIADIC options text[] DEFAULT '{}') RETURNS SETOF text LANGUAGE sql AS $$
	SELECT (data::json->'before')::text FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, VARIADIC ARRAY['format', 'debezium'] || options)
$$;
SELECT before();
SELECT before('decimal.handling.mode', 'string', 'time.precision.mode', 'isostring', 'interval.handling.mode', 'string');
SELECT before('decimal.handling.mode', 'double');
-- And of each that may be out of line.
CREATE TABLE big (id int PRIMARY KEY, r int, t text, x xml, j jsonb, by bytea, n numeric, v varbit, ia int[], ba int8[], sa int2[], ta text[], ja json[], u uuid[], d date[], ts timestamp[], bya bytea[], na numeric[], l pair);
ALTER TABLE big ALTER t SET STORAGE EXTERNAL, ALTER x SET STORAGE EXTERNAL, ALTER j SET STORAGE EXTERNAL, ALTER by SET STORAGE EXTERNAL, ALTER n SET STORAGE EXTERNAL, ALTER v SET STORAGE EXTERNAL,
	ALTER ia SET STORAGE EXTERNAL, ALTER ba SET STORAGE EXTERNAL, ALTER sa SET STORAGE EXTERNAL, ALTER ta SET STORAGE EXTERNAL, ALTER ja SET STORAGE EXTERNAL, ALTER u SET STORAGE EXTERNAL, ALTER d SET STORAGE EXTERNAL,
	ALTER ts SET STORAGE EXTERNAL, ALTER bya SET STORAGE EXTERNAL, ALTER na SET STORAGE EXTERNAL, ALTER l SET STORAGE EXTERNAL;
INSERT INTO big SELECT 1, 1, repeat('x', 9000), ('<a>' || repeat('x', 9000) || '</a>')::xml, to_jsonb(repeat('x', 9000)), repeat('x', 9000)::bytea, repeat('1234', 9000)::numeric, repeat('10', 40000)::varbit,
	array_fill(1, ARRAY[3000]), array_fill(1::int8, ARRAY[3000]), array_fill(1::int2, ARRAY[6000]), array_fill('x'::text, ARRAY[3000]), array_fill('1'::json, ARRAY[3000]),
	array_fill('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, ARRAY[3000]), array_fill('2026-01-01'::date, ARRAY[3000]), array_fill('2026-01-01'::timestamp, ARRAY[3000]), array_fill('\x00'::bytea, ARRAY[3000]),
	array_fill(1.5::numeric, ARRAY[3000]), ROW(1, repeat('x', 9000))::pair;
SELECT skip();
UPDATE big SET r = 2;
SELECT after();
SELECT after('decimal.handling.mode', 'string', 'time.precision.mode', 'connect', 'binary.handling.mode', 'hex', 'unavailable.value.placeholder', 'né', 'include.unknown.datatypes', 'on');
SELECT pg_drop_replication_slot('cdc');
DROP SCHEMA debezium_types CASCADE;
