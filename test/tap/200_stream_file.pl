# stream into a file and to the standard output: where it begins, where it ends, what it refuses.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = make_node('stream');
my $dir = PostgreSQL::Test::Utils::tempdir();
my $db = conninfo($node, 'postgres');
my ($code, $log);

$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY, v text)');
create_slot($node, 'postgres', 's');

sub insert
{
	my ($from, $to) = @_;
	$node->safe_psql('postgres', "INSERT INTO t SELECT g, 'v' || g FROM generate_series($from, $to) g");
	return $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
}

# The ids in a file of records, in order.
sub ids
{
	my (@files) = @_;
	my $text = join('', map { slurp_bytes($_) } @files);
	return join(' ', $text =~ /"after":\{"id":(\d+)/g);
}

sub confirmed
{
	my ($slot) = @_;
	return lsn_number($node->safe_psql('postgres',
		"SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '$slot'"));
}

sub wait_inactive
{
	my ($slot) = @_;
	$node->poll_query_until('postgres',
		"SELECT NOT active FROM pg_replication_slots WHERE slot_name = '$slot'")
	  or die "slot $slot stays active";
	return;
}

# --until=now
insert(1, 3);
my $out = "$dir/out.ndjson";
($code, $log) = run_client($db, 's', "file://$out", '--until=now');
is($code, 0, '--until=now ends by itself') or diag($log);
like($log, qr/no position for slot "s" yet: starting at the slot's confirmed position/,
	'the first use of a sink is said');
is(ids($out), '1 2 3', 'records are in the file');
is(confirmed('s'), lsn_number(sidecar_position($out)->{confirmed}), 'slot and sidecar agree');

($code, $log) = run_client($db, 's', "file://$out", '--until=now');
is($code, 0, 'an idle server has an end too') or diag($log);
unlike($log, qr/no position/, 'the position was found');
is(ids($out), '1 2 3', 'nothing is delivered again');

# --endpos: never in the midst of a transaction, and none behind it
my $between = insert(4, 6);
insert(7, 9);
($code) = run_client($db, 's', "file://$out", "--endpos=$between");
is($code, 0, '--endpos between transactions');
is(ids($out), '1 2 3 4 5 6', 'ends there');
my $peeked = $node->safe_psql('postgres',
	q(SELECT data::json ->> 'commit_lsn' FROM pg_logical_slot_peek_changes('s', NULL, NULL) LIMIT 1));
insert(10, 12);
($code) = run_client($db, 's', "file://$out", "--endpos=$peeked");
is(ids($out), '1 2 3 4 5 6 7 8 9', 'a transaction whose commit is at endpos belongs to it, whole');
($code) = run_client($db, 's', "file://$out", '--until=now');
is(ids($out), join(' ', 1 .. 12), 'and the next is behind it');

# an end that lies ahead is waited for
my $ahead = $node->safe_psql('postgres', "SELECT pg_current_wal_insert_lsn() + 200000");
my $client = start_client($db, 's', "file://$out", args => ["--endpos=$ahead"]);
wait_log($client, qr/streaming slot/);
insert(13, 14);
$node->safe_psql('postgres', 'SELECT pg_switch_wal()');
is(wait_client($client), 0, 'an end that lies ahead is reached');
like(ids($out), qr/^1 2 .* 13 14$/, 'with what was before it');

# rotation
($code) = run_client($db, 's', "file://$out?rotate=64KiB", '--until=now');
insert(15, 3000);
($code, $log) = run_client($db, 's', "file://$out?rotate=64KiB", '--until=now');
is($code, 0, 'rotation') or diag($log);
my @files = bank_files($out);
cmp_ok(scalar @files, '>', 5, 'made files: ' . scalar @files);
ok(!(grep { -s $_ > 65536 } @files), 'none is larger than asked');
is(ids(@files), join(' ', 1 .. 3000), 'records are in the files, in order');

# stopping
$client = start_client($db, 's', "file://$out", args => ['--commit-interval=1h']);
wait_log($client, qr/streaming slot/);
insert(3001, 3003);
wait_until('records in the file', sub { ids($out) =~ / 3003$/ });
is(kill_client($client, 'TERM'), 0, 'SIGTERM: exit code 0');
like(client_log($client), qr/stopped by a signal: 3 records/, 'says so');
cmp_ok(lsn_number(sidecar_position($out)->{end_lsn}), '>', lsn_number($ahead), 'what was in flight is durable');
is(confirmed('s'), lsn_number(sidecar_position($out)->{confirmed}), 'and acknowledged');
wait_inactive('s');

# in mid-transaction: a window that is small, and a standard output that nobody reads
$node->safe_psql('postgres',
	"INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(10001, 20000) g");
my $before = confirmed('s');
my $part = "$dir/part.ndjson";
$node->safe_psql('postgres', "SELECT pg_copy_logical_replication_slot('s', 's_part')");
$client = start_client($db, 's_part', "file://$part", args => [ '--max-in-flight=64KiB', '--commit-interval=0' ]);
wait_until('a part of the transaction', sub { -e $part && -s $part > 100_000 });
is(kill_client($client, 'INT'), 0, 'SIGINT in mid-transaction: exit code 0');
my $stopped = sidecar_position($part);
my $delivered = () = slurp_bytes($part) =~ /\n/g;
SKIP:
{
	skip 'the transaction was whole before the signal came', 3 if $delivered == 10000;
	is($stopped->{seq}, $delivered, 'the position is in the midst of the transaction');
	is($stopped->{offset}, -s $part, 'the file ends with it');
	cmp_ok(confirmed('s_part'), '<=', $before + 8192, 'the transaction is not acknowledged');
}
wait_inactive('s_part');
($code) = run_client($db, 's_part', "file://$part", '--until=now');
is(ids($part), join(' ', 10001 .. 20000), 'the rest of it follows, none of it twice');

# the standard output
pipe(my $reader, my $writer);
$client = start_client($db, 's', '-', stdout => $writer);
close($writer);
my $first = <$reader>;
like($first, qr/^\{"op":"insert".*"id":10001,/, 'stdout: records');
close($reader);
is(wait_client($client), 0, 'stdout: a reader that goes away is the end, exit code 0');
like(client_log($client), qr/whoever read from the standard output has gone/, 'stdout: says so');
is(confirmed('s'), $before, 'stdout: what was not read to the end is not acknowledged');
wait_inactive('s');
$client = start_client($db, 's', '-', args => ['--until=now']);
is(wait_client($client), 0, 'stdout into a file');
is(ids("$client->{log}.stdout"), join(' ', 10001 .. 20000), 'stdout: at least once');

# refusals: each with exit code 2, both positions and the way out
sub refused
{
	my ($name, $slot, $sink, $message, $accept, @args) = @_;
	my ($exit, $text) = run_client($db, $slot, $sink, '--until=now', @args);

	is($exit, 2, "$name: exit code 2") or diag($text);
	like($text, $message, "$name: says what");
	like($text, qr/DETAIL.*confirmed|DETAIL.*slot/, "$name: positions");
	like($text, $accept, "$name: way out");
	return;
}

# the file sink's position is behind: stdout has consumed
refused('gap', 's', "file://$out", qr/records are missing: slot "s" has moved on/, qr/--accept=gap/);
refused('gap, another flag', 's', "file://$out", qr/records are missing/, qr/--accept=gap/,
	'--accept=divergence,other-source');
($code, $log) = run_client($db, 's', "file://$out", '--until=now', '--accept=gap');
is($code, 0, 'gap accepted') or diag($log);
like($log, qr{WARNING accepted: what was committed between \S+ and \S+ is not delivered}, 'gap: logged');
($code) = run_client($db, 's', "file://$out", '--until=now');
is($code, 0, 'gap: accepted once and for all');

create_slot($node, 'postgres', 'other');
refused('other source', 'other', "file://$out", qr/belongs to another source/, qr/--accept=other-source/);
insert(30001, 30002);
($code, $log) = run_client($db, 'other', "file://$out", '--until=now', '--accept=other-source');
is($code, 0, 'other source accepted') or diag($log);
like($log, qr/WARNING accepted: the sink's position belonged to slot "s"/, 'other source: logged');
like(ids($out), qr/ 30001 30002$/, 'other source: goes on from its slot');
is(sidecar_position($out)->{incarnation}, 1, 'other source: another incarnation');

refused('--require-position', 'other', "file://$dir/new.ndjson", qr/has no position for slot "other"/,
	qr/--require-position/, '--require-position');

# a slot created anew has moved on
$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('other')");
insert(30003, 30003);
create_slot($node, 'postgres', 'other');
refused('slot created anew', 'other', "file://$out", qr/records are missing/, qr/--accept=gap/);

# a file of somebody else's
append_to_file("$dir/mine.txt", "do not lose this\n");
refused_file('data without a sidecar', "file://$dir/mine.txt", 2, qr/holds 17 bytes/);
is(slurp_file("$dir/mine.txt"), "do not lose this\n", 'it is left alone');
refused_file('no directory', "file://$dir/no/such.ndjson", 1, qr/directory must exist/);
refused_file('directory', "file://$dir/", 1, qr/names no file/);
refused_file('host', 'file://somewhere/x', 1, qr/three slashes/);
refused_file('parameter', "file://$dir/x?rotat=1GiB", 1, qr/no parameter "rotat"; it has: rotate=SIZE/);
refused_file('size', "file://$dir/x?rotate=1KiB", 1, qr/at least 64KiB/);
refused_file('scheme', 'pulsar://x', 1, qr/Possible are:.*file:/);

sub refused_file
{
	my ($name, $sink, $expected, $message) = @_;
	my ($exit, $text) = run_client($db, 's', $sink, '--until=now');

	is($exit, $expected, "$name: exit code $expected");
	like($text, $message, "$name: says why");
	return;
}

# two clients
$client = start_client($db, 's', "file://$out", args => ['--accept=other-source,gap']);
wait_log($client, qr/streaming slot/);
my $walsender = walsender_pid($node, 'postgres', 's');
($code, $log) = run_client($db, 's', "file://$dir/second.ndjson", '--until=now', '--retry-for=1s');
is($code, 3, 'a slot that is held: waits, then gives up with exit code 3');
like($log, qr/active for PID $walsender/, 'and says who holds it');
create_slot($node, 'postgres', 'third');
($code, $log) = run_client($db, 'third', "file://$out", '--until=now', '--retry-for=1s');
is($code, 3, 'a file that is held: the same');
like($log, qr/in use by another cdc_client \(process $client->{pid}\)/, 'and says who holds it');
my $second = start_client($db, 's', "file://$out", args => ['--until=now']);
wait_log($second, qr/active for PID $walsender/);
kill_client($client, 'KILL');
is(wait_client($second), 0, 'who waits follows when the other has gone');

# a file that is removed while the client writes to it: no more is confirmed than what was in it
my $removed = "$dir/removed.ndjson";
create_slot($node, 'postgres', 'removed');
$client = start_client($db, 'removed', "file://$removed", args => ['--commit-interval=10ms']);
wait_log($client, qr/streaming slot/);
unlink($removed) or die "could not remove $removed: $!";
$node->safe_psql('postgres', 'CREATE TABLE removed (id int); INSERT INTO removed VALUES (1)');
is(wait_client($client), 2, 'a file that is removed: exit code 2');
like(client_log($client), qr/ERROR .*"\Q$removed\E" was removed while it was being written to/, 'says so');
unlink("$removed.cdc-position");
($code, $log) = run_client($db, 'removed', "file://$removed", '--until=now');
is($code, 0, 'the next start takes it for new') or diag($log);
is(() = slurp_file($removed) =~ /"table":"removed"/g, 1, 'and nothing is missing');

# a slot that is not there
($code, $log) = run_client($db, 'nowhere', "file://$dir/x", '--until=now');
is($code, 2, 'no slot: exit code 2');
like($log, qr/--create-slot/, 'no slot: way out');
($code, $log) = run_client($db, 'nowhere', "file://$dir/x", '--until=now', '--create-slot');
is($code, 0, '--create-slot') or diag($log);

$node->stop;
done_testing();
