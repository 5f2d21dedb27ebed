# The postgresql sink, stopped: by another session's lock on its table, which costs no memory and loses
# nothing; and by SIGSTOP of a client whose place another takes, which then cannot write any more.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcPostgresqlSink;
use CdcStream;
use CdcTest;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = make_node('both', 'wal_sender_timeout = 2s');
# set for the database, so that the client does not choose its own
$node->safe_psql('postgres', "ALTER DATABASE postgres SET wal_sender_timeout = '2s'");
my $db = conninfo($node, 'postgres');
my $sink = sink_uri($node, 'sink');
$node->safe_psql('postgres', 'CREATE DATABASE sink');
$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY, v text)');
create_slot($node, 'postgres', 's');

# a first record, so that the tables are there
$node->safe_psql('postgres', "INSERT INTO t VALUES (0, '')");
my ($code, $log) = run_client($db, 's', $sink, '--until=now');
is($code, 0, 'the first start') or diag($log);

# hold_table(): nobody can insert until the returned sub is called
sub hold_table
{
	my ($in, $out) = ('', '');
	local %ENV = $node->_get_env();
	my $handle = IPC::Run::start([ $node->installed_command('psql'), '-XAtq', '-d', $node->connstr('sink') ],
		'<', \$in, '>', \$out, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	$in .= "BEGIN;\nLOCK cdc_records IN SHARE MODE;\nSELECT 'held';\n";
	$handle->pump until $out =~ /held/;
	return sub { $in .= "COMMIT;\n\\q\n"; $handle->finish; return; };
}

sub wait_blocked
{
	my ($sessions) = @_;
	return $node->poll_query_until('sink',
		"SELECT count(*) = $sessions FROM pg_locks WHERE NOT granted AND relation = 'cdc_records'::regclass");
}

# a slow server
my $release = hold_table();
my $client = start_client($db, 's', $sink, args => [ '--max-in-flight=2MiB', '--commit-interval=10ms' ]);
wait_log($client, qr/streaming slot/);
my $walsender = walsender_pid($node, 'postgres', 's');
$node->safe_psql('postgres', "INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 40000) g");
ok(wait_blocked(1), 'the sink waits for the lock');
my $before = memory_of($client->{pid});
my $since = $node->safe_psql('postgres', 'SELECT extract(epoch FROM clock_timestamp())');
ok($node->poll_query_until('postgres',
		"SELECT reply_time > to_timestamp($since) + interval '3 s' FROM pg_stat_replication WHERE pid = $walsender"),
	'the connection outlives wal_sender_timeout');
cmp_ok(memory_of($client->{pid}) - $before, '<', 8 * 1024 * 1024, 'memory stays what it was') unless client_sanitized();
is(sink_ids($node, 'sink'), '0', 'nothing was stored');
$release->();
ok($node->poll_query_until('sink', 'SELECT count(*) = 40001 FROM cdc_records'), 'all arrives when the lock is gone');
is(walsender_pid($node, 'postgres', 's'), $walsender, 'over the same connection');
is(kill_client($client, 'TERM'), 0, 'the client ends');

# a client is stopped in the midst of a batch, and another takes its place
$release = hold_table();
my $first = start_client($db, 's', $sink, args => ['--commit-interval=10ms']);
wait_log($first, qr/streaming slot/);
$node->safe_psql('postgres', "INSERT INTO t SELECT g, 'v' FROM generate_series(50001, 50100) g");
ok(wait_blocked(1), 'the first client has a batch under way');
my $session = $node->safe_psql('sink', "SELECT pid FROM pg_locks WHERE NOT granted AND relation = 'cdc_records'::regclass");
kill 'STOP', $first->{pid};
ok($node->poll_query_until('postgres', "SELECT NOT active FROM pg_replication_slots WHERE slot_name = 's'"),
	'its walsender gives up');
my $second = start_client($db, 's', $sink, args => ['--commit-interval=10ms']);
wait_log($second, qr/streaming slot/);
is($node->safe_psql('sink', "SELECT count(*) FROM pg_stat_activity WHERE pid = $session"), 0, "the second ends the first's session");
$release->();
ok($node->poll_query_until('sink', 'SELECT count(*) = 40101 FROM cdc_records'), 'and delivers what the first did not');
kill 'CONT', $first->{pid};
wait_log($first, qr/active for PID/);
is(kill_client($second, 'KILL'), 128 + 9, 'the second dies');
$node->safe_psql('postgres', "INSERT INTO t VALUES (60001, 'v')");
ok($node->poll_query_until('sink', 'SELECT count(*) = 40102 FROM cdc_records'), 'the first follows');
is(kill_client($first, 'TERM'), 0, 'and ends');

# a session that could not be ended cannot commit: its epoch is gone
$first = start_client($db, 's', $sink, args => ['--commit-interval=10ms']);
wait_log($first, qr/streaming slot/);
$node->safe_psql('sink', 'UPDATE cdc_positions SET epoch = epoch + 1');
$node->safe_psql('postgres', "INSERT INTO t VALUES (60002, 'v')");
wait_log($first, qr/another client has taken over the sink for source "\d+\/postgres\/s"/);
ok($node->poll_query_until('sink', 'SELECT count(*) = 40103 FROM cdc_records'), 'it opens the sink anew, since it has the slot');
is(kill_client($first, 'TERM'), 0, 'and ends');
is($node->safe_psql('sink', 'SELECT count(*), count(DISTINCT (commit_lsn, seq)), count(DISTINCT key) FROM cdc_records'),
	'40103|40103|40103', 'each record once');

# who may not end the other session says whose it is, and waits
$node->safe_psql('sink', <<'END_SQL');
CREATE ROLE app LOGIN; GRANT ALL ON cdc_records, cdc_positions TO app;
END_SQL
$release = hold_table();
$first = start_client($db, 's', $sink, args => ['--commit-interval=10ms']);
wait_log($first, qr/streaming slot/);
$node->safe_psql('postgres', "INSERT INTO t VALUES (60003, 'v')");
ok(wait_blocked(1), 'the first client has a batch under way');
$session = $node->safe_psql('sink', "SELECT pid FROM pg_locks WHERE NOT granted AND relation = 'cdc_records'::regclass");
is(kill_client($first, 'KILL'), 128 + 9, 'and dies');
$second = start_client($db, 's', sink_uri($node, 'sink', user => 'app'), args => ['--commit-interval=10ms']);
wait_log($second, qr/another session still writes for source.*: process $session of role "/);
$release->();
ok($node->poll_query_until('sink', 'SELECT count(*) = 40104 FROM cdc_records'), 'it goes on when that session has ended');
is(kill_client($second, 'TERM'), 0, 'and ends');
is($node->safe_psql('sink', 'SELECT count(*), count(DISTINCT key) FROM cdc_records'), '40104|40104', 'each record once');

# Who waits for the sink may lose the slot meanwhile, to a client that delivers what the server had not
# written when the first one looked: that is no divergence.
{
	my ($in, $out) = ('', '');
	local %ENV = $node->_get_env();
	my $handle = IPC::Run::start([ $node->installed_command('psql'), '-XAtq', '-d', $node->connstr('sink') ],
		'<', \$in, '>', \$out, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	$in .= "BEGIN;\nSELECT 'held' FROM cdc_positions FOR UPDATE;\n";
	$handle->pump until $out =~ /held/;
	$first = start_client($db, 's', $sink, args => ['--commit-interval=10ms']);
	ok($node->poll_query_until('sink', "SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"),
		'a client waits for its position');
	$node->safe_psql('postgres', "INSERT INTO t VALUES (60004, 'v')");
	my $end = $node->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()');
	$in .= "UPDATE cdc_positions SET position = position || '{\"end_lsn\": \"$end\"}' RETURNING 'moved';\nCOMMIT;\n\\q\n";
	$handle->finish;
	like($out, qr/moved/, 'another client delivers');
	wait_log($first, qr/streaming slot/);
	is(kill_client($first, 'TERM'), 0, 'and goes on behind it');
	unlike(slurp_file($first->{log}), qr/diverged/, 'what was delivered meanwhile is no divergence');
}

# A sink that is emptied while a client streams has lost what it held: it is not taken for a new one.
$client = start_client($db, 's', $sink, args => ['--commit-interval=10ms']);
wait_log($client, qr/streaming slot/);
$node->safe_psql('postgres', "INSERT INTO t VALUES (60005, 'v')");
ok($node->poll_query_until('sink', "SELECT count(*) = 1 FROM cdc_records WHERE key = '{\"id\":60005}'"), 'a client streams');
$node->safe_psql('sink', 'DROP TABLE cdc_records, cdc_positions');
$node->safe_psql('postgres', "INSERT INTO t VALUES (60006, 'v')");
is(wait_client($client), 2, 'the tables are dropped: exit code 2');
like(client_log($client), qr/ERROR .*the sink has forgotten its position for slot "s" of database "postgres"/, 'says so');
($code, $log) = run_client($db, 's', $sink, '--until=now');
is($code, 0, 'the next start takes it for new') or diag($log);
is($node->safe_psql('sink', q(SELECT count(*) FROM cdc_records WHERE key = '{"id":60006}')), 1, 'and goes on');

$node->stop;
done_testing();
