# The Redis sink under load while clients and servers die: each record exactly once, and in order.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RedisServer;
use Test::More;
use Time::HiRes qw(time usleep);

seed_random(20261122);
my $node = make_node('redis_faults', 'wal_sender_timeout = 2s');
my $db = conninfo($node, 'postgres', options => '-c wal_sender_timeout=2s');
my $redis = RedisServer->new;
my $sink = $redis->uri('/bank?timeout=2s');
my $key = '{bank}:cdc-position';
my $dump = PostgreSQL::Test::Utils::tempdir() . '/bank.ndjson';
my ($code, $log, $client);

sub entries
{
	return eval { $redis->command('XLEN', 'bank') } // 0;
}

# until more entries are there than before
sub wait_more
{
	my ($server) = @_;
	my $before = entries();
	return wait_until('more entries', sub { entries() > $before + 20 });
}

# The server must not be told of what Redis does not hold.
my $ahead = 0;
sub look_at_slot
{
	my $slot = $node->safe_psql('postgres',
		"SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'bank'");
	my $position = $redis->position($key);
	$ahead++ if defined $position->{confirmed} && lsn_number($slot) > lsn_number($position->{confirmed});
	return;
}

make_bank($node, 'bank');
my $load = start_bank_load($node);

# the client, by kill -9
foreach my $i (1 .. 8)
{
	$client = start_client($db, 'bank', $sink, args => [ '--max-in-flight=' . pick('64KiB', '1MiB') ]);
	wait_log($client, qr/streaming slot/) unless chance(5);
	usleep(int(rand(300_000)));
	kill_client($client, 'KILL');
	look_at_slot();
}
is($ahead, 0, 'the slot was never ahead of Redis');

# the server, by kill -9, in mid-stream
$client = start_client($db, 'bank', $sink);
foreach my $i (1 .. 4)
{
	wait_more();
	usleep(int(rand(100_000)));
	$redis->signal('KILL');
	usleep(int(rand(200_000)));
	$redis->start;
	look_at_slot();
}
wait_more();
is($ahead, 0, 'the same when Redis dies');

# a server that stops for longer than the sink waits
my $stopped = time();
$redis->signal('STOP');
wait_log($client, qr/has not answered for 2 s/);
$redis->signal('CONT');
wait_more();
ok(defined walsender_pid($node, 'postgres', 'bank'), 'a server that stops: the client goes on');

# connections that are cut at any moment
foreach my $i (1 .. 5)
{
	usleep(int(rand(100_000)));
	$redis->command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
}
wait_more();

stop_bank_load($load);
kill_client($client, 'TERM');
($code, $log) = run_client($db, 'bank', $sink, '--until=now');
is($code, 0, 'the last client ends') or diag($log);
my $records = check_bank('each record exactly once', $node, $redis->dump('bank', $dump));
cmp_ok($records, '>', 500, 'there was load');
is($redis->position($key)->{incarnation}, 0, 'all of one incarnation');

# A client that has lost the slot without knowing: stopped, its walsender gone, another one in its place.
my $stale = start_client($db, 'bank', $sink);
wait_log($stale, qr/streaming slot/);
$node->safe_psql('postgres', 'UPDATE accounts SET balance = balance + 1 WHERE id = 1');
kill 'STOP', $stale->{pid};
$node->safe_psql('postgres', 'UPDATE accounts SET balance = balance - 1 WHERE id = 1');
my $pid = walsender_pid($node, 'postgres', 'bank');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)") if $pid;
$client = start_client($db, 'bank', $sink);
wait_log($client, qr/streaming slot/);
my $before = entries();
my $epoch = $redis->command('HGET', $key, 'epoch');
$node->safe_psql('postgres', 'UPDATE accounts SET balance = balance + 1 WHERE id = 2;
	UPDATE accounts SET balance = balance - 1 WHERE id = 2');
wait_until('the new client\'s records', sub { entries() >= $before + 2 });
kill 'CONT', $stale->{pid};
wait_log($stale, qr/trying again|active for PID/);
is($redis->command('HGET', $key, 'epoch'), $epoch, 'who has lost the slot does not take the sink back');
kill_client($stale, 'TERM');

# The same at the sink itself: a client whose slot nobody took, but whose sink somebody did.
$redis->command('HINCRBY', $key, 'epoch', 1);
$node->safe_psql('postgres', 'UPDATE accounts SET balance = balance + 1 WHERE id = 3');
wait_log($client, qr/another cdc_client has taken the streams over/);
wait_until('it opens the sink again, and goes on', sub {
	my $last = $redis->command('XREVRANGE', 'bank', '+', '-', 'COUNT', 1);
	return $last->[0][1][1] =~ /"key":\{"id":3\}/;
});
$node->safe_psql('postgres', 'UPDATE accounts SET balance = balance - 1 WHERE id = 3');
kill_client($client, 'TERM');
($code, $log) = run_client($db, 'bank', $sink, '--until=now');
my $dumped = slurp_file($redis->dump('bank', $dump));
my %seen;
$seen{"$1 $2"}++ while $dumped =~ /"commit_lsn":"([^"]+)","seq":(\d+)/g;
is((grep { $_ > 1 } values %seen), 0, 'fenced: nothing twice');

# A server that forgets: without a log, killed under a running client
my $forgetful = RedisServer->new(appendonly => 'no');
create_slot($node, 'postgres', 'lost');
$client = start_client($db, 'lost', $forgetful->uri('/lost'));
wait_log($client, qr/streaming slot/);
$node->safe_psql('postgres', 'UPDATE accounts SET balance = balance WHERE id < 5');
wait_until('records', sub { $forgetful->command('XLEN', 'lost') == 4 });
$forgetful->restart;
is(wait_client($client), 2, 'a position forgotten in the midst of a run: exit code 2');
like(client_log($client), qr/Redis at \S+ has forgotten the position in key "\{lost\}:cdc-position"/, 'says so');
like(client_log($client), qr/slot "lost" of database "postgres"/, 'whose');

# one that comes back with an older state
$node->safe_psql('postgres', 'UPDATE accounts SET balance = balance WHERE id < 3');
($code, $log) = run_client($db, 'lost', $forgetful->uri('/lost'), '--until=now');
is($code, 0, 'taken for new at the next start') or diag($log);
my $older = $forgetful->command('HGET', '{lost}:cdc-position', 'position');
$node->safe_psql('postgres', 'UPDATE accounts SET balance = balance WHERE id < 3');
($code, $log) = run_client($db, 'lost', $forgetful->uri('/lost'), '--until=now');
$forgetful->command('HSET', '{lost}:cdc-position', 'position', $older);
($code, $log) = run_client($db, 'lost', $forgetful->uri('/lost'), '--until=now');
is($code, 2, 'a position that is behind what was acknowledged: exit code 2');
like($log, qr/records are missing: slot "lost" has moved on/, 'says so');
$forgetful->command('HSET', '{lost}:cdc-position', 'position', '{"what":"is this"}');
($code, $log) = run_client($db, 'lost', $forgetful->uri('/lost'), '--until=now');
is($code, 2, 'a position that is none: exit code 2');
like($log, qr/field "position" of key "\{lost\}:cdc-position" is not a position: \{"what"/, 'says so');
$forgetful->stop;

# A large transaction to a server that stops in the midst of it: memory keeps within bounds.
$node->safe_psql('postgres', 'CREATE TABLE big (id int PRIMARY KEY, v text)');
create_slot($node, 'postgres', 'big');
$node->safe_psql('postgres', "INSERT INTO big SELECT g, repeat('v', 200) FROM generate_series(1, 100000) g");
$client = start_client($db, 'big', $redis->uri('/big?timeout=60s'), args => ['--max-in-flight=4MiB']);
wait_until('the first of it', sub { $redis->command('XLEN', 'big') > 0 });
$redis->signal('STOP');
$pid = walsender_pid($node, 'postgres', 'big');
ok($node->poll_query_until('postgres',
		"SELECT backend_start < now() - interval '3 s' AND reply_time > now() - interval '1 s'
		 FROM pg_stat_replication WHERE pid = $pid"),
	'a stopped server: PostgreSQL hears from the client for longer than its timeout');
slurp_file("/proc/$client->{pid}/status") =~ /^VmHWM:\s+(\d+) kB/m or die 'no VmHWM';
my $peak = $1;
$redis->signal('CONT');
wait_until('all of it', sub { $redis->command('XLEN', 'big') == 100000 });
is(walsender_pid($node, 'postgres', 'big'), $pid, 'and the connection is the same');
# a sanitizer's memory is its own
cmp_ok($peak, '<', 24 * 1024, "memory: $peak kB") unless client_sanitized();
is(kill_client($client, 'TERM'), 0, 'ends on request');

$node->stop;
$redis->stop;
done_testing();
