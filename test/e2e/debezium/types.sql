-- Tables with columns of every type, for test/tap/065_debezium.pl.
CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree; CREATE EXTENSION isn;
CREATE TYPE mood AS ENUM ('sad', 'so "so"', 'happy');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN posint AS int CHECK (value > 0);
CREATE DOMAIN price AS numeric(10,2);
CREATE DOMAIN word AS varchar(10);
CREATE DOMAIN further AS word;
CREATE DOMAIN moment AS timestamp(3);
CREATE DOMAIN document AS jsonb;
CREATE DOMAIN numberlist AS int[];
CREATE TYPE frange AS RANGE (subtype = float8);
CREATE TABLE numbers (id int PRIMARY KEY, i2 int2, i4 int4, i8 int8, o oid, f4 float4, f8 float8, n numeric, n102 numeric(10,2), n50 numeric(5,0), n5 numeric(5), nbig numeric(3,8), m money, b bool, di posint, dn price);
CREATE TABLE texts (id int PRIMARY KEY, t text, v varchar(10), v0 varchar, c char(5), c1 char, qc "char", ci citext, lt ltree, x xml, j json, jb jsonb, u uuid, md mood, dt word, ddt further, dj document, isb isbn13, bn bytea);
CREATE TABLE times (id int PRIMARY KEY, d date, t0 time(0), t3 time(3), t4 time(4), t6 time(6), t time, tz timetz, tz0 timetz(0), ts0 timestamp(0), ts2 timestamp(2), ts3 timestamp(3), ts4 timestamp(4), ts6 timestamp(6), ts timestamp,
	tstz timestamptz, tstz0 timestamptz(0), tstz1 timestamptz(1), tstz3 timestamptz(3), tstz5 timestamptz(5), iv interval, ivy interval year to month, iv2 interval(2), dts moment);
CREATE TABLE others (id int PRIMARY KEY, b1 bit, b3 bit(3), b12 bit(12), vb bit varying, vb5 bit varying(5), vb1 varbit(1), ine inet, cid cidr, mac macaddr, mac8 macaddr8, p point, ir int4range, lr int8range, nr numrange, tr tsrange,
	tzr tstzrange, dr daterange, fr frange, im int4multirange, tv tsvector, tq tsquery, lsn pg_lsn, sn pg_snapshot, txs txid_snapshot, hs hstore, pr pair, rc regclass, xd xid, x8 xid8, td tid, jp jsonpath, cd cid, rg regtype);
CREATE TABLE arrays (id int PRIMARY KEY, i2a int2[], i4a int4[], i8a int8[], ta text[], va varchar(5)[], ca char(3)[], na numeric(10,2)[], nva numeric[], f4a float4[], f8a float8[], ba bool[], da date[], tma time[], tm3a time(3)[], tza timetz[],
	tsa timestamp[], ts3a timestamp(3)[], tsza timestamptz[], ua uuid[], ja json[], jba jsonb[], bya bytea[], inea inet[], cida cidr[], maca macaddr[], oa oid[], cia citext[], lta ltree[], hsa hstore[], mda mood[],
	ira int4range[], nra numrange[], tra tsrange[], tzra tstzrange[], dra daterange[], lra int8range[], dia posint[], darr numberlist, tsz3a timestamptz(3)[]);
CREATE TABLE arrays2 (id int PRIMARY KEY, ma money[], nma name[], iva interval[], vba varbit[], xa xml[], pa point[], qca "char"[], tva tsvector[], pra pair[], dta word[], fra frange[], lsna pg_lsn[], mac8a macaddr8[], isba isbn13[]);
CREATE TABLE big (id int PRIMARY KEY, r int, t text, v varchar, vc char(9000), by bytea, x xml, j jsonb, js json, h hstore, ci citext, lt ltree, tsv tsvector, nr numrange, n numeric, vb varbit, ia int[], ba int8[], sa int2[], ta text[],
	va varchar[], ca char(3)[], ja json[], jba jsonb[], u uuid[], d date[], ts timestamp[], z timestamptz[], bya bytea[], na numeric(10,2)[], fa float8[], oa bool[], cia citext[], hsa hstore[], mda mood[], ira int4range[], tva tsvector[]);
-- The same with all of it NOT NULL, which is another matter where a value is not known.
DO $$
DECLARE
	name text;
	col text;
BEGIN
	FOREACH name IN ARRAY ARRAY['numbers', 'texts', 'times', 'others', 'arrays', 'arrays2'] LOOP
		EXECUTE format('CREATE TABLE required_%1$s (LIKE %1$s INCLUDING ALL)', name);
		FOR col IN SELECT attname FROM pg_attribute WHERE attrelid = ('required_' || name)::regclass AND attnum > 0 LOOP
			EXECUTE format('ALTER TABLE required_%s ALTER %I SET NOT NULL', name, col);
		END LOOP;
	END LOOP;
	FOR col IN SELECT attname FROM pg_attribute WHERE attrelid = 'big'::regclass AND attnum > 2 LOOP
		EXECUTE format('ALTER TABLE big ALTER %I SET STORAGE EXTERNAL', col);
	END LOOP;
END $$;
-- What the connector writes in another way than we do, on purpose.
CREATE TABLE differences (id int PRIMARY KEY, negative numeric(5,-2), f4 float4, iv interval, nm name, ov oidvector, nan numeric(10,2)[], bta bit(3)[], i4a int4[], tza timetz(2)[], hs hstore, ls lseg);
CREATE TABLE the_end (id int PRIMARY KEY);
