# The postgresql sink: what it makes, what it writes, what it finds again, what it refuses.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcPostgresqlSink;
use CdcStream;
use CdcTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = make_node('both');
my $db = conninfo($node, 'postgres');
my $sink = sink_uri($node, 'sink');
my $system = $node->safe_psql('postgres', 'SELECT system_identifier FROM pg_control_system()');
my ($code, $log);

$node->safe_psql('postgres', 'CREATE DATABASE sink');
$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE nokey (id int)');
create_slot($node, 'postgres', 's');

sub stream
{
	my ($slot, @args) = @_;
	return run_client($db, $slot, $sink, '--until=now', @args);
}

sub sink_sql
{
	my ($sql) = @_;
	return $node->safe_psql('sink', $sql);
}

# refused(NAME, EXIT CODE, PATTERN, SINK, ARGUMENTS...)
sub refused
{
	my ($name, $expected, $message, $uri, @args) = @_;
	my ($exit, $text) = run_client($db, 's', $uri, '--until=now', '--retry-for=0', @args);

	is($exit, $expected, "$name: exit code $expected") or diag($text);
	like($text, $message, "$name: says why");
	unlike($text, qr/secret/, "$name: no password");
	return;
}

# a start that is refused leaves nothing
($code, $log) = stream('s', '--require-position');
is($code, 2, '--require-position of a sink without a position');
is(sink_sql("SELECT count(*) FROM pg_class WHERE relname LIKE 'cdc\\_%'"), 0, 'nothing was made');

# the first start
run_sql($node, 'postgres', <<'END_SQL');
INSERT INTO t VALUES (1, 'one'), (2, 'zwei: äöü 💾');
BEGIN; UPDATE t SET v = 'two' WHERE id = 2; DELETE FROM t WHERE id = 1; COMMIT;
INSERT INTO nokey VALUES (3);
TRUNCATE t;
SELECT pg_logical_emit_message(false, 'p', 'outside');
SELECT pg_logical_emit_message(true, 'p', 'inside');
END_SQL
($code, $log) = stream('s', '--messages=on', '--transaction_records=on');
is($code, 0, 'the first start') or diag($log);
is(sink_sql(q(SELECT string_agg(concat_ws(' ', op, schema, "table", key), E'\n' ORDER BY commit_lsn, seq) FROM cdc_records WHERE op NOT IN ('begin', 'commit'))),
	join("\n",
		'insert public t {"id": 1}', 'insert public t {"id": 2}', 'update public t {"id": 2}',
		'delete public t {"id": 1}', 'insert public nokey', 'truncate public t', 'message', 'message'),
	'operations, tables and keys are in their columns');
is(sink_sql(q(SELECT count(*) FROM cdc_records WHERE op IN ('begin', 'commit'))), 10, 'records of transactions');
is(sink_sql(q(SELECT count(*) FROM cdc_records WHERE op = record ->> 'op' AND schema IS NOT DISTINCT FROM record ->> 'schema'
	AND "table" IS NOT DISTINCT FROM record ->> 'table' AND commit_lsn = (record ->> 'commit_lsn')::pg_lsn
	AND key IS NOT DISTINCT FROM record -> 'key' AND incarnation = 0 AND part = coalesce((record ->> 'part')::int, 0)
	AND seq = (record ->> 'seq')::bigint AND ts IS NOT DISTINCT FROM (record ->> 'ts')::timestamptz)),
	18, 'every column says what the record says');
is(sink_sql('SELECT count(*) FROM cdc_records WHERE ts IS NULL'), 1, 'a message outside transactions has no time');
is(sink_sql(q(SELECT record #>> '{after,v}' FROM cdc_records WHERE op = 'insert' AND key = '{"id": 2}')),
	'zwei: äöü 💾', 'text arrives as it was');
is(sink_sql('SELECT DISTINCT source FROM cdc_records'), "$system/postgres/s", 'the source is named');
is(sink_sql('SELECT source, records FROM cdc_positions'), "$system/postgres/s|public.cdc_records", 'its row');
is(lsn_number(sink_position($node, 'sink', 's')->{confirmed}),
	lsn_number($node->safe_psql('postgres', "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 's'")),
	'slot and sink agree');

# the next one finds the position
$node->safe_psql('postgres', "INSERT INTO t SELECT g, 'v' FROM generate_series(11, 13) g");
($code, $log) = stream('s');
is($code, 0, 'the next start') or diag($log);
unlike($log, qr/no position/, 'the position was found');
is(sink_ids($node, 'sink', undef, 'key IS NOT NULL'), '1 2 2 11 12 13', 'only what is new was delivered');
is(sink_sql('SELECT epoch FROM cdc_positions'), 2, 'each start raises the epoch');

# two slots share a table
create_slot($node, 'postgres', 'two');
$node->safe_psql('postgres', "INSERT INTO t VALUES (14, 'v')");
($code, $log) = stream($_) foreach 's', 'two';
is(sink_sql(q(SELECT string_agg(source, ' ' ORDER BY source) FROM cdc_records WHERE key = '{"id": 14}')),
	"$system/postgres/s $system/postgres/two", 'the same record of two slots');

# status and doctor look without fencing
my ($stdout, $stderr) = run_command([ client_binary(), 'status', "--dbname=$db", '--slot=s', "--sink=$sink" ]);
like($stdout, qr/confirmed/, 'status reads the position') or diag($stderr);
is(sink_sql(q(SELECT epoch FROM cdc_positions WHERE source LIKE '%/s')), 3, 'and does not fence');

# a large transaction in small batches, and a record larger than all of them
$node->safe_psql('postgres', "INSERT INTO t SELECT g, repeat('x', g % 500) FROM generate_series(101, 20100) g");
$node->safe_psql('postgres', "INSERT INTO t VALUES (20101, repeat('y', 3000000))");
($code, $log) = stream('s', '--max-in-flight=64KiB');
is($code, 0, 'small batches') or diag($log);
is(sink_sql(q(SELECT count(*), min(seq), max(seq) FROM cdc_records WHERE "table" = 't' AND (key ->> 'id')::int BETWEEN 101 AND 20100
	AND source LIKE '%/s')), '20000|1|20000', 'all of a large transaction');
is(sink_sql(q(SELECT length(record #>> '{after,v}') FROM cdc_records WHERE key = '{"id": 20101}' AND source LIKE '%/s')), 3000000,
	'a large record');

# a table of the user's own
sink_sql(<<'END_SQL');
CREATE SCHEMA "My Events";
CREATE TABLE "My Events"."Log" (arrived timestamptz NOT NULL DEFAULT now(), id bigserial, key text, record json NOT NULL,
	source varchar NOT NULL, incarnation int, commit_lsn pg_lsn, seq bigint, part int, ts timestamptz, op text, schema text,
	"table" text, sync text DEFAULT current_setting('synchronous_commit'), total bigint GENERATED ALWAYS AS (seq + part) STORED) PARTITION BY LIST (op);
CREATE TABLE "My Events".inserts PARTITION OF "My Events"."Log" FOR VALUES IN ('insert');
CREATE TABLE "My Events".others PARTITION OF "My Events"."Log" DEFAULT;
END_SQL
$node->safe_psql('postgres', "CREATE TABLE j (id int PRIMARY KEY, doc json); INSERT INTO j VALUES (1, '{\"nul\": \"\\u0000\"}'); DELETE FROM j");
sink_sql('ALTER DATABASE sink SET synchronous_commit = off');
($code, $log) = stream('two', '--sink-table="My Events"."Log"');
is($code, 0, 'a partitioned table with columns of its own, json and text') or diag($log);
is(sink_sql(q(SELECT count(*), count(DISTINCT id), count(total) FROM "My Events"."Log")), '20003|20003|20003', 'has the records');
is(sink_sql(q(SELECT DISTINCT sync FROM "My Events"."Log")), 'on', 'commits are durable, whatever the database says');
like(sink_sql(q(SELECT record FROM "My Events".inserts WHERE "table" = 'j')), qr/"nul": ?"\\u0000"/, 'json keeps what jsonb cannot');
is(sink_sql(q(SELECT key FROM "My Events".others WHERE "table" = 'j')), '{"id":1}', 'text is the bytes');
is(sink_sql(q(SELECT count(*) FROM "My Events".cdc_positions)), 1, 'its position is beside it');
$node->safe_psql('postgres', "INSERT INTO t VALUES (20102, 'v')");
($code, $log) = run_client($db, 'two', sink_uri($node, 'sink', options => '-csynchronous_commit=remote_apply'), '--until=now',
	'--sink-table="My Events"."Log"');
is($code, 0, 'a stronger synchronous_commit') or diag($log);
is(sink_sql(q(SELECT sync FROM "My Events"."Log" WHERE key = '{"id":20102}')), 'remote_apply', 'stays');

# what jsonb cannot keep is refused, and can be set aside
my $dead = PostgreSQL::Test::Utils::tempdir() . '/dead.ndjson';
refused('a NUL in jsonb', 2, qr/record \S+ seq 1 of public.j was refused by sink "postgresql": the record's JSON holds \\u0000.*22P05/, $sink);
($code, $log) = stream('s', "--on-error=dead-letter:file://$dead");
is($code, 0, 'a NUL in jsonb, set aside') or diag($log);
is(scalar @{ read_lines($dead) }, 1, 'one record is set aside');
is(sink_sql(q(SELECT string_agg(op, ' ') FROM cdc_records WHERE "table" = 'j')), 'delete', 'and the stream goes on behind it');

# what the sink cannot use
sub bad_table
{
	my ($name, $message, $sql) = @_;
	sink_sql("CREATE TABLE bad (LIKE cdc_records); $sql");
	refused($name, 1, $message, $sink, '--sink-table=bad');
	sink_sql(q(DO $$ BEGIN EXECUTE (SELECT format('DROP %s bad', CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END)
		FROM pg_class WHERE oid = 'bad'::regclass); END $$));
	return;
}
bad_table('a column of another type', qr/column "seq" of table public.bad is of type integer; it has to be bigint/,
	'ALTER TABLE bad ALTER seq TYPE int');
bad_table('a column that is too short', qr/column "op" of table public.bad is of type character varying\(3\); it has to be text or character varying/,
	'ALTER TABLE bad ALTER op TYPE varchar(3)');
bad_table('no such column', qr/table public.bad has no column "key" \(jsonb, json or text\)/, 'ALTER TABLE bad DROP key');
bad_table('a column that must be filled', qr/column "mine" of table public.bad is NOT NULL without a default/,
	'ALTER TABLE bad ADD mine int NOT NULL');
bad_table('NOT NULL', qr/column "key" of table public.bad is NOT NULL, but not every record has it/, 'ALTER TABLE bad ALTER key SET NOT NULL');
bad_table('generated', qr/column "ts" of table public.bad is generated/,
	"ALTER TABLE bad DROP ts, ADD ts timestamptz GENERATED ALWAYS AS ('epoch'::timestamptz) STORED");
bad_table('unlogged', qr/would not outlive a crash together with the position: public.bad \(unlogged\)/, 'ALTER TABLE bad SET UNLOGGED');
bad_table('an unlogged partition', qr/would not outlive.*: public.bad_1 \(unlogged\)/,
	'DROP TABLE bad; CREATE TABLE bad (LIKE cdc_records) PARTITION BY LIST (op); CREATE UNLOGGED TABLE bad_1 PARTITION OF bad DEFAULT');
bad_table('a view', qr/public.bad is not a table/, 'DROP TABLE bad; CREATE VIEW bad AS SELECT * FROM cdc_records');
refused('three names', 1, qr/--sink-table=a.b.c: a table's name is NAME or SCHEMA.NAME/, $sink, '--sink-table=a.b.c');
refused('no name', 1, qr/--sink-table=a b is not a table's name/, $sink, '--sink-table=a b');
refused('no schema', 1, qr/schema "nowhere" does not exist\n.*HINT +CREATE SCHEMA nowhere;/, $sink, '--sink-table=nowhere.t');
refused('the table of positions', 1, qr/that is the table of positions/, $sink, '--sink-table=cdc_positions');

# roles
sink_sql(q(CREATE ROLE app LOGIN PASSWORD 'secret'; CREATE SCHEMA mine AUTHORIZATION app; CREATE SCHEMA theirs; CREATE SCHEMA closed; GRANT USAGE ON SCHEMA theirs TO app;
	ALTER ROLE app SET synchronous_commit = off; ALTER ROLE app SET search_path = mine));
refused('a role that may not make tables', 1, qr/table theirs.cdc_records does not exist, and the sink's role may not make it\n.*HINT.*CREATE TABLE theirs.cdc_records \(/,
	sink_uri($node, 'sink', user => 'app', password => 'secret'), '--sink-table=theirs.cdc_records');
refused('a role that may not use the schema', 1, qr/permission denied for schema closed.*\n.*HINT +The role needs USAGE/,
	sink_uri($node, 'sink', user => 'app', password => 'secret'), '--sink-table=closed.t');
refused('a role that may not insert', 1, qr/the role may not insert into column "source" of table public.cdc_records/,
	sink_uri($node, 'sink', user => 'app', password => 'secret'), '--sink-table=public.cdc_records');
create_slot($node, 'postgres', 'three');
$node->safe_psql('postgres', "INSERT INTO t VALUES (30001, 'v')");
my $client = start_client($db, 'three', sink_uri($node, 'sink', user => 'app', password => 'secret'), args => ['--commit-interval=0']);
ok($node->poll_query_until('sink', "SELECT to_regclass('mine.cdc_records') IS NOT NULL"), "the role's search_path says where the table is made");
ok($node->poll_query_until('sink', "SELECT count(*) = 1 FROM mine.cdc_records"), 'the record arrives');
is(kill_client($client, 'TERM'), 0, 'ends');
unlike(client_log($client), qr/secret/, 'no password in the log');

# the URI
refused('parameter', 1, qr/the postgresql sink has no parameter "sslmoed"; it has those of libpq: .*\bsslmode\b/, 'postgresql://u:secret@h/sink?sslmoed=require');
refused('URI', 1, qr/the postgresql sink's URI cannot be read/, 'postgresql://u:secret@[h/sink');
refused('database', 1, qr/PostgreSQL sink: .*database "nowhere" does not exist/, sink_uri($node, 'nowhere'));
refused('host', 3, qr/PostgreSQL sink: .*No such file/, sink_uri($node, 'sink', host => '/nowhere'));
refused('role', 1, qr/PostgreSQL sink: .*role "nobody" does not exist/, sink_uri($node, 'sink', user => 'nobody', password => 'secret'));

# a server that takes no writes
$node->safe_psql('postgres', 'ALTER DATABASE sink SET default_transaction_read_only = on');
refused('read only', 3, qr/read-only transaction.*\n.*HINT.*target_session_attrs=read-write/, $sink);
$node->safe_psql('postgres', 'ALTER DATABASE sink RESET default_transaction_read_only');

# a position that is not one, a table that has gone, records behind the position
sink_sql(q(CREATE TABLE kept AS SELECT * FROM cdc_positions; UPDATE cdc_positions SET position = '{"seq": 1}'));
refused('a position that is not one', 2, qr/the position of source "$system\/postgres\/s" in table public.cdc_positions is not one/, $sink);
sink_sql('TRUNCATE cdc_positions; INSERT INTO cdc_positions SELECT * FROM kept; ALTER TABLE cdc_records RENAME TO away');
refused('the table is gone', 2, qr/table public.cdc_records is gone.*\n.*DELETE FROM public.cdc_positions WHERE source = '$system/, $sink);
($code, $log) = stream('s', '--sink-table=cdc_records2');
is($code, 0, 'another table goes on where that one ended') or diag($log);
is(sink_ids($node, 'sink', 'cdc_records2'), '30001', 'with what is new') or diag(sink_ids($node, 'sink', 'cdc_records2'));
sink_sql('ALTER TABLE away RENAME TO cdc_records');
$node->safe_psql('postgres', "SELECT pg_copy_logical_replication_slot('three', 'bookmark'); INSERT INTO t VALUES (30002, 'v')");
sink_sql('DELETE FROM kept; INSERT INTO kept SELECT * FROM cdc_positions');
($code, $log) = stream('s');
is($code, 0, 'and back');
sink_sql(q(UPDATE cdc_positions p SET position = k.position FROM kept k WHERE k.source = p.source));
refused('a position that was set back', 2, qr/records are missing.*\n.*confirmed/, $sink);
$node->safe_psql('postgres', q(SELECT pg_drop_replication_slot('s'), pg_copy_logical_replication_slot('bookmark', 's')));
refused('records behind the position', 2, qr/duplicate key.*\n.*DETAIL.*\n.*HINT +The table holds records behind the position/, $sink);
sink_sql(q(DELETE FROM cdc_records WHERE key = '{"id": 30002}'));
($code, $log) = stream('s');
is($code, 0, 'without them they are delivered again') or diag($log);
is(sink_sql(q(SELECT count(*) FROM cdc_records WHERE key = '{"id": 30002}')), 1, 'once');

# a stream that feeds itself
create_slot($node, 'postgres', 'self');
$node->safe_psql('postgres', "INSERT INTO t VALUES (40001, 'v')");
$client = start_client($db, 'self', sink_uri($node, 'postgres'), args => ['--commit-interval=0']);
is(wait_client($client), 2, 'a stream that captures its own tables: exit code 2');
like(client_log($client), qr/captures the sink's own table public.cdc_(positions|records): it would never end/, 'says so');
$node->safe_psql('postgres', "DROP TABLE cdc_records, cdc_positions; CREATE PUBLICATION p FOR TABLE t; SELECT pg_drop_replication_slot('self')");
create_slot($node, 'postgres', 'self');
$node->safe_psql('postgres', "INSERT INTO t VALUES (40002, 'v')");
($code, $log) = run_client($db, 'self', sink_uri($node, 'postgres'), '--until=now', '--publication_names=p');
is($code, 0, 'a publication without them') or diag($log);
is(sink_ids($node, 'postgres'), '40002', 'is delivered into the same database');

$node->stop;
done_testing();
