-- Generated columns of published tables: by option generated_columns, on every version.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
SET client_min_messages = error;
CREATE TABLE g (id int PRIMARY KEY, a int, secret int, twice int GENERATED ALWAYS AS (secret * 2) STORED);
CREATE PUBLICATION g FOR TABLE g;
CREATE PUBLICATION part FOR TABLE g (id, a);
SELECT skip();
RESET client_min_messages;
INSERT INTO g VALUES (1, 1, 21);
SELECT r::json->>'after' AS after FROM peek('publication_names', 'g') AS r;
SELECT r::json->>'after' AS after FROM peek('publication_names', 'g', 'generated_columns', 'none') AS r;
-- not in the column list: it may be made from columns that are to stay
SELECT r::json->>'after' AS after FROM peek('publication_names', 'part', 'generated_columns', 'all') AS r;
DROP PUBLICATION g, part;
DROP TABLE g;
SELECT pg_drop_replication_slot('cdc');
