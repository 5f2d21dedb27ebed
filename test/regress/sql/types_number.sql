-- Numbers: limits, scales, special values, and back.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
-- Integers and their limits.
CREATE TABLE ints (a int2, b int4, c int8, d oid);
INSERT INTO ints VALUES
	(-32768, -2147483648, -9223372036854775808, 0),
	(32767, 2147483647, 9223372036854775807, 4294967295),
	(0, 0, 0, 1),
	(-1, -1, -1, 2147483648),
	(NULL, NULL, NULL, NULL),
	(10, 100, 9007199254740993, 99999);
SELECT * FROM round_trip('ints');
SELECT r::json->>'after' FROM peek('bigint', 'string') AS r;
SELECT * FROM round_trip('ints', 'bigint', 'string');
SELECT r::json->>'after' FROM brief() AS r;

-- numeric: exact, with its scale, at the limits of precision and scale.
CREATE TABLE numerics (n numeric);
INSERT INTO numerics VALUES
	('0'),
	('0.0'),
	('0.000'),
	('-0'),
	('1'),
	('1.0'),
	('1.50'),
	('-1.50'),
	('0.1'),
	('0.01'),
	('0.001'),
	('0.0001'),
	('0.00001'),
	('-0.000000000000000000001'),
	('9'),
	('99'),
	('999'),
	('9999'),
	('10000'),
	('100000000'),
	('99999999.99999999'),
	('10000.0001'),
	('100000000000000000000000000'),
	('1e40'),
	('1e-40'),
	('123456789012345678901234567890.123456789012345678901234567890'),
	('NaN'),
	('Infinity'),
	('-Infinity'),
	(NULL),
	(('0.' || repeat('0', 63) || '1')::numeric),
	((repeat('9', 64) || '.' || repeat('9', 63))::numeric);
SELECT * FROM round_trip('numerics');
SELECT r::json->>'after' FROM peek('numeric', 'number') AS r;
SELECT * FROM round_trip('numerics', 'numeric', 'number');
SELECT r::json->>'after' FROM brief() AS r;

-- At the limits of the stored form; only the ends are printed.
CREATE TABLE huge (n numeric);
INSERT INTO huge VALUES
	(repeat('9', 131072)::numeric),
	(('0.' || repeat('0', 16382) || '1')::numeric),
	(('-' || repeat('1', 131072) || '.' || repeat('3', 16383))::numeric),
	('1e131071'),
	('1e-16383');
SELECT * FROM round_trip('huge');
SELECT length(sent), sent = n::text AS same, left(sent, 20), right(sent, 20)
FROM (SELECT r::json->'after'->>'n', row_number() OVER () FROM peek() AS r) AS d (sent, at)
JOIN (SELECT n, row_number() OVER () FROM huge) AS h (n, at) USING (at) ORDER BY at;
SELECT skip();

-- A declared scale, negative and beyond the precision.
CREATE TABLE scaled (a numeric(5,2), b numeric(3,-2), c numeric(3,5), d numeric(1000,0));
INSERT INTO scaled VALUES
	(1, 12345, 0.00123, 1),
	(-999.99, -99900, -0.00999, repeat('9', 1000)::numeric),
	('NaN', 'NaN', 'NaN', 'NaN');
SELECT * FROM round_trip('scaled');
SELECT r::json->>'after' FROM brief() AS r;

-- Floating point: the shortest that reads back the same.
CREATE TABLE floats (a float4, b float8);
INSERT INTO floats VALUES
	(0, 0),
	(1, 1),
	(0.1, 0.1),
	(-1.5, -1.5),
	(16777216, 9007199254740993),
	(3.4028235e38, 1.7976931348623157e308),
	(1.1754944e-38, 2.2250738585072014e-308),
	(1e-45, 4.9406564584124654e-324),
	(1.17549e-38, 1e-310),
	(123456.789, 123456789012345.678),
	(1e15, 1e15),
	(1e16, 1e16),
	(1e6, 1e22),
	(1e-4, 1e-5),
	(0.3::float4, 0.1::float8 + 0.2),
	('NaN', 'NaN'),
	('Infinity', 'Infinity'),
	('-Infinity', '-Infinity'),
	(NULL, NULL);
SELECT * FROM round_trip('floats');
SELECT r::json->>'after' FROM brief() AS r;

-- Truth, money.
CREATE TABLE others (a bool, b money);
INSERT INTO others VALUES
	(true, 1234.5),
	(false, -0.01),
	(NULL, NULL),
	(true, '92233720368547758.07'::money),
	(true, '-92233720368547758.08'::money);
SELECT * FROM round_trip('others');
SELECT r::json->>'after' FROM brief() AS r;

-- Minus zero: in the record, though jsonb has none (json has).
CREATE TABLE minus (a float4, b float8);
INSERT INTO minus VALUES ('-0', '-0');
SELECT r::json->>'after', minus *= json_populate_record(NULL::minus, r::json->'after') AS same FROM peek() AS r, minus;
DROP TABLE ints, numerics, huge, scaled, floats, others, minus;
SELECT pg_drop_replication_slot('cdc');
