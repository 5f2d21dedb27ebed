-- Stored generated columns, by option generated_columns.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
CREATE TABLE g (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED, b text);
INSERT INTO g VALUES (1, 10, DEFAULT, 'b');
UPDATE g SET a = 20;
DELETE FROM g;
ALTER TABLE g REPLICA IDENTITY FULL;
INSERT INTO g VALUES (2, NULL, DEFAULT, 'b');
UPDATE g SET a = 3;
DELETE FROM g;
SELECT peek() = peek('generated_columns', 'all') AS default_is_all LIMIT 1;
SELECT mask(r) = mask(s) AS stored_is_all_here FROM (SELECT string_agg(r, '') FROM peek() AS r) AS a (r),
	(SELECT string_agg(r, '') FROM peek('generated_columns', 'stored') AS r) AS b (s);
SELECT regexp_replace(mask(r), '"source".*"ts":"TS",', '') FROM peek('generated_columns', 'none') AS r;
SELECT brief('generated_columns', 'stored');

-- In the key: without the column there is no key, rather than half of one.
CREATE TABLE gk (id int, a int, k int GENERATED ALWAYS AS (a + 1) STORED, PRIMARY KEY (id, k));
SELECT skip();
INSERT INTO gk VALUES (1, 1);
UPDATE gk SET a = 2;
DELETE FROM gk;
SELECT regexp_replace(mask(r), '"source".*"ts":"TS",', '') FROM peek() AS r;
SELECT brief('generated_columns', 'none');

-- Identity columns and defaults are not generated.
CREATE TABLE gi (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int DEFAULT 5);
INSERT INTO gi DEFAULT VALUES;
SELECT brief('generated_columns', 'none');

-- A stored one that is out of line is a TOAST value like any.
CREATE TABLE gt (id int PRIMARY KEY, n int, a text, b text GENERATED ALWAYS AS (a || '!') STORED);
ALTER TABLE gt ALTER a SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL;
INSERT INTO gt SELECT 1, 1, string_agg(md5(i::text), '') FROM generate_series(1, 100) AS i;
SELECT skip();
UPDATE gt SET n = 2;
SELECT brief();

-- An expression dropped makes it a plain column.
ALTER TABLE g ALTER twice DROP EXPRESSION;
INSERT INTO g VALUES (4, 1, 1);
SELECT brief('generated_columns', 'none');

DROP TABLE g, gk, gi, gt;
SELECT pg_drop_replication_slot('cdc');
