-- Types that are strings in JSON: each as its output function prints it under fixed settings, and back.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
-- uuid
CREATE TABLE uuids (a uuid);
INSERT INTO uuids VALUES
	('00000000-0000-0000-0000-000000000000'),
	('ffffffff-ffff-ffff-ffff-ffffffffffff'),
	('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'),
	(NULL);
SELECT * FROM round_trip('uuids');
SELECT r::json->>'after' FROM brief() AS r;

-- Networks
CREATE TABLE nets (a inet, b cidr, c macaddr, d macaddr8);
INSERT INTO nets VALUES
	('192.168.0.1', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05'),
	('192.168.0.1/24', '::/0', 'ff:ff:ff:ff:ff:ff', 'ff:ff:ff:ff:ff:ff:ff:ff'),
	('::1', '2001:db8::/32', '00:00:00:00:00:00', '00:00:00:00:00:00:00:00'),
	('::ffff:1.2.3.4', '1.2.3.4/32', NULL, NULL);
SELECT * FROM round_trip('nets');
SELECT r::json->>'after' FROM brief() AS r;

-- Bits
CREATE TABLE bits (a bit, b bit(8), c varbit);
INSERT INTO bits VALUES
	('1', '10101010', ''),
	('0', '00000000', '1'),
	(NULL, NULL, repeat('10', 40)::varbit);
SELECT * FROM round_trip('bits');
SELECT r::json->>'after' FROM brief() AS r;

-- Geometry
CREATE TABLE shapes (a point, b line, c lseg, d box, e path, f polygon, g circle);
INSERT INTO shapes VALUES
	('(1,2)', '{1,-1,0}', '[(0,0),(1,1)]', '(1,1),(0,0)', '[(0,0),(1,1),(2,0)]', '((0,0),(1,1),(2,0))', '<(0,0),1.5>'),
	('(0.1,-1e300)', '{0.1,0.2,0.3}', '[(0.1,0.2),(0.3,1e-300)]', '(0.3,0.3),(0.1,0.1)', '((0.1,0.2),(0.3,0.4))', '((0.1,0.2))', '<(0.1,0.2),0.3>'),
	('(Infinity,NaN)', NULL, NULL, NULL, NULL, NULL, NULL);
SELECT * FROM round_trip('shapes');
SELECT r::json->>'after' FROM brief() AS r;

-- Text search
CREATE TABLE words (a tsvector, b tsquery);
INSERT INTO words VALUES
	('a fat cat sat', 'fat & (rat | cat)'),
	('a:1A b:2,3B ''x y'':4', '!a <-> b:*A'),
	('', NULL),
	('''it''''s'' "q"', '''it''''s''');
SELECT * FROM round_trip('words');
SELECT r::json->>'after' FROM brief() AS r;

-- XML
CREATE TABLE xmls (a xml);
INSERT INTO xmls VALUES
	('<a/>'),
	('<a b="1">ä &amp; 
</a>'),
	(NULL),
	('text <b/> more');
SELECT * FROM round_trip('xmls');
SELECT r::json->>'after' FROM brief() AS r;

-- Ranges and multiranges
CREATE TABLE ranges (a int4range, b numrange, c tsrange, d tstzrange, e daterange, f int8range);
INSERT INTO ranges VALUES
	('[1,5)', '(1.50,2.0]', '[2026-01-01 00:00,2026-02-01 12:30:00.5)', '[2026-01-01 00:00+00,infinity)', '[2026-01-01,2026-01-31]', '(,10)'),
	('empty', 'empty', 'empty', 'empty', 'empty', 'empty'),
	('(,)', '(,)', '(,)', '(,)', '(,)', '[-9223372036854775808,9223372036854775807)'),
	('[1,]', '[NaN,NaN]', '[0044-03-15 BC,10000-01-01]', '[0044-03-15 00:00+00 BC,10000-01-01 00:00+00]', '[-infinity,infinity]', NULL);
SELECT * FROM round_trip('ranges');
SELECT r::json->>'after' FROM brief() AS r;

CREATE TABLE multis (a int4multirange, b nummultirange, c tsmultirange, d tstzmultirange, e datemultirange, f int8multirange);
INSERT INTO multis VALUES
	('{}', '{}', '{}', '{}', '{}', '{}'),
	('{[1,3),[5,9)}', '{[1.5,2.50)}', '{[2026-01-01,2026-01-02)}', '{[2026-01-01 00:00+00,2026-01-02 00:00+00)}', '{[2026-01-01,2026-02-01),[2027-01-01,)}', '{(,)}');
SELECT * FROM round_trip('multis');
SELECT r::json->>'after' FROM brief() AS r;

-- Names of objects: as printed under an empty search_path
CREATE TABLE objects (a regclass, b regtype, c regproc, d regprocedure, e regoper, f regoperator, g regnamespace, h regrole, i regconfig, j regdictionary, k regcollation);
INSERT INTO objects VALUES
	('pg_class', 'int4', 'now', 'sum(int4)', '|/', '+(int4,int4)', 'pg_catalog', 'pg_monitor', 'english', 'simple', '"C"'),
	('objects', 'objects', 'skip', 'mask(text)', NULL, NULL, 'public', NULL, NULL, NULL, NULL),
	(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
SELECT * FROM round_trip('objects');
SELECT r::json->>'after' FROM brief() AS r;

-- Positions and identifiers of the server
CREATE TABLE ids (a pg_lsn, b tid, c xid, d cid, e xid8, f pg_snapshot);
INSERT INTO ids VALUES
	('0/10000000', '(0,0)', '0', '0', '0', '10:20:10,14,15'),
	('FFFFFFFF/FFFFFFFF', '(4294967295,65535)', '4294967295', '4294967295', '18446744073709551615', '1:1:'),
	('16/B374D848', NULL, NULL, NULL, NULL, NULL);
SELECT * FROM round_trip('ids');
SELECT r::json->>'after' FROM brief() AS r;

-- Vectors are arrays that start at 0, as JSON's do not: text brings them back.
CREATE TABLE vectors (a oidvector, b int2vector, c oidvector[]);
INSERT INTO vectors VALUES
	('', '', '{}'),
	('0 1 4294967295', '-32768 0 32767', '{0 1,2 3}'),
	('23', NULL, NULL);
SELECT * FROM round_trip('vectors');
SELECT r::json->>'after' FROM brief() AS r;

-- jsonpath, and what else is printed
CREATE TABLE paths (a jsonpath, b aclitem);
INSERT INTO paths VALUES
	('$.a[*] ? (@ > 1 && @.b == "x")', 'pg_monitor=r*w/pg_monitor'),
	('strict $', NULL);
SELECT * FROM round_trip('paths');
SELECT r::json->>'after' FROM brief() AS r;

DROP TABLE uuids, nets, bits, shapes, words, xmls, ranges, multis, objects, ids, vectors, paths;
SELECT pg_drop_replication_slot('cdc');
