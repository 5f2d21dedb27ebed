-- Every option with every kind of value that is not allowed, and with each that is.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
\set SHOW_CONTEXT never
\set VERBOSITY terse
-- An unknown option: the hint names those that there are.
SELECT brief('no_such_option', '1');
DO $$
DECLARE
	hint text;
BEGIN
	PERFORM brief('no_such_option', '1');
EXCEPTION WHEN invalid_parameter_value THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RAISE NOTICE 'begins with: %; not named: %', substr(hint, 1, 15), (SELECT string_agg(name, ', ')
		FROM unnest(ARRAY['protocol_version', 'format', 'framing', 'batch_bytes', 'source', 'delete', 'numeric', 'bigint',
			'binary', 'generated_columns', 'origin', 'transaction_records', 'messages', 'message_prefixes',
			'max_record_bytes', 'publication_names', 'pipeline', 'on_expression_error', 'privileges', 'strip_records']) AS name
		WHERE name <> ALL (string_to_array(rtrim(substr(hint, 16), '.'), ', ')));
END
$$;
SELECT brief('', '1');
SELECT brief('Framing', 'lines');
SELECT brief('framing ', 'lines');
SELECT brief('include-xids', 'on');

-- A bad value: each error names option and value, and hints at what is allowed and what it is for; the
-- hint is shown once for each option.
-- protocol_version
SELECT brief('protocol_version', '1');
\set VERBOSITY default
SELECT brief('protocol_version', '0');
\set VERBOSITY terse
SELECT brief('protocol_version', '2');
SELECT brief('protocol_version', '-1');
SELECT brief('protocol_version', '');
SELECT brief('protocol_version', 'one');
SELECT brief('protocol_version', '1.0');
SELECT brief('protocol_version', ' 1');
SELECT brief('protocol_version', '1 ');
SELECT brief('protocol_version', '+1');
SELECT brief('protocol_version', '0x1');
SELECT brief('protocol_version', '99999999999999999999');

-- batch_bytes
SELECT brief('batch_bytes', '0');
SELECT brief('batch_bytes', '16777216');
\set VERBOSITY default
SELECT brief('batch_bytes', '-1');
\set VERBOSITY terse
SELECT brief('batch_bytes', '16777217');
SELECT brief('batch_bytes', '');
SELECT brief('batch_bytes', 'lots');
SELECT brief('batch_bytes', '64kB');
SELECT brief('batch_bytes', '1.5');
SELECT brief('batch_bytes', '4294967296');
SELECT brief('batch_bytes', '99999999999999999999');

-- max_record_bytes
SELECT brief('max_record_bytes', '1048576');
SELECT brief('max_record_bytes', '943718400');
\set VERBOSITY default
SELECT brief('max_record_bytes', '1048575');
\set VERBOSITY terse
SELECT brief('max_record_bytes', '943718401');
SELECT brief('max_record_bytes', '');
SELECT brief('max_record_bytes', 'lots');
SELECT brief('max_record_bytes', '64kB');
SELECT brief('max_record_bytes', '1.5');
SELECT brief('max_record_bytes', '4294967296');
SELECT brief('max_record_bytes', '99999999999999999999');

-- format
SELECT brief('format', 'cdc');
\set VERBOSITY default
SELECT brief('format', '');
\set VERBOSITY terse
SELECT brief('format', 'nonsense');
SELECT brief('format', 'CDC');
SELECT brief('format', 'cdc ');
SELECT brief('format', ' cdc');
SELECT brief('format', 'cd');

-- framing
SELECT brief('framing', 'lines');
\set VERBOSITY default
SELECT brief('framing', '');
\set VERBOSITY terse
SELECT brief('framing', 'nonsense');
SELECT brief('framing', 'LINES');
SELECT brief('framing', 'lines ');
SELECT brief('framing', ' lines');
SELECT brief('framing', 'line');

-- delete
SELECT brief('delete', 'full');
SELECT brief('delete', 'key');
\set VERBOSITY default
SELECT brief('delete', '');
\set VERBOSITY terse
SELECT brief('delete', 'nonsense');
SELECT brief('delete', 'FULL');
SELECT brief('delete', 'full ');
SELECT brief('delete', ' full');
SELECT brief('delete', 'ful');

-- numeric
SELECT brief('numeric', 'string');
SELECT brief('numeric', 'number');
\set VERBOSITY default
SELECT brief('numeric', '');
\set VERBOSITY terse
SELECT brief('numeric', 'nonsense');
SELECT brief('numeric', 'STRING');
SELECT brief('numeric', 'string ');
SELECT brief('numeric', ' string');
SELECT brief('numeric', 'strin');

-- bigint
SELECT brief('bigint', 'number');
SELECT brief('bigint', 'string');
\set VERBOSITY default
SELECT brief('bigint', '');
\set VERBOSITY terse
SELECT brief('bigint', 'nonsense');
SELECT brief('bigint', 'NUMBER');
SELECT brief('bigint', 'number ');
SELECT brief('bigint', ' number');
SELECT brief('bigint', 'numbe');

-- on_expression_error
SELECT brief('on_expression_error', 'stop');
SELECT brief('on_expression_error', 'null');
\set VERBOSITY default
SELECT brief('on_expression_error', '');
\set VERBOSITY terse
SELECT brief('on_expression_error', 'ignore');

-- strip_records
SELECT brief('strip_records', '0/0:1, 1/ABCDEF01:18446744073709551615');
\set VERBOSITY default
SELECT brief('strip_records', '');
\set VERBOSITY terse
SELECT brief('strip_records', '0/16E2A10');
SELECT brief('strip_records', '0/16E2A10:0');
SELECT brief('strip_records', '0/16E2A10: 1');
SELECT brief('strip_records', '0/16E2A10:1x');
SELECT brief('strip_records', '0/16E2A10:1,');
SELECT brief('strip_records', '123456789/0:1');
SELECT brief('strip_records', '0/16E2A10:-1');
SELECT brief('strip_records', '0/16E2A10:99999999999999999999');

-- privileges
SELECT brief('privileges', 'ignore');
SELECT brief('privileges', 'enforce');
\set VERBOSITY default
SELECT brief('privileges', '');
\set VERBOSITY terse
SELECT brief('privileges', 'on');

-- pipeline
\set VERBOSITY default
SELECT brief('pipeline', '');
\set VERBOSITY terse
SELECT brief('pipeline', repeat('p', 64));

-- binary
SELECT brief('binary', 'hex');
SELECT brief('binary', 'base64');
\set VERBOSITY default
SELECT brief('binary', '');
\set VERBOSITY terse
SELECT brief('binary', 'nonsense');
SELECT brief('binary', 'HEX');
SELECT brief('binary', 'hex ');
SELECT brief('binary', ' hex');
SELECT brief('binary', 'he');

-- generated_columns
SELECT brief('generated_columns', 'all');
SELECT brief('generated_columns', 'stored');
SELECT brief('generated_columns', 'none');
\set VERBOSITY default
SELECT brief('generated_columns', '');
\set VERBOSITY terse
SELECT brief('generated_columns', 'nonsense');
SELECT brief('generated_columns', 'ALL');
SELECT brief('generated_columns', 'all ');
SELECT brief('generated_columns', ' all');
SELECT brief('generated_columns', 'al');

-- origin
SELECT brief('origin', 'any');
SELECT brief('origin', 'none');
\set VERBOSITY default
SELECT brief('origin', '');
\set VERBOSITY terse
SELECT brief('origin', 'nonsense');
SELECT brief('origin', 'ANY');
SELECT brief('origin', 'any ');
SELECT brief('origin', ' any');
SELECT brief('origin', 'an');

-- transaction_records, as any boolean of PostgreSQL
SELECT brief('transaction_records', 'on');
SELECT brief('transaction_records', 'off');
SELECT brief('transaction_records', 'true');
SELECT brief('transaction_records', 'false');
SELECT brief('transaction_records', 'yes');
SELECT brief('transaction_records', 'no');
SELECT brief('transaction_records', '1');
SELECT brief('transaction_records', '0');
SELECT brief('transaction_records', 'T');
\set VERBOSITY default
SELECT brief('transaction_records', '');
\set VERBOSITY terse
SELECT brief('transaction_records', 'maybe');
SELECT brief('transaction_records', '2');
SELECT brief('transaction_records', 'o');
SELECT brief('transaction_records', ' on');

-- messages, as any boolean of PostgreSQL
SELECT brief('messages', 'on');
SELECT brief('messages', 'off');
SELECT brief('messages', 'true');
SELECT brief('messages', 'false');
SELECT brief('messages', 'yes');
SELECT brief('messages', 'no');
SELECT brief('messages', '1');
SELECT brief('messages', '0');
SELECT brief('messages', 'T');
\set VERBOSITY default
SELECT brief('messages', '');
\set VERBOSITY terse
SELECT brief('messages', 'maybe');
SELECT brief('messages', '2');
SELECT brief('messages', 'o');
SELECT brief('messages', ' on');

-- source: 1 to 255 bytes
SELECT brief('source', 's');
SELECT brief('source', repeat('s', 255));
\set VERBOSITY default
SELECT brief('source', '');
\set VERBOSITY terse
SELECT brief('source', repeat('s', 256));

-- message_prefixes
SELECT brief('message_prefixes', 'a');
SELECT brief('message_prefixes', ' a , b* ');
SELECT brief('message_prefixes', '*');
\set VERBOSITY default
SELECT brief('message_prefixes', '');
\set VERBOSITY terse
SELECT brief('message_prefixes', '  ');
SELECT brief('message_prefixes', ',');
SELECT brief('message_prefixes', 'a,,b');
SELECT brief('message_prefixes', 'a,');

-- publication_names, as PostgreSQL reads lists of names
SELECT brief('publication_names', 'a');
SELECT brief('publication_names', ' A , "B c", "d""e" ');
\set VERBOSITY default
SELECT brief('publication_names', '');
\set VERBOSITY terse
SELECT brief('publication_names', ' ');
SELECT brief('publication_names', ',');
SELECT brief('publication_names', 'a,');
SELECT brief('publication_names', 'a,,b');
SELECT brief('publication_names', 'a b');
SELECT brief('publication_names', '"a');
SELECT brief('publication_names', '""');

-- An option is given once, whatever it says the second time.
\set VERBOSITY default
SELECT brief('protocol_version', '1', 'protocol_version', '1');
\set VERBOSITY terse
SELECT brief('format', 'cdc', 'format', 'cdc');
SELECT brief('framing', 'lines', 'framing', 'frames');
SELECT brief('batch_bytes', '0', 'batch_bytes', '1');
SELECT brief('source', 'a', 'source', 'b');
SELECT brief('delete', 'key', 'delete', 'key');
SELECT brief('numeric', 'string', 'numeric', 'number');
SELECT brief('bigint', 'number', 'bigint', 'string');
SELECT brief('binary', 'hex', 'binary', 'base64');
SELECT brief('generated_columns', 'all', 'generated_columns', 'none');
SELECT brief('origin', 'any', 'origin', 'none');
SELECT brief('transaction_records', 'on', 'transaction_records', 'off');
SELECT brief('messages', 'on', 'messages', 'off');
SELECT brief('message_prefixes', 'a', 'message_prefixes', 'b');
SELECT brief('max_record_bytes', '1048576', 'max_record_bytes', '2097152');
SELECT brief('publication_names', 'a', 'publication_names', 'b');

-- The first mistake is the one that is told.
SELECT brief('delete', 'none', 'no_such_option', '1');
SELECT brief('no_such_option', '1', 'delete', 'none');

-- What the SQL functions themselves refuse.
SELECT brief('delete');
SELECT brief('delete', NULL);

-- The slot is created whatever its options would be, which come with each use of it: so after all
-- these errors it is as good as before.
CREATE TABLE options_t (id int PRIMARY KEY);
CREATE PUBLICATION "Options" FOR TABLE options_t;
SELECT skip();
INSERT INTO options_t VALUES (1);
SELECT brief('protocol_version', '2');
SELECT brief('protocol_version', '1', 'format', 'cdc', 'framing', 'lines', 'batch_bytes', '0',
	'source', 'here', 'delete', 'full', 'numeric', 'string', 'bigint', 'number', 'binary', 'hex',
	'generated_columns', 'all', 'origin', 'any', 'transaction_records', 'off', 'messages', 'on',
	'message_prefixes', '*', 'max_record_bytes', '67108864', 'publication_names', '"Options"');
DROP PUBLICATION "Options";
DROP TABLE options_t;

-- Without a value, as only the replication protocol can say it: a boolean's name alone turns it on.
-- (A command that is not refused would leave psql in the midst of a COPY.)
\c -reuse-previous=on replication=database
\set VERBOSITY default
START_REPLICATION SLOT cdc LOGICAL 0/0 ("protocol_version");
\set VERBOSITY terse
START_REPLICATION SLOT cdc LOGICAL 0/0 ("format");
START_REPLICATION SLOT cdc LOGICAL 0/0 ("framing");
START_REPLICATION SLOT cdc LOGICAL 0/0 ("batch_bytes");
START_REPLICATION SLOT cdc LOGICAL 0/0 ("source");
START_REPLICATION SLOT cdc LOGICAL 0/0 ("delete");
START_REPLICATION SLOT cdc LOGICAL 0/0 ("numeric");
START_REPLICATION SLOT cdc LOGICAL 0/0 ("bigint");
START_REPLICATION SLOT cdc LOGICAL 0/0 ("binary");
START_REPLICATION SLOT cdc LOGICAL 0/0 ("generated_columns");
START_REPLICATION SLOT cdc LOGICAL 0/0 ("origin");
START_REPLICATION SLOT cdc LOGICAL 0/0 ("message_prefixes");
START_REPLICATION SLOT cdc LOGICAL 0/0 ("max_record_bytes");
START_REPLICATION SLOT cdc LOGICAL 0/0 ("publication_names");
START_REPLICATION SLOT cdc LOGICAL 0/0 ("no_such_option");
START_REPLICATION SLOT cdc LOGICAL 0/0 ("transaction_records", "messages", "transaction_records");
\c -reuse-previous=on replication=false
SELECT pg_drop_replication_slot('cdc');
