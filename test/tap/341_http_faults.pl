# kill -9 of the client and of an HTTP endpoint in mid-stream: each record at least once, the first of each in
# order.  An endpoint that is slow or takes nothing: memory is bounded, and the server's connection lives.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use HttpReceiver;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

seed_random(20260340);
my $node = make_node('http_faults');
my $db = conninfo($node, 'postgres', options => '-c wal_sender_timeout=2s');
my $receiver = HttpReceiver->new;

# first_of_each(NAME, TRUTH, LINES): the first occurrences of what arrived are the truth, in its order
sub first_of_each
{
	my ($name, $truth, @lines) = @_;
	my %seen;
	my $file = output_file('first');
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	append_to_file($file, join('', map { "$_\n" } grep { !$seen{$_}++ } @lines));
	same_files($name, $truth, $file);
	note(sprintf('%s: %d records, %d doubled', $name, scalar keys %seen, @lines - keys %seen));
	return @lines - keys %seen;
}

# ------------------------------------------------------------------------------------------------
# Kills
# ------------------------------------------------------------------------------------------------

make_bank($node, 'cdc');
$node->safe_psql('postgres', "SELECT pg_copy_logical_replication_slot('cdc', 'truth')");
my $load = start_bank_load($node);
my $client;

foreach my $i (1 .. 18)
{
	$client //= start_client($db, 'cdc', $receiver->url('cdc.batch-bytes=4KiB'), args => ['--commit-interval=5ms']);
	usleep(int(rand(300_000)));
	if ($i % 3 == 0)
	{
		$receiver->stop;
		usleep(int(rand(200_000)));
		$receiver->start;
		next;
	}
	kill_client($client, 'KILL');
	undef $client;
}
stop_bank_load($load);
kill_client($client, 'INT') if $client;
my ($code, $log) = run_client($db, 'cdc', $receiver->url, '--until=now');
is($code, 0, 'the last client ends') or diag($log);
my $truth = decode($node, 'postgres', 'truth');
first_of_each('each record at least once, the first ones in order', $truth, $receiver->records);
cmp_ok(scalar @{ read_lines($truth) }, '>', 500, 'there was load');
is($node->safe_psql('postgres',
	"SELECT pg_drop_replication_slot('truth') IS NOT NULL"), 't', 'the truth is known');

# The endpoint alone is restarted: the client goes on by itself, and what is doubled has the same key.
$receiver->clear;
create_slot($node, 'postgres', 'truth');
$client = start_client($db, 'cdc', $receiver->url('cdc.batch-bytes=2KiB'), args => ['--commit-interval=5ms']);
$load = start_bank_load($node);
foreach (1 .. 4)
{
	my $before = $receiver->requests;
	wait_until('requests to arrive', sub { $receiver->requests > $before + 5 });
	$receiver->stop;
	$receiver->start;
}
stop_bank_load($load);
($truth) = decode($node, 'postgres', 'truth');
my $last = read_lines($truth)->[-1];
wait_until('the last record', sub { grep { $_ eq $last } $receiver->records });
is(kill_client($client, 'INT'), 0, 'a stop signal ends it cleanly') or diag(client_log($client));
my $doubled = first_of_each('endpoint restarted: the same', $truth, $receiver->records);
my %times;
$times{ $_->{headers}{'idempotency-key'} }++ foreach $receiver->requests;
my $repeated = 0;
$repeated += ($times{ $_->{headers}{'idempotency-key'} }-- > 1 ? $_->{records} : 0) foreach $receiver->requests;
is($doubled, $repeated, 'a receiver that knows the keys sees nothing twice');

# The server's connection alone is lost, with requests on their way: what was taken is not sent again.  Rows are
# large, so that not all of them are in the connection's buffers already.
$receiver->clear;
$receiver->behave(delay => 0.05);
$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('truth')");
create_slot($node, 'postgres', 'truth');
$node->safe_psql('postgres', 'CREATE TABLE large (id int PRIMARY KEY, body text)');
$node->safe_psql('postgres', "INSERT INTO large SELECT g, repeat(md5(g::text), 640) FROM generate_series(1, 300) g");
$client = start_client($db, 'cdc', $receiver->url('cdc.batch-bytes=64KiB'), args => ['--commit-interval=5ms']);
foreach my $cut (1 .. 4)
{
	my $before = $receiver->requests;
	wait_until('requests to arrive', sub { $receiver->requests > $before + 5 });
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'cdc'");
	wait_log($client, qr/streaming slot/, $cut + 1);
}
wait_until('the last record', sub { $receiver->records >= 300 });
is(kill_client($client, 'INT'), 0, 'a stop signal ends it cleanly') or diag(client_log($client));
is(first_of_each('connection to the server lost: the same', decode($node, 'postgres', 'truth'), $receiver->records), 0,
	'and nothing is doubled by that');

# ------------------------------------------------------------------------------------------------
# Slowness
# ------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', 'CREATE TABLE big (id int PRIMARY KEY, body text)');
$receiver->clear;
$receiver->behave(delay => 1);
create_slot($node, 'postgres', 'slow');
$node->safe_psql('postgres', "INSERT INTO big SELECT g, repeat(md5(g::text), 64) FROM generate_series(1, 20000) g");
$client = start_client($db, 'slow', $receiver->url, args => ['--max-in-flight=16MiB']);
wait_until('some requests', sub { $receiver->requests >= 4 }); # more than wal_sender_timeout
cmp_ok(memory_of($client->{pid}), '<', 24 * 1024 * 1024, 'memory is bounded while the endpoint is slow')
  unless client_sanitized();
unlike(client_log($client), qr/WARNING/, 'and the connection lives');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'slow' AND active"), 1,
	'the server has not given up');
# stopped: nothing is taken at all
kill 'STOP', $receiver->{pid};
usleep(2_500_000); # the passing of time is what is tested: more than wal_sender_timeout
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'slow' AND active"), 1,
	'nor while it is stopped');
cmp_ok(memory_of($client->{pid}), '<', 24 * 1024 * 1024, 'memory is bounded then too') unless client_sanitized();
kill 'CONT', $receiver->{pid};
$receiver->behave;
wait_until('everything to arrive', sub { $receiver->records >= 20000 });
is(scalar $receiver->records, 20000, 'everything arrives, once');
is(kill_client($client, 'INT'), 0, 'and it ends cleanly');

$node->stop;
done_testing();
