-- Many relations, and one with many columns.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
-- A thousand tables in one transaction, twice each, in an order that no cache of one relation survives.
DO $$
BEGIN
	FOR i IN 1 .. 1000 LOOP
		EXECUTE format('CREATE TABLE many_%s (id int PRIMARY KEY, c%s int)', i, i);
	END LOOP;
END
$$;
SELECT skip();
DO $$
BEGIN
	FOR turn IN 1 .. 2 LOOP
		FOR i IN 1 .. 1000 LOOP
			EXECUTE format('INSERT INTO many_%s VALUES (%s, %s)', i, turn, i);
		END LOOP;
	END LOOP;
END
$$;
SELECT count(*), bool_and(r::json->>'table' = 'many_' || ((r::json->>'seq')::int - 1) % 1000 + 1) AS tables,
	bool_and((r::json->'after'->>('c' || ((r::json->>'seq')::int - 1) % 1000 + 1))::int = ((r::json->>'seq')::int - 1) % 1000 + 1)
		AS columns
FROM peek() AS r;
SELECT string_agg(r, '') = (SELECT string_agg(r, '') FROM peek() AS r) AS same FROM peek() AS r;
SELECT skip();

-- All are changed between: what was known of them is forgotten.
DO $$
BEGIN
	FOR i IN 1 .. 1000 LOOP
		EXECUTE format('INSERT INTO many_%s VALUES (3)', i);
		EXECUTE format('ALTER TABLE many_%s RENAME c%s TO d', i, i);
		EXECUTE format('INSERT INTO many_%s VALUES (4)', i);
	END LOOP;
END
$$;
SELECT count(*) FILTER (WHERE (r::jsonb->'after') ? 'd'), count(*) FILTER (WHERE NOT (r::jsonb->'after') ? 'd'),
	bool_and((r::jsonb->'after') ? 'd' = (r::json->'key'->>'id' = '4')) FROM brief() AS r;

-- Many columns: as many as a table can have.
SELECT format('CREATE TABLE wide (%s)', string_agg('c' || i || ' int', ', ')) AS create FROM generate_series(1, 1600) AS i \gset
:create;
INSERT INTO wide (c1, c1600) VALUES (1, 1600);
SELECT r::json->'after'->>'c1', r::json->'after'->>'c1600', (SELECT count(*) FROM json_object_keys(r::json->'after')) FROM brief() AS r;

DO $$
BEGIN
	FOR i IN 1 .. 1000 LOOP
		EXECUTE format('DROP TABLE many_%s', i);
	END LOOP;
END
$$;
DROP TABLE wide;
SELECT pg_drop_replication_slot('cdc');
