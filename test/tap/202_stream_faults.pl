# Server and network fail under one client that stays: it comes back each time by itself, and in the end
# has each record exactly once.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcProxy;
use CdcStream;
use CdcTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = make_node('faults');
my $proxy = CdcProxy->new($node);
my $db = conninfo($node, 'postgres', host => $proxy->{host});
my $out = PostgreSQL::Test::Utils::tempdir() . '/bank.ndjson';
my $sessions = 0;
my $client;

make_bank($node, 'bank');
my $load = start_bank_load($node);

# Until the client streams once more, and what it then receives has become durable.
sub comes_back
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	wait_log($client, qr/streaming slot/, ++$sessions) or return fail($name);
	my $lsn = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
	ok($node->poll_query_until('postgres',
			"SELECT confirmed_flush_lsn >= '$lsn' FROM pg_replication_slots WHERE slot_name = 'bank'"), $name)
	  or diag(client_log($client));
	return;
}

sub restart_load
{
	stop_bank_load($load);
	$load = start_bank_load($node);
	return;
}

$client = start_client($db, 'bank', "file://$out",
	args => [ '--commit-interval=50ms', '--receive-timeout=3s', '--status-interval=500ms' ]);
comes_back('streams');

$node->stop('immediate');
wait_log($client, qr/WARNING/);
$node->start;
restart_load();
comes_back('after a crash of the server');

$node->restart;
restart_load();
comes_back('after a restart of the server');

foreach my $i (1 .. 3)
{
	$node->safe_psql('postgres',
		"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'bank'");
	comes_back("after pg_terminate_backend $i");
}
like(client_log($client), qr/SQLSTATE 57P01/, 'the reason was logged');

foreach my $i (1 .. 3)
{
	$proxy->command('cut');
	comes_back("after a cut connection $i");
}

$proxy->command('refuse');
wait_log($client, qr/trying again in/, 2);
$proxy->command('pass');
comes_back('after connections were refused');

$proxy->command('half_close');
comes_back('after the server has closed its half');

# nothing comes, nothing goes, nothing is closed
$proxy->command('stall');
wait_log($client, qr/nothing has come from the server for 3 s/);
$proxy->command('cut');
comes_back('after a stalled connection');

$proxy->command('stall_down');
wait_log($client, qr/nothing has come from the server for 3 s/, 2);
$proxy->command('cut');
comes_back('after a connection that stalled one way');

# a slow connection is no fault
$proxy->command('slow');
my $lsn = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
ok($node->poll_query_until('postgres',
		"SELECT confirmed_flush_lsn >= '$lsn' FROM pg_replication_slots WHERE slot_name = 'bank'"),
	'a slow connection is followed') or diag(client_log($client));
my $streams = () = client_log($client) =~ /streaming slot/g;
is($streams, $sessions, 'in the same session');
$proxy->command('pass');

# a server that shuts down waits until the client has confirmed all: that must not take long
stop_bank_load($load);
my $started = time;
$node->stop('fast');
cmp_ok(time - $started, '<', 20, 'a fast shutdown is fast');
$node->start;
comes_back('after a fast shutdown');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_stat_replication'), '1', 'one walsender is left');

is(kill_client($client, 'TERM'), 0, 'ends on request');
my ($code, $log) = run_client($db, 'bank', "file://$out", '--until=now');
is($code, 0, 'the last client ends') or diag($log);
check_bank('each record exactly once over all of these', $node, $out);

# giving up
$proxy->command('refuse');
($code, $log) = run_client($db, 'bank', "file://$out", '--until=now', '--retry-for=1s');
is($code, 3, 'without a server: exit code 3 after --retry-for');
like($log, qr/giving up after \d+ failures without progress/, 'says so');
($code, $log) = run_client($db, 'bank', "file://$out", '--until=now', '--retry-for=0');
is($code, 3, '--retry-for=0: at once');
like($log, qr/giving up after 1 failures/, 'says so');
$client = start_client($db, 'bank', "file://$out");
wait_log($client, qr/trying again/, 1);
is(kill_client($client, 'TERM'), 0, 'asked to stop while it waits: ends at once');
$proxy->stop;

# no word of a password
my $secret = 'hunter2-hunter2';
$db = conninfo($node, 'postgres', password => $secret, application_name => 'x');
($code, $log) = run_client($db, 'bank', "file://$out", '--until=now');
is($code, 0, 'a password in the connection string');
unlike($log, qr/\Q$secret\E/, 'is not in the log');

$node->stop;
done_testing();
