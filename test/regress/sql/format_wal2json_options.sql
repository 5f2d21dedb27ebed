-- Options of format=wal2json: each with values that are allowed and that are not, and with other formats.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
\set SHOW_CONTEXT never
\set VERBOSITY terse
CREATE FUNCTION try(VARIADIC options text[]) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT data FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, VARIADIC ARRAY['format', 'wal2json', 'include-empty-transaction', 'off'] || options)
$$;
-- With another format each is an error that says for which it is, wherever the format stands.
\set VERBOSITY default
SELECT brief('include-xids', 'on');
SELECT brief('actions', 'insert', 'format', 'cdc');
\set VERBOSITY terse
SELECT brief('filter-tables', 'a.b');
SELECT brief('format', 'cloudevents', 'include-pk', 'on');
-- And so are ours where they say what it says by names of its own.
\set VERBOSITY default
SELECT try('numeric', 'number');
\set VERBOSITY terse
SELECT try('bigint', 'string');
SELECT try('binary', 'base64');
SELECT try('transaction_records', 'on');
SELECT try('schemas', 'on');

-- format-version
SELECT try('format-version', '2');
\set VERBOSITY default
SELECT try('format-version', '1');
\set VERBOSITY terse
SELECT try('format-version', '3');
SELECT try('format-version', '');

-- booleans
DO $$
DECLARE
	name text;
	value text;
BEGIN
	FOREACH name IN ARRAY ARRAY['include-xids', 'include-timestamp', 'include-origin', 'include-lsn', 'include-schemas', 'include-types',
		'include-type-oids', 'include-typmod', 'include-domain-data-type', 'include-column-positions', 'include-not-null',
		'include-default', 'include-pk', 'include-transaction', 'numeric-data-types-as-string', 'partition-root', 'write-in-chunks']
	LOOP
		FOREACH value IN ARRAY ARRAY['on', 'off', 'true', '0', 'maybe', ''] LOOP
			BEGIN
				PERFORM try(name, value);
				IF value IN ('maybe', '') THEN
					RAISE NOTICE '% took "%"', name, value;
				END IF;
			EXCEPTION WHEN invalid_parameter_value THEN
				IF value NOT IN ('maybe', '') OR SQLERRM <> format('invalid value for option "%s": "%s"', name, value) THEN
					RAISE NOTICE '% did not take "%": %', name, value, SQLERRM;
				END IF;
			END;
		END LOOP;
	END LOOP;
END
$$;
SELECT try('include_xids', 'on');
SELECT try('include-unchanged-toast', 'on');
SELECT try('include-xids', 'on', 'include-xids', 'on');

-- pretty-print: a record is one line
SELECT try('pretty-print', 'off');
\set VERBOSITY default
SELECT try('pretty-print', 'on');
\set VERBOSITY terse
SELECT try('pretty-print', 'perhaps');

-- actions
SELECT try('actions', ' insert,update , delete,truncate ');
SELECT try('actions', '');
\set VERBOSITY default
SELECT try('actions', 'upsert');
\set VERBOSITY terse
SELECT try('actions', 'insert,');
SELECT try('actions', 'insert update');
SELECT try('actions', 'INSERT');

-- filter-tables, add-tables: the latter selects nothing if it is empty, which nobody wants
SELECT try('filter-tables', 'a.b, *.c,d.*, e\ f.\g\.h');
SELECT try('filter-tables', '  ');
\set VERBOSITY default
SELECT try('filter-tables', 'unqualified');
SELECT try('add-tables', '');
\set VERBOSITY terse
SELECT try('add-tables', 'a.b,');
SELECT try('add-tables', 'a.b c.d');
SELECT try('add-tables', '.b');
SELECT try('add-tables', 'a.');
SELECT try('add-tables', 'a\.b');

-- filter-msg-prefixes, add-msg-prefixes
SELECT try('filter-msg-prefixes', 'a, b', 'add-msg-prefixes', '');
\set VERBOSITY default
SELECT try('filter-msg-prefixes', 'a b');
\set VERBOSITY terse
SELECT try('add-msg-prefixes', 'a,,b');

-- filter-origins
SELECT try('filter-origins', '1, 65535,4294967295');
SELECT try('filter-origins', '');
\set VERBOSITY default
SELECT try('filter-origins', 'name');
\set VERBOSITY terse
SELECT try('filter-origins', '-1');
SELECT try('filter-origins', '4294967296');
SELECT try('filter-origins', '1;2');

-- search-path
SELECT try('search-path', '');
SELECT try('search-path', '"$user", public, "Odd, name"');
\set VERBOSITY default
SELECT try('search-path', 'a b');
\set VERBOSITY terse
SELECT try('search-path', '"open');

-- Without a value, as only the replication protocol can say it: what wal2json takes to be the default is.
\c -reuse-previous=on replication=database
\set VERBOSITY terse
START_REPLICATION SLOT cdc LOGICAL 0/0 ("format" 'wal2json', "include-xids", "filter-tables", "filter-origins", "add-msg-prefixes", "actions", "add-tables");
START_REPLICATION SLOT cdc LOGICAL 0/0 ("format" 'wal2json', "pretty-print");
START_REPLICATION SLOT cdc LOGICAL 0/0 ("format" 'wal2json', "search-path");
START_REPLICATION SLOT cdc LOGICAL 0/0 ("format" 'wal2json', "format-version");
\c -reuse-previous=on replication=false

-- Of a pipeline: for its own format they are checked; in a stream of another format they have no effect.
SET client_min_messages = warning;
CREATE EXTENSION cdc_decoder;
CREATE TABLE t (id int PRIMARY KEY, n numeric);
SELECT cdc.create_pipeline('p', options => '{"numeric": "number"}');
SELECT cdc.create_pipeline('w', options => '{"format": "wal2json", "include-xids": true, "include-types": false}');
SELECT cdc.create_pipeline('bad', options => '{"format": "wal2json", "numeric": "number"}');
SELECT cdc.create_pipeline('bad', options => '{"include-xids": true}');
SELECT cdc.create_pipeline('bad', options => '{"format": "wal2json", "include-empty-transaction": true}');
SELECT skip();
INSERT INTO t VALUES (1, 1.50);
SELECT brief('pipeline', 'p');
SELECT skip();
INSERT INTO t VALUES (2, 1.50);
SELECT regexp_replace(r, '"xid":\d+', '"xid":XID') FROM try('pipeline', 'p', 'include-types', 'off') AS r;
SELECT regexp_replace(r, '"xid":\d+', '"xid":XID') FROM peek('pipeline', 'w') AS r;
SELECT mask(r) FROM peek('pipeline', 'w', 'format', 'cdc') AS r;
SELECT pg_drop_replication_slot('cdc');
DROP EXTENSION cdc_decoder;
DROP SCHEMA cdc;
DROP TABLE t;
DROP FUNCTION try;
