-- Row filters of publications: WHERE.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
SET client_min_messages = error;
CREATE TABLE f (id int PRIMARY KEY, n int, t text);
ALTER TABLE f REPLICA IDENTITY FULL;
CREATE TABLE k (id int PRIMARY KEY, t text);
CREATE PUBLICATION f FOR TABLE f WHERE (n > 10);
CREATE PUBLICATION low FOR TABLE f WHERE (n < 5);
CREATE PUBLICATION whole FOR TABLE f;
CREATE PUBLICATION k FOR TABLE k WHERE (id % 2 = 0);
SELECT skip();
RESET client_min_messages;

-- NULL is not true.
INSERT INTO f VALUES (1, 11, 'in'), (2, 10, 'out'), (3, NULL, 'neither');
SELECT brief('publication_names', 'f');

-- An update that crosses the filter is an insert or a delete; one outside of it is nothing.
BEGIN;
UPDATE f SET t = 'still in' WHERE id = 1;
UPDATE f SET t = 'still out' WHERE id = 2;
UPDATE f SET n = 12, t = 'comes in' WHERE id = 2;
UPDATE f SET n = 9, t = 'goes out' WHERE id = 1;
UPDATE f SET n = NULL WHERE id = 2;
UPDATE f SET n = 13 WHERE id = 3;
DELETE FROM f WHERE id = 1;
DELETE FROM f WHERE id = 3;
TRUNCATE f;
COMMIT;
SELECT brief('publication_names', 'f');

-- Without the old row (no key changed) the new one decides; with the old key, both.
INSERT INTO k VALUES (1, 'odd'), (2, 'even');
UPDATE k SET t = 'still ' || t;
UPDATE k SET id = 3, t = 'goes out' WHERE id = 2;
UPDATE k SET id = 4, t = 'comes in' WHERE id = 1;
UPDATE k SET id = 6, t = 'moves' WHERE id = 4;
DELETE FROM k WHERE id = 3;
DELETE FROM k WHERE id = 6;
SELECT brief('publication_names', 'k');

-- Several filters: one of them is enough; none is more than any.
INSERT INTO f VALUES (1, 11, 'f'), (2, 1, 'low'), (3, 7, 'neither');
UPDATE f SET n = 12 WHERE id = 2;
SELECT r::json->>'op' AS op, r::json->'after' AS after FROM peek('publication_names', 'f, low') AS r;
SELECT r::json->>'op' AS op, r::json->'after' AS after FROM peek('publication_names', 'low, whole, f') AS r;
SELECT skip();

-- Filters of publications that publish other operations do not count for this one.
SET client_min_messages = error;
CREATE PUBLICATION f_inserts FOR TABLE f WHERE (n > 10) WITH (publish = 'insert');
CREATE PUBLICATION f_deletes FOR TABLE f WITH (publish = 'delete');
CREATE PUBLICATION f_schema FOR TABLES IN SCHEMA public, TABLE f WHERE (n > 10);
RESET client_min_messages;
SELECT skip();
DELETE FROM f;
INSERT INTO f VALUES (1, 11, 'in'), (2, 10, 'out');
SELECT r::json->>'op' AS op, r::json->>'key' AS key FROM peek('publication_names', 'f_inserts, f_deletes') AS r;
-- In a publication by its schema, too: the filter does not count.
SELECT r::json->>'op' AS op, r::json->>'key' AS key FROM peek('publication_names', 'f_schema') AS r;
SELECT skip();

-- Changed in between, in the midst of a transaction, too.
BEGIN;
INSERT INTO f VALUES (3, 11, 'in'), (4, 1, 'out');
ALTER PUBLICATION f SET TABLE f WHERE (n < 10);
INSERT INTO f VALUES (5, 11, 'out'), (6, 1, 'in');
COMMIT;
ALTER PUBLICATION f SET TABLE f;
INSERT INTO f VALUES (7, 11, 'in'), (8, 1, 'in');
SELECT r::json->>'after' AS after FROM brief('publication_names', 'f') AS r;

-- Functions that need a snapshot; a column that is out of line.
CREATE TABLE toast (id int PRIMARY KEY, n numeric, body text);
ALTER TABLE toast REPLICA IDENTITY FULL, ALTER body SET STORAGE EXTERNAL;
SET client_min_messages = error;
CREATE PUBLICATION toast FOR TABLE toast WHERE (n > round(1.5) AND length(body) > 10 AND lpad(left(body, 1), 2) <> ' x');
RESET client_min_messages;
SELECT skip();
INSERT INTO toast SELECT i, i, repeat(chr(119 + i), 5000) FROM generate_series(1, 3) AS i;
UPDATE toast SET n = n + 1;
SELECT r::json->>'op' AS op, r::json->>'key' AS key, r::json->>'unchanged' AS unchanged,
	length(r::json->'after'->>'body') AS body FROM brief('publication_names', 'toast') AS r;

-- A filter that raises an error stops the stream and says where; on_expression_error=null sends the row.
ALTER PUBLICATION f SET TABLE f WHERE (10 / n > 1);
SELECT skip();
INSERT INTO f VALUES (10, 1, 'in'), (11, 0, 'error'), (12, 100, 'out');
\set SHOW_CONTEXT never
SELECT r::json->>'after' AS after FROM brief('publication_names', 'f') AS r;
SELECT r::json->>'after' AS after FROM peek('publication_names', 'f', 'on_expression_error', 'stop') AS r;
SELECT r::json->>'after' AS after FROM brief('publication_names', 'f', 'on_expression_error', 'null') AS r;
SELECT r::json->>'after' AS after FROM brief('publication_names', 'f', 'on_expression_error', 'skip') AS r;
INSERT INTO f VALUES (13, 2, 'in');
SELECT r::json->>'after' AS after FROM brief('publication_names', 'f') AS r;

DROP PUBLICATION f, low, whole, k, f_inserts, f_deletes, f_schema, toast;
DROP TABLE f, k, toast;
SELECT pg_drop_replication_slot('cdc');
