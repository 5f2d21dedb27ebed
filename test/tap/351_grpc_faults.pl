# kill -9 of the client and of a gRPC server in mid-stream, a client that was taken for dead and wakes up, a
# server that is slow or stopped: each record exactly once, in bounded memory.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use GrpcServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

seed_random(20260350);
my $node = make_node('grpc_faults');
my $db = conninfo($node, 'postgres', options => '-c wal_sender_timeout=2s');
my $server = GrpcServer->new;

# once(NAME, SLOT): the server has just what the slot gives, in order
sub once
{
	my ($name, $slot) = @_;
	my $file = output_file('stored');
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	append_to_file($file, join('', map { "$_\n" } $server->dump));
	return same_files($name, decode($node, 'postgres', $slot), $file);
}

sub slot_is_active
{
	return $node->safe_psql('postgres', "SELECT active FROM pg_replication_slots WHERE slot_name = '$_[0]'") eq 't';
}

# ------------------------------------------------------------------------------------------------
# Kills
# ------------------------------------------------------------------------------------------------

make_bank($node, 'cdc');
$node->safe_psql('postgres', "SELECT pg_copy_logical_replication_slot('cdc', 'truth')");
my $load = start_bank_load($node);
my $client;

foreach my $i (1 .. 16)
{
	$client //= start_client($db, 'cdc', $server->url('batch-bytes=4KiB'), args => ['--commit-interval=5ms']);
	# some die while they start, the others at any moment of their work
	wait_log($client, qr/streaming slot/) unless chance(5);
	usleep(int(rand(200_000)));
	if ($i % 4 == 0)
	{
		$server->stop;
		usleep(int(rand(200_000)));
		$server->start;
		next;
	}
	kill_client($client, 'KILL');
	undef $client;
}
stop_bank_load($load);
kill_client($client, 'INT') if $client;
my ($code, $log) = run_client($db, 'cdc', $server->url, '--until=now');
is($code, 0, 'the last client ends') or diag($log);
once('each record exactly once, in order', 'truth');
cmp_ok(scalar $server->dump, '>', 500, 'there was load');

# The server alone is restarted: the client goes on by itself.
$load = start_bank_load($node);
$client = start_client($db, 'cdc', $server->url, args => ['--commit-interval=5ms']);
foreach (1 .. 3)
{
	my $before = $server->dump;
	wait_until('records to arrive', sub { $server->dump > $before + 50 });
	$server->stop;
	$server->start;
}
stop_bank_load($load);
my $last = read_lines(decode($node, 'postgres', 'truth'))->[-1];
wait_until('the last record', sub { ($server->dump)[-1] eq $last });
is(kill_client($client, 'INT'), 0, 'a stop signal ends it cleanly') or diag(client_log($client));
once('server restarted: each record exactly once', 'truth');

# ------------------------------------------------------------------------------------------------
# Two clients
# ------------------------------------------------------------------------------------------------

$server->behave(delay => 0.05);
$node->safe_psql('postgres', 'UPDATE accounts SET balance = balance');
$node->safe_psql('postgres', 'UPDATE accounts SET balance = balance') foreach 1 .. 20;
my $first = start_client($db, 'cdc', $server->url('batch-records=10'), args => ['--commit-interval=5ms']);
my $before = $server->dump;
wait_until('its first records', sub { $server->dump > $before + 20 });
kill 'STOP', $first->{pid};
$node->safe_psql('postgres', "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'cdc'");
$node->poll_query_until('postgres', "SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'cdc'")
  or die 'the server does not give up the stopped client';
my $second = start_client($db, 'cdc', $server->url, args => ['--commit-interval=5ms']);
wait_log($second, qr/streaming slot/);
$server->behave;
kill 'CONT', $first->{pid};
wait_log($first, qr/WARNING/);
like(client_log($first), qr/ended the stream with ABORTED: epoch \d+ is over, \d+ has taken over|server closed the connection|slot "cdc" is active/,
	'the first one, awake again, is told');
$last = read_lines(decode($node, 'postgres', 'truth'))->[-1];
wait_until('the last record', sub { ($server->dump)[-1] eq $last });
kill_client($first, 'INT');
is(kill_client($second, 'INT'), 0, 'the second goes on') or diag(client_log($second));
once('and nothing is lost or doubled by it', 'truth');
my ($code_again, $log_again) = run_client($db, 'cdc', $server->url, '--until=now');
is($code_again, 0, 'and it ends where it should') or diag($log_again);

# ------------------------------------------------------------------------------------------------
# Slowness
# ------------------------------------------------------------------------------------------------

$server = GrpcServer->new;
create_slot($node, 'postgres', 'slow');
$node->safe_psql('postgres', 'CREATE TABLE big (id int PRIMARY KEY, body text)');
$node->safe_psql('postgres', "INSERT INTO big SELECT g, repeat(md5(g::text), 64) FROM generate_series(1, 20000) g");
$node->safe_psql('postgres', "SELECT pg_copy_logical_replication_slot('slow', 'slow_truth')");
$server->behave(delay => 1);
$client = start_client($db, 'slow', $server->url, args => ['--max-in-flight=16MiB']);
wait_until('some batches', sub { usleep(200_000); (($server->dump('batch'))[-1] // 0) >= 3 }); # longer than wal_sender_timeout
note('the client has ' . memory_of($client->{pid}) . ' bytes');
cmp_ok(memory_of($client->{pid}), '<', 24 * 1024 * 1024, 'memory is bounded while the server is slow')
  unless client_sanitized();
kill 'STOP', $server->{pid};
usleep(2_500_000); # the passing of time is what is tested: more than wal_sender_timeout
ok(slot_is_active('slow'), 'the server has not given up while nothing was taken');
unlike(client_log($client), qr/WARNING/, 'the connection lives');
cmp_ok(memory_of($client->{pid}), '<', 24 * 1024 * 1024, 'memory is bounded then too') unless client_sanitized();
kill 'CONT', $server->{pid};
$server->behave;
wait_until('everything to arrive', sub { usleep(200_000); $server->dump('seq') >= 20000 });
is(kill_client($client, 'INT'), 0, 'and it ends cleanly') or diag(client_log($client));
once('each record once', 'slow_truth');

$node->stop;
done_testing();
