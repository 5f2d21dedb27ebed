-- Types of extensions: hstore, citext, ltree, cube.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
SELECT count(*) < 4 AS missing FROM pg_available_extensions WHERE name IN ('hstore', 'citext', 'ltree', 'cube') \gset
\if :missing
SELECT pg_drop_replication_slot('cdc');
\quit
\endif
SET client_min_messages = warning;
CREATE EXTENSION hstore;
CREATE EXTENSION citext;
CREATE EXTENSION ltree;
CREATE EXTENSION cube;
RESET client_min_messages;
SELECT skip();

CREATE TABLE contrib (a hstore, b citext, c ltree, d cube, e hstore[], f citext[]);
INSERT INTO contrib VALUES
	('', '', '', '(1,2)', '{}', '{}'),
	('a=>1, b=>NULL, "c \"q\\"=>"x y", ""=>""', E'Ab"\\', 'Top.Science', '(1,2),(3,4)', ARRAY['a=>1'::hstore, NULL], '{Aa,NULL}'),
	(hstore(E'k\n', E'v\t"\\ ä€'), 'Ä', 'a.b_1', '(0.1,1e300)', NULL, NULL),
	(NULL, NULL, NULL, NULL, NULL, NULL);
SELECT r::json->>'after' FROM peek() AS r;

-- hstore as an object does not read back by itself (jsonb_populate_record() wants its text), by its own way it does.
SELECT bool_and(a IS NOT DISTINCT FROM (SELECT hstore(array_agg(key), array_agg(value)) FROM json_each_text(
		CASE WHEN json_typeof(sent->'a') = 'object' THEN sent->'a' END)) OR a = '' AND sent->>'a' = '{}') AS same
FROM (SELECT r::json->'after', row_number() OVER () FROM peek() AS r) AS d (sent, at)
JOIN (SELECT a, row_number() OVER () FROM contrib) AS c (a, at) USING (at);
SELECT skip();
ALTER TABLE contrib DROP a, DROP e;
DELETE FROM contrib;
INSERT INTO contrib VALUES ('', '', '(1,2)', '{}'), (E'Ab"\\', 'Top.Science', '(0.1,1e300)', '{Aa,NULL}');
SELECT * FROM round_trip('contrib');

-- A cast to json that is no C function is not run in the midst of decoding.
CREATE TYPE colour AS ENUM ('red');
CREATE FUNCTION colour_to_json(colour) RETURNS json LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN '{"colour": true}';
END
$$;
CREATE CAST (colour AS json) WITH FUNCTION colour_to_json(colour);
CREATE TABLE painted (c colour);
SELECT skip();
INSERT INTO painted VALUES ('red');
SELECT brief();

DROP TABLE contrib, painted;
DROP CAST (colour AS json);
DROP FUNCTION colour_to_json;
DROP TYPE colour;
DROP EXTENSION hstore, citext, ltree, cube;
SELECT pg_drop_replication_slot('cdc');
