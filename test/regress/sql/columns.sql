-- Columns dropped, added, renamed, of another type; tables and schemas renamed in between.
-- Each record has the names and types of its time, whenever it is decoded.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
-- Dropped columns leave no trace; added ones are in every record from then on.
CREATE TABLE c (id int PRIMARY KEY, a int, b text);
INSERT INTO c VALUES (1, 1, 'b');
ALTER TABLE c DROP COLUMN a;
UPDATE c SET b = 'b2';
ALTER TABLE c ADD COLUMN d int, ADD COLUMN a text;
UPDATE c SET a = 'a';
SELECT brief();

-- A default that is not stored in rows that are older (attmissingval), of types by value and not.
ALTER TABLE c REPLICA IDENTITY FULL;
ALTER TABLE c ADD COLUMN e int DEFAULT 5, ADD COLUMN f text DEFAULT 'f',
	ADD COLUMN g timestamptz NOT NULL DEFAULT '2026-01-31 12:00:00Z', ADD COLUMN h int[] DEFAULT '{1,2}',
	ADD COLUMN i numeric DEFAULT 1.50;
UPDATE c SET d = 1;
ALTER TABLE c ALTER e SET DEFAULT 6, ALTER f DROP DEFAULT;
UPDATE c SET d = 2;
DELETE FROM c;
INSERT INTO c VALUES (2);
SELECT brief();
ALTER TABLE c REPLICA IDENTITY DEFAULT;

-- Renamed: each record has the names of its time.
INSERT INTO c (id) VALUES (3);
ALTER TABLE c RENAME COLUMN b TO bee;
INSERT INTO c (id) VALUES (4);
ALTER TABLE c RENAME COLUMN id TO number;
INSERT INTO c (number) VALUES (5);
UPDATE c SET number = 6 WHERE number = 5;
SELECT brief();

-- A type that changes: by rewriting the table (which is no change of rows), and without.
ALTER TABLE c DROP COLUMN d, DROP COLUMN a, DROP COLUMN e, DROP COLUMN f, DROP COLUMN g, DROP COLUMN h, DROP COLUMN i;
ALTER TABLE c ADD COLUMN v varchar(10), ADD COLUMN n int;
INSERT INTO c VALUES (7, 'b', 'v', 1);
ALTER TABLE c ALTER v TYPE text, ALTER n TYPE numeric(10,2);
INSERT INTO c VALUES (8, 'b', 'v', 1);
ALTER TABLE c ALTER n TYPE text USING 'n' || n;
INSERT INTO c VALUES (9, 'b', 'v', '1');
SELECT brief();

-- The table, its schema.
CREATE SCHEMA s1;
CREATE TABLE s1.t (id int PRIMARY KEY);
SELECT skip();
INSERT INTO s1.t VALUES (1);
ALTER TABLE s1.t RENAME TO t2;
INSERT INTO s1.t2 VALUES (2);
ALTER SCHEMA s1 RENAME TO s2;
INSERT INTO s2.t2 VALUES (3);
ALTER TABLE s2.t2 SET SCHEMA public;
INSERT INTO t2 VALUES (4);
ALTER TABLE t2 RENAME TO t;
DROP SCHEMA s2;
CREATE SCHEMA s1;
CREATE TABLE s1.t (id int PRIMARY KEY);
INSERT INTO s1.t VALUES (5);
SELECT brief();

-- Another table under the same name.
DROP TABLE s1.t;
CREATE TABLE s1.t (name text PRIMARY KEY);
INSERT INTO s1.t VALUES ('six');
SELECT brief();

-- All of it within one transaction.
BEGIN;
CREATE TABLE x (id int PRIMARY KEY, a int);
INSERT INTO x VALUES (1, 1);
ALTER TABLE x ADD COLUMN b int DEFAULT 7;
INSERT INTO x VALUES (2, 2);
ALTER TABLE x DROP COLUMN a;
UPDATE x SET b = 8 WHERE id = 1;
ALTER TABLE x RENAME TO y;
ALTER TABLE y RENAME COLUMN b TO bee;
INSERT INTO y VALUES (3, 3);
ALTER TABLE y DROP CONSTRAINT x_pkey, REPLICA IDENTITY FULL;
DELETE FROM y WHERE id = 3;
ALTER TABLE y ALTER bee TYPE text;
INSERT INTO y VALUES (4, 'four');
TRUNCATE y;
INSERT INTO y VALUES (5, 'five');
ALTER TABLE y SET SCHEMA s1;
INSERT INTO s1.y VALUES (6, 'six');
CREATE TABLE gone (id int);
INSERT INTO gone VALUES (1);
DROP TABLE gone;
COMMIT;
SELECT brief();

-- Rewrites of the whole table are no changes of rows.
BEGIN;
INSERT INTO t VALUES (10);
ALTER TABLE t ALTER id TYPE bigint;
INSERT INTO t VALUES (11);
CLUSTER t USING t_pkey;
INSERT INTO t VALUES (12);
COMMIT;
VACUUM FULL t;
SELECT brief();

-- No columns at all.
CREATE TABLE empty ();
ALTER TABLE empty REPLICA IDENTITY FULL;
INSERT INTO empty DEFAULT VALUES;
DELETE FROM empty;
SELECT brief();

-- Tables that are not logged are not decoded; those made by a query are tables like any.
CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY);
CREATE TEMP TABLE temporary (id int PRIMARY KEY);
INSERT INTO unlogged VALUES (1);
INSERT INTO temporary VALUES (1);
CREATE TABLE made AS SELECT 1 AS one, NULL::text AS nothing;
SELECT 2 AS two INTO made2;
SELECT brief();

-- Materialized views are no tables: what REFRESH writes could not be followed.  Nor are sequences.
BEGIN;
INSERT INTO t VALUES (20);
CREATE MATERIALIZED VIEW mat AS SELECT 1 AS one;
CREATE UNIQUE INDEX ON mat (one);
REFRESH MATERIALIZED VIEW mat;
REFRESH MATERIALIZED VIEW CONCURRENTLY mat;
CREATE SEQUENCE seq;
SELECT nextval('seq');
INSERT INTO t VALUES (21);
COMMIT;
SELECT r::json->>'table' AS table, r::json->>'after' AS after FROM brief() AS r;
DROP MATERIALIZED VIEW mat;
DROP SEQUENCE seq;

DROP TABLE c, t, s1.t, s1.y, empty, unlogged, temporary, made, made2;
DROP SCHEMA s1;
SELECT pg_drop_replication_slot('cdc');
