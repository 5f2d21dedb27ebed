# Two clients on one slot: the second waits and takes over when the first is killed, or stops without a
# word; nothing is lost or doubled, also when the first one wakes.
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
use Time::HiRes qw(time);

my $node = make_node('ha');
my $dir = PostgreSQL::Test::Utils::tempdir();
my $file = "$dir/bank";
my $db = conninfo($node, 'postgres', application_name => 'pair', options => '-c wal_sender_timeout=2s');
my @args = ('--wait-for-slot', '--commit-interval=20ms', '--status-interval=200ms');
my ($code, $log);

make_bank($node, 'bank');

# What holds the slot is named; a limited wait ends.
my $first = start_client($db, 'bank', "file://$file", args => \@args);
wait_log($first, qr/streaming slot/);
my $pid = walsender_pid($node, 'postgres', 'bank');
my $started = time();
($code, $log) = run_client($db, 'bank', "file://$file", '--wait-for-slot=1s', '--retry-for=0');
is($code, 3, 'a wait that is limited: exit code 3');
cmp_ok(time() - $started, '>=', 1, 'after that time');
like($log, qr/INFO +waiting for the slot: replication slot "bank" is active for PID $pid\. It is held by pid $pid: application "pair", user \S+, from a local socket, connected since 20\d\d-/,
	'who has the slot is said');
like($log, qr/ERROR +the slot was not free for 1 s \(--wait-for-slot\)/, 'and that it did not become free');

my $load = start_bank_load($node);
my $second = start_client($db, 'bank', "file://$file", args => \@args);
wait_log($second, qr/waiting for the slot/);

# Killed: the other one goes on within seconds, and is followed by a third, and so on.
for my $round (1 .. 3)
{
	my $before = sidecar_position($file)->{commit_lsn} // '0/0';

	kill 'KILL', $first->{pid};
	$started = time();
	wait_log($second, qr/streaming slot/);
	cmp_ok(time() - $started, '<', 5, "round $round: the second takes over within seconds");
	is(wait_client($first), 128 + 9, "round $round: the first is dead");
	wait_until('records of the second', sub { lsn_number(sidecar_position($file)->{commit_lsn}) > lsn_number($before) });
	$first = $second;
	$second = start_client($db, 'bank', "file://$file", args => \@args);
	wait_log($second, qr/waiting for the slot/);
}
unlike(client_log($second), qr/WARNING|failure/, 'waiting is no failure');

# Stopped: the server's wal_sender_timeout frees the slot; whoever sleeps still has the file.
kill 'STOP', $first->{pid};
wait_log($second, qr/\Q$file\E" is in use by another cdc_client \(process $first->{pid}\)/);
pass('the second has the slot, and says who still has the file');
my $at = sidecar_position($file)->{commit_lsn};
kill 'CONT', $first->{pid};
wait_log($first, qr/WARNING/);
# one of the two goes on, the other one waits
wait_until('more records', sub { lsn_number(sidecar_position($file)->{commit_lsn}) > lsn_number($at) });

stop_bank_load($load);
my $end = $node->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()');
ok($node->poll_query_until('postgres', "SELECT confirmed_flush_lsn >= '$end' FROM pg_replication_slots WHERE slot_name = 'bank'"),
	'everything is delivered in the end');
is(kill_client($_, 'TERM'), 0, 'ends on request') foreach $first, $second;
check_bank('each record once and in order over all of it', $node, $file);

# A sink that fences: the second goes on while the first sleeps, in the midst of its work.
my $sink = sink_uri($node, 'sink');
$node->safe_psql('postgres', 'CREATE DATABASE sink');
$node->safe_psql('postgres', 'DROP TABLE accounts');
make_bank($node, 'fenced');
$first = start_client($db, 'fenced', $sink, args => \@args);
wait_log($first, qr/streaming slot/);
$second = start_client($db, 'fenced', $sink, args => \@args);
wait_log($second, qr/waiting for the slot/);
$load = start_bank_load($node);
my $stored = sub { my $position = sink_position($node, 'sink', 'fenced'); lsn_number($position->{commit_lsn} // '0/0') };
for my $round (1 .. 2)
{
	my $before = $stored->();
	wait_until('records of the first', sub { $stored->() > $before + 10_000 });
	kill 'STOP', $first->{pid};
	$started = time();
	my $streams = () = client_log($second) =~ /streaming slot/g;
	wait_log($second, qr/streaming slot/, $streams + 1);
	cmp_ok(time() - $started, '<', 15, "stopped, round $round: the second takes over when the server has noticed");
	$before = $stored->();
	wait_until('records of the second', sub { $stored->() > $before + 10_000 });
	my $waits = () = client_log($first) =~ /waiting for the slot/g;
	kill 'CONT', $first->{pid};
	wait_log($first, qr/waiting for the slot/, $waits + 1);
	($first, $second) = ($second, $first);
}
stop_bank_load($load);
$end = $node->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()');
ok($node->poll_query_until('postgres', "SELECT confirmed_flush_lsn >= '$end' FROM pg_replication_slots WHERE slot_name = 'fenced'"),
	'everything is delivered in the end');
is(kill_client($_, 'TERM'), 0, 'ends on request') foreach $first, $second;
check_bank('a sink that fences: each record once and in order', $node, sink_bank_file($node, 'sink'));

$node->stop;
done_testing();
