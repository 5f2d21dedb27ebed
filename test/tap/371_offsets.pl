# offsets show, set and reset: what a sink's position set by hand skips and brings again, and what is refused.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcAdmin ();
use CdcStream;
use CdcTest;
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = make_node('offsets');
my $dir = PostgreSQL::Test::Utils::tempdir();
my $file = "$dir/out";
my $db = conninfo($node, 'postgres');
my ($code, $log, $out, $err);

$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY)');
create_slot($node, 'postgres', 's');

sub offsets
{
	my ($what, @args) = @_;
	my ($stdout, $stderr) = ('', '');
	my $handle = IPC::Run::start([ client_binary(), 'offsets', $what, "--dbname=$db", '--slot=s', "--sink=file://$file", @args ],
		'<', \undef, '>', \$stdout, '2>', \$stderr, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	$handle->finish;
	return ($handle->result(0), $stdout, $stderr);
}

sub insert
{
	my ($id) = @_;
	my $lsn = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
	$node->safe_psql('postgres', "INSERT INTO t VALUES ($id)");
	# 19 prints the lower half with leading zeros
	return $lsn =~ s{/0+(?=.)}{/}r;
}

sub stream
{
	my ($name) = @_;
	($code, $log) = run_client($db, 's', "file://$file", '--until=now');
	is($code, 0, $name) or diag($log);
	return join(' ', slurp_bytes($file) =~ /"after":\{"id":(\d+)/g);
}

# a sink that has nothing yet
($code, $out, $err) = offsets('show');
is($code, 0, 'show before the first start');
like($out, qr/^position +none: the sink has none for this slot yet\nslot is confirmed at +[0-9A-F]+\/[0-9A-F]+$/m, 'says so');
is_deeply([ offsets('show', '--json') ]->[1] =~ /"position":(\w+)/ ? $1 : '', 'null', 'and as JSON');
ok(!-e $file, 'and leaves no trace');

insert(1);
is(stream('a first record'), '1', 'is there');
my $position = sidecar_position($file);
($code, $out, $err) = offsets('show');
like($out, qr/^source +this slot$/m, 'show: whose it is');
like($out, qr/^last record +$position->{commit_lsn} seq $position->{seq} part 0$/m, 'the last record');
like($out, qr/^confirmed +$position->{confirmed}$/m, 'what is confirmed');
my $json = JSON::PP->new->decode([ offsets('show', '--json') ]->[1]);
is($json->{position}{commit_lsn}, $position->{commit_lsn}, 'the same as JSON');
ok($json->{same_source}, 'of the same source');

# ahead: skipped, but only when told so
insert(2);
my $third = insert(3);
($code, $out, $err) = offsets('set', "--lsn=$third");
is($code, 1, 'set without --yes: exit code 1');
like($err, qr/has changed nothing\n.*DETAIL .*set to $third\. What commits from $third on is delivered\. What was committed between .* is skipped for good\.\n.*HINT .*add --yes/,
	'says what would follow');
is_deeply(sidecar_position($file), $position, 'and has changed nothing');
($code, $out, $err) = offsets('set', "--lsn=$third", '--yes');
is($code, 0, 'set') or diag($err);
like($err, qr/INFO +the sink's position is now commit_lsn $third seq 0 .*\n.*INFO .*skipped for good/, 'says what follows');
is(stream('after set'), '1 3', 'one is skipped');
is(sidecar_position($file)->{incarnation}, 0, 'none came twice');

# what the slot cannot give
($code, $out, $err) = offsets('set', '--lsn=0/1', '--yes');
is($code, 1, 'an LSN before the slot: exit code 1');
like($err, qr/ERROR .*0\/1 lies before .*, where slot "s" begins.*HINT .*copy of the slot/s, 'and why');
($code, $out, $err) = offsets('set', '--lsn=FFFF/0', '--yes');
is($code, 1, 'an LSN beyond the WAL: exit code 1');
like($err, qr/lies beyond .*HINT .*Allowed is/s, 'and what is allowed');

# the same slot made anew further back, by a copy made earlier: what comes twice has another incarnation
is(system(client_binary(), 'slot', 'copy', '-q', "--dbname=$db", '--slot=s', '--to=bookmark'), 0, 'slot copy');
insert(4);
is(stream('one more'), '1 3 4', 'is there');
$node->safe_psql('postgres', q{SELECT pg_drop_replication_slot('s')});
is(system(client_binary(), 'slot', 'copy', '-q', "--dbname=$db", '--slot=bookmark', '--to=s'), 0, 'the slot from its copy');
is(stream('without a word'), '1 3 4', 'nothing comes twice');
$node->safe_psql('postgres', q{SELECT pg_drop_replication_slot('s')});
is(system(client_binary(), 'slot', 'copy', '-q', "--dbname=$db", '--slot=bookmark', '--to=s'), 0, 'once more');
($code, $out, $err) = offsets('reset');
is($code, 1, 'reset without --yes: exit code 1');
like($err, qr/offsets reset was not told --yes.*DETAIL .*second time, under incarnation 1/s, 'says what would follow');
($code, $out, $err) = offsets('reset', '--yes');
is($code, 0, 'reset') or diag($err);
is(stream('after reset'), '1 3 4 4', 'what the slot has comes again');
is(sidecar_position($file)->{incarnation}, 1, 'in another incarnation');

# not while a client streams, nor what is not there
my $client = start_client($db, 's', "file://$file");
wait_log($client, qr/streaming slot/);
my $pid = walsender_pid($node, 'postgres', 's');
($code, $out, $err) = offsets('reset', '--yes');
is($code, 2, 'while a client streams: exit code 2');
like($err, qr/a client streams from slot "s" \(walsender pid $pid\)/, 'names it');
($code, $out, $err) = offsets('show');
like($out, qr/^incarnation +1$/m, 'but it can be looked at');
is(kill_client($client, 'TERM'), 0, 'ends on request');
foreach my $case (
	[ [ 'set', '--yes' ], 1, qr/"offsets set" needs option "lsn"/, 'set without an LSN' ],
	[ [ 'reset', '--yes', '--slot=none' ], 1, qr/option "slot" was given before/, 'a slot given twice' ],
	[ [ 'show', '--sink=-' ], 1, qr/option "sink" was given before/, 'a sink given twice' ])
{
	($code, $out, $err) = offsets(@{ $case->[0] });
	is($code, $case->[1], "$case->[3]: exit code $case->[1]");
	like($err, $case->[2], $case->[3]);
}
my ($stdout, $stderr) = ('', '');
IPC::Run::run([ client_binary(), 'offsets', 'reset', "--dbname=$db", '--slot=s', '--sink=-', '--yes' ], '>', \$stdout, '2>', \$stderr);
is($? >> 8, 1, 'a sink without a memory: exit code 1');
like($stderr, qr/sink "-" keeps no position that could be set/, 'and said to be');
IPC::Run::run([ client_binary(), 'offsets', 'reset', "--dbname=$db", '--slot=none', "--sink=file://$file", '--yes' ], '>', \$stdout, '2>', \$stderr);
is($? >> 8, 1, 'a slot that is not there: exit code 1');
IPC::Run::run([ client_binary(), 'slot', 'copy', "--dbname=$db", '--slot=s', '--to=bookmark' ], '>', \$stdout, '2>', \$stderr);
is($? >> 8, 1, 'a copy onto a slot that is there: exit code 1');
like($stderr, qr/replication slot "bookmark" already exists/, 'and said to be') or diag($stderr);

$node->stop;
done_testing();
