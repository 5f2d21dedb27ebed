-- The expressions of rules: what they may use, and what they may not.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
SET client_min_messages = warning;
CREATE EXTENSION cdc_decoder;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE pair AS (a int, b text);
CREATE FUNCTION mine(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1';
CREATE FUNCTION mood_json(mood) RETURNS json IMMUTABLE LANGUAGE sql AS $$ SELECT '{"called": true}'::json $$;
CREATE CAST (mood AS json) WITH FUNCTION mood_json(mood);
CREATE FUNCTION mine_op(int, int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
CREATE OPERATOR <+> (LEFTARG = int, RIGHTARG = int, FUNCTION = mine_op);
CREATE SEQUENCE seq;
CREATE TABLE t (id int PRIMARY KEY, n int, big bigint, price numeric, ratio float8, name text, vc varchar(20),
	flag bool, day date, at timestamptz, plain timestamp, clock time, span interval, m mood, doc jsonb, doc_json json,
	list int[], words text[], p pair, u uuid, raw bytea, cost money, r int4range, pos positive, arr_m mood[]);
INSERT INTO t VALUES (1, 7, 9007199254740993, 9.50, 0.1, 'Anna', 'v', true, '2026-01-31', '2026-01-31 12:00+02',
	'2026-01-31 12:00', '12:00', '1 day 02:03:04.5', 'ok', '{"a": [1, {"b": null}]}', '{"x": 1}', '{1,2,3}', '{a,NULL}', '(1,x)',
	'00000000-0000-0000-0000-000000000001', '\x00ff', '1234.5', '[1,5)', 3, '{sad,ok}');
SELECT cdc.create_pipeline('p');
\set SHOW_CONTEXT never
-- stored as, and gives; under settings that would show
CREATE FUNCTION try(expression text) RETURNS text LANGUAGE plpgsql
	SET timezone = 'America/New_York' SET datestyle = 'SQL, DMY' SET intervalstyle = 'postgres_verbose'
	SET bytea_output = 'escape' SET extra_float_digits = -15 AS $$
DECLARE
	stored text;
	value json;
BEGIN
	PERFORM cdc.set_column('p', 't', 'x', expression);
	SELECT definition INTO STRICT stored FROM cdc.rules WHERE member = 'x';
	SELECT preview->'after'->'x' INTO STRICT value FROM cdc.preview('p', 't');
	RETURN stored || '  =>  ' || value;
END
$$;

-- Columns, operators, immutable functions, conditions, constants.
SELECT try('n');
SELECT try('n * 2 + 1');
SELECT try('t.n');
SELECT try('public.t.n');
SELECT try('big');
SELECT try('price * 1.10');
SELECT try('round(price)');
SELECT try('round(price, 1)');
SELECT try('round(1.5)');
SELECT try('lower(name)');
SELECT try('lpad(name, 6)');
SELECT try('left(name, 1) || ''***''');
SELECT try('substring(name from 2 for 2)');
SELECT try('regexp_replace(name, ''n+'', ''-'')');
SELECT try('CASE WHEN n > 5 THEN ''many'' ELSE ''few'' END');
SELECT try('CASE n WHEN 7 THEN true END');
SELECT try('coalesce(NULL, name)');
SELECT try('nullif(n, 7)');
SELECT try('greatest(n, 100)');
SELECT try('n BETWEEN 1 AND 10');
SELECT try('n IN (1, 7)');
SELECT try('n = ANY (list)');
SELECT try('name LIKE ''A%'' AND NOT flag');
SELECT try('name IS NULL');
SELECT try('flag IS TRUE');
SELECT try('(n, 1) < (8, 0)');
SELECT try('doc -> ''a'' -> 1');
SELECT try('doc #>> ''{a,0}''');
SELECT try('doc[''a'']');
SELECT try('doc @> ''{"a": [1]}''');
SELECT try('doc - ''a''');
SELECT try('doc || ''{"b": 2}''');
SELECT try('list[2]');
SELECT try('list[2:3]');
SELECT try('array_length(list, 1)');
SELECT try('ARRAY[n, 1]');
SELECT try('ARRAY[name, vc]');
SELECT try('(p).b');
SELECT try('upper(r)');
SELECT try('md5(name)');
SELECT try('encode(sha256(raw), ''hex'')');
SELECT try('length(raw)');
SELECT try('at - interval ''1 hour''');
SELECT try('day + 1');
SELECT try('extract(year FROM plain)');
SELECT try('plain AT TIME ZONE ''UTC''');
SELECT try('age(plain, plain - span)');
SELECT try('u');
SELECT try('1');
SELECT try('''text''');
SELECT try('NULL');
SELECT try('NULL::int');
SELECT try('n::text');
SELECT try('name::varchar(2)');
SELECT try('n::numeric(5,2)');
SELECT try('name COLLATE "C" < ''b''');
SELECT try('vc');
SELECT try('pos + 1');

-- Stable ones that depend on nothing but settings, which are pinned.
SELECT try('name || n');
SELECT try('name || at');
SELECT try('concat(name, n, day, at, span, raw, ratio)');
SELECT try('concat_ws(''-'', name, n, m)');
SELECT try('format(''%s %L %I %s'', name, name, name, at)');
SELECT try('to_char(at, ''YYYY-MM-DD HH24:MI TZ'')');
SELECT try('to_char(price, ''FM000.00'')');
SELECT try('m::text');
SELECT try('day::text');
SELECT try('at::text');
SELECT try('plain::text');
SELECT try('span::text');
SELECT try('raw::text');
SELECT try('cost::text');
SELECT try('list::text');
SELECT try('arr_m::text');
SELECT try('p::text');
SELECT try('r::text');
SELECT try('at::date');
SELECT try('at::timestamp');
SELECT try('plain::timestamptz');
SELECT try('date_trunc(''day'', at)');
SELECT try('extract(hour FROM at)');
SELECT try('date_part(''hour'', at)');
SELECT try('at AT TIME ZONE ''Europe/Berlin''');
SELECT try('jsonb_build_object(''n'', n, ''at'', at, ''list'', list)');
SELECT try('json_build_object(''n'', n)');
SELECT try('jsonb_build_array(n, name, NULL)');
SELECT try('json_build_array(n)');
SELECT try('to_jsonb(at)');
SELECT try('to_json(list)');
SELECT try('to_jsonb(p)');
SELECT try('array_to_json(list)');
SELECT try('array_to_string(words, '','', ''-'')');
SELECT try('quote_literal(n)');
SELECT try('quote_nullable(NULL::text)');
SELECT try('row_to_json(ROW(n, name))');

-- The extension's own.
SELECT try('cdc.mask_hash(name, ''salt'')');
SELECT try('cdc.mask_partial(name, 1, 1)');
SELECT try('cdc.redact(name)');

-- Not: other rows, other tables.
SELECT try('(SELECT 1)');
SELECT try('n IN (SELECT 1)');
SELECT try('EXISTS (SELECT FROM pg_class)');
SELECT try('ARRAY(SELECT 1)');
SELECT try('sum(n)');
SELECT try('count(*)');
SELECT try('GROUPING(n)');
SELECT try('row_number() OVER ()');
SELECT try('generate_series(1, 3)');
SELECT try('unnest(list)');
SELECT try('$1');
SELECT try('other.n');
-- what depends on the time, the session, chance, or the catalogs
SELECT try('now()');
SELECT try('CURRENT_TIMESTAMP');
SELECT try('CURRENT_DATE');
SELECT try('LOCALTIME');
SELECT try('current_user');
SELECT try('session_user');
SELECT try('current_setting(''work_mem'')');
SELECT try('random()');
SELECT try('clock_timestamp()');
SELECT try('gen_random_uuid()');
SELECT try('nextval(''seq'')');
SELECT try('pg_backend_pid()');
SELECT try('txid_current()');
SELECT try('age(plain)');
SELECT try('name::date');
SELECT try('name::timestamptz');
SELECT try('to_timestamp(name, ''YYYY'')');
SELECT try('name::regclass');
SELECT try('''t''::regclass');
SELECT try('pg_get_viewdef(1)');
SELECT try('pg_read_file(''/etc/passwd'')');
SELECT try('set_config(''role'', ''postgres'', false)');
SELECT try('query_to_xml(''SELECT 1'', true, true, '''')');
SELECT try('name::mood');
SELECT try('mine(n)');
SELECT try('n <+> 1');
-- what runs a user's function by a way round
SELECT try('to_jsonb(m)');
SELECT try('to_json(arr_m)');
SELECT try('jsonb_build_object(''m'', m)');
SELECT try('jsonb_build_array(VARIADIC arr_m)');
SELECT try('row_to_json(ROW(1, m))');
SELECT try('to_jsonb(ARRAY[m])');
SELECT try('n::positive');
SELECT try('(n + 1)::positive::int');
-- columns that are none of the row's
SELECT try('none');
SELECT try('ctid');
SELECT try('tableoid');
SELECT try('xmin');
SELECT try('t');
SELECT try('t.*');
SELECT try('ROW(t.*)');
SELECT try('row_to_json(t)');
-- what is no single expression
SELECT try('');
SELECT try('n, n');
SELECT try('*');
SELECT try('n AS x');
SELECT try('n FROM t');
SELECT try('n WHERE true');
SELECT try('n; SELECT 1');
SELECT try('n ORDER BY 1');
SELECT try('DISTINCT n');
SELECT try('n LIMIT 1');
SELECT try('n UNION SELECT 1');
SELECT try('n INTO x');
SELECT try('n -- comment');
SELECT try('n FOR UPDATE');
SELECT try('n +');
SELECT try('n)');
SELECT try('DEFAULT');
-- types
\set VERBOSITY terse
SELECT try('n || flag || 1');
SELECT try('name + 1');
SELECT try('ROW(1, 2)');
SELECT try('lower(1)');
\set VERBOSITY default

-- What is read back under any search_path is the very same expression.
CREATE SCHEMA evil;
CREATE FUNCTION evil.lower(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT 'stolen'::text $$;
CREATE FUNCTION evil.my_eq(text, text) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.my_eq);
SET search_path = evil, pg_catalog;
SELECT cdc.set_column('p', 'public.t', 'x', 'lower(name)');
SELECT cdc.set_column('p', 'public.t', 'x', 'name = ''b''');
SET search_path = pg_catalog, evil;
SELECT cdc.set_column('p', 'public.t', 'x', 'lower(name)');
SET search_path = evil;
SELECT preview->'after'->'x' FROM cdc.preview('p', 'public.t');
SELECT cdc.set_column('p', 'public.t', 'x', 'name OPERATOR(pg_catalog.=) ''Anna''');
SELECT definition FROM cdc.rules;
SELECT preview->'after'->'x' FROM cdc.preview('p', 'public.t');
RESET search_path;

DROP SCHEMA evil CASCADE;
SET cdc.drop_with_slots = on;
DROP EXTENSION cdc_decoder;
DROP SCHEMA IF EXISTS cdc;
DROP TABLE t;
DROP FUNCTION try;
DROP CAST (mood AS json);
DROP OPERATOR <+> (int, int);
DROP FUNCTION mine, mood_json, mine_op;
DROP TYPE mood, pair, positive;
DROP SEQUENCE seq;
SELECT pg_drop_replication_slot('cdc');
