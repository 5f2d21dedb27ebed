# The NATS sink under load while clients and servers die: each record exactly once, and in order.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcProxy;
use CdcStream;
use CdcTest;
use NatsServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

seed_random(20261123);
my $node = make_node('nats_faults', 'wal_sender_timeout = 2s');
my $db = conninfo($node, 'postgres', options => '-c wal_sender_timeout=2s');
my $nats = NatsServer->new;
my $sink = $nats->uri('/bank.{table}?timeout=2s');
my $dump = PostgreSQL::Test::Utils::tempdir() . '/bank.ndjson';
my ($code, $log, $client);

sub entries
{
	return eval { $nats->last_sequence('bank') } // 0;
}

# until more messages are there than before
sub wait_more
{
	my $before = entries();
	return wait_until('more messages', sub { entries() > $before + 20 });
}

# The server must not be told of what NATS does not hold.
my $ahead = 0;
sub look_at_slot
{
	my $slot = $node->safe_psql('postgres',
		"SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'bank'");
	my $position = $nats->position('bank');
	$ahead++ if defined $position->{confirmed} && lsn_number($slot) > lsn_number($position->{confirmed});
	return;
}

make_bank($node, 'bank');
my $load = start_bank_load($node);

# the client, by kill -9
foreach my $i (1 .. 8)
{
	$client = start_client($db, 'bank', $sink,
		args => [ '--max-in-flight=' . pick('64KiB', '1MiB'), '--commit-interval=' . pick('0', '50ms', '1s') ]);
	wait_log($client, qr/streaming slot/) unless chance(5);
	usleep(int(rand(300_000)));
	kill_client($client, 'KILL');
	look_at_slot();
}
is($ahead, 0, 'the slot was never ahead of NATS');

# the server, by kill -9, in mid-stream
$client = start_client($db, 'bank', $sink, args => ['--commit-interval=100ms']);
foreach my $i (1 .. 4)
{
	wait_more();
	usleep(int(rand(100_000)));
	$nats->signal('KILL');
	usleep(int(rand(200_000)));
	$nats->start;
	look_at_slot();
}
wait_more();
is($ahead, 0, 'the same when NATS dies');

# a server that stops for longer than the sink waits
$nats->signal('STOP');
wait_log($client, qr/has not answered for 2 s/);
$nats->signal('CONT');
wait_more();
ok(defined walsender_pid($node, 'postgres', 'bank'), 'a server that stops: the client goes on');

stop_bank_load($load);
kill_client($client, 'TERM');
($code, $log) = run_client($db, 'bank', $sink, '--until=now');
is($code, 0, 'the last client ends') or diag($log);
my $records = check_bank('each record exactly once', $node, $nats->dump('bank', $dump));
cmp_ok($records, '>', 500, 'there was load');

# A client that has lost the slot without knowing: stopped in the midst of a transaction, its connection
# gone, another one in its place.	What it had on the way is refused.
$node->safe_psql('postgres', 'CREATE TABLE big (id int PRIMARY KEY, v text)');
create_slot($node, 'postgres', 'big');
$node->safe_psql('postgres', "INSERT INTO big SELECT g, repeat('v', 200) FROM generate_series(1, 60000) g");
my $proxy = CdcProxy->new($node);
my $stale = start_client("host=$proxy->{host} port=$proxy->{port} dbname=postgres", 'big', $nats->uri('/big.{table}'),
	args => ['--max-in-flight=256KiB']);
wait_until('the first of it', sub { $nats->last_sequence('big') > 0 });
kill 'STOP', $stale->{pid};
$proxy->command('refuse');
my $seen = $nats->last_sequence('big');
cmp_ok($seen, '<', 60000, "stopped in the midst of a transaction, at message $seen");
$client = start_client($db, 'big', $nats->uri('/big.{table}'), args => ['--max-in-flight=256KiB']);
wait_until('the new client\'s records', sub { $nats->last_sequence('big') > $seen });
kill 'CONT', $stale->{pid};
wait_log($stale, qr/trying again/);
wait_until('all of it', sub { $nats->last_sequence('big') >= 60000 });
kill_client($stale, 'KILL');
$proxy->stop;
is(kill_client($client, 'TERM'), 0, 'the new client ends on request');
is(join(',', map { $_->{data} =~ /"seq":(\d+)/ } @{ $nats->messages('big') }), join(',', 1 .. 60000),
	'fenced: each record once, in order');

# What the stale client would send is refused by the server itself, whichever of two means one takes.
my $last = $nats->messages('big')->[-1];
my ($id) = $last->{headers} =~ /^Nats-Msg-Id: (\S+)/m;
foreach my $case ([ 10071, 'Nats-Expected-Last-Sequence' => 59999 ], [ 10070, 'Nats-Expected-Last-Msg-Id' => 'another' ])
{
	my ($error, %headers) = @$case;
	is($nats->request('big.big', 'late', 'Nats-Msg-Id' => "late $error", %headers)->{error}{err_code}, $error, join(' ', %headers));
}
ok($nats->request('big.big', 'again', 'Nats-Msg-Id' => $id)->{duplicate}, 'and the same id within the window');

# two positions: who stored the last one goes on
my $before = $nats->position('big');
$node->safe_psql('postgres', 'CREATE TABLE other (id int PRIMARY KEY)');
$client = start_client($db, 'big', $nats->uri('/big.{table}'), args => ['--commit-interval=0']);
wait_log($client, qr/streaming slot/);
$nats->request('cdc-positions.big', JSON::PP->new->canonical->encode($before));
$node->safe_psql('postgres', 'INSERT INTO other VALUES (1)');
wait_log($client, qr/storing the position in stream "cdc-positions" failed: wrong last sequence/);
wait_until('the record', sub { $nats->messages('big')->[-1]{data} =~ /"table":"other"/ });
is(kill_client($client, 'TERM'), 0, 'a position that somebody else stored is noticed');
is($nats->last_sequence('big'), 60001, 'and doubles nothing');

# A stream in memory loses records in a restart: that is found out.
$nats->make_stream('fleeting', ['fleeting.*'], storage => 'memory');
create_slot($node, 'postgres', 'fleeting');
$client = start_client($db, 'fleeting', $nats->uri('/fleeting.{table}'), args => ['--commit-interval=0']);
wait_log($client, qr/streaming slot/);
$node->safe_psql('postgres', 'INSERT INTO other VALUES (2), (3)');
wait_until('the position', sub { ($nats->position('fleeting')->{stream_sequence} // 0) == 2 });
$nats->restart;
is(wait_client($client), 2, 'a stream in memory, after a restart: exit code 2');
like(client_log($client), qr/stream "fleeting" ends at message 0, but records were delivered up to 2/, 'says so');

# What expired while nobody was there, behind the last position
create_slot($node, 'postgres', 'expired');
$client = start_client($db, 'expired', $nats->uri('/expired.{table}'), args => ['--commit-interval=1h']);
wait_log($client, qr/streaming slot/);
$node->safe_psql('postgres', 'INSERT INTO other VALUES (4), (5)');
wait_until('the records', sub { $nats->last_sequence('expired') == 2 });
kill_client($client, 'KILL');
$nats->api('STREAM.PURGE.expired');
($code, $log) = run_client($db, 'expired', $nats->uri('/expired.{table}'), '--until=now');
is($code, 2, 'records purged behind the last position: exit code 2');
like($log, qr/stream "expired" no longer has the messages after 0, up to 2, that were sent/, 'says so');

# The records tell more than the position stored beside them, and the next client sees only the first transaction again:
# its end sets nothing back, or what follows it would come twice once JetStream has forgotten the ids.
create_slot($node, 'postgres', 'ahead');
$client = start_client($db, 'ahead', $nats->uri('/ahead.{table}'), args => ['--commit-interval=1h']);
wait_log($client, qr/streaming slot/);
$node->safe_psql('postgres', 'INSERT INTO other VALUES (6)');
my $first_end = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
$node->safe_psql('postgres', 'INSERT INTO other VALUES (7)');
wait_until('the records', sub { $nats->last_sequence('ahead') == 2 });
kill_client($client, 'KILL');
($code) = run_client($db, 'ahead', $nats->uri('/ahead.{table}'), "--endpos=$first_end");
is($code, 0, 'behind the first transaction: exit code 0');
my ($second) = $nats->messages('ahead')->[1]{data} =~ /"commit_lsn":"([^"]+)"/;
is($nats->position('ahead')->{commit_lsn}, $second, 'the position is that of the second');
($code) = run_client($db, 'ahead', $nats->uri('/ahead.{table}'), '--until=now');
is($code, 0, 'to the end: exit code 0');
is($nats->last_sequence('ahead'), 2, 'and nothing twice');

# A large transaction to a server that stops in the midst of it: memory keeps within bounds.
create_slot($node, 'postgres', 'slow');
$node->safe_psql('postgres', "INSERT INTO big SELECT g, repeat('v', 200) FROM generate_series(100001, 200000) g");
$client = start_client($db, 'slow', $nats->uri('/slow.{table}?timeout=60s'), args => ['--max-in-flight=4MiB']);
wait_until('the first of it', sub { $nats->last_sequence('slow') > 0 });
$nats->signal('STOP');
my $pid = walsender_pid($node, 'postgres', 'slow');
ok($node->poll_query_until('postgres',
		"SELECT backend_start < now() - interval '3 s' AND reply_time > now() - interval '1 s'
		 FROM pg_stat_replication WHERE pid = $pid"),
	'a stopped server: PostgreSQL hears from the client for longer than its timeout');
slurp_file("/proc/$client->{pid}/status") =~ /^VmHWM:\s+(\d+) kB/m or die 'no VmHWM';
my $peak = $1;
$nats->signal('CONT');
wait_until('all of it', sub { $nats->last_sequence('slow') == 100000 });
is(walsender_pid($node, 'postgres', 'slow'), $pid, 'and the connection is the same');
# a sanitizer's memory is its own
cmp_ok($peak, '<', 32 * 1024, "memory: $peak kB") unless client_sanitized();
is(kill_client($client, 'TERM'), 0, 'ends on request');

$node->stop;
$nats->stop;
done_testing();
