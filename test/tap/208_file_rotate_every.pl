# rotate-every=TIME of the file sink: files that end where the clock's periods do, idle or not, and over restarts.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = make_node('hours');
my $dir = PostgreSQL::Test::Utils::tempdir();
my $db = conninfo($node, 'postgres');
my $out = "$dir/out.ndjson";

$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY, at timestamptz DEFAULT now())');
create_slot($node, 'postgres', 's');

# a period is long enough that all that a step does lies in one
my $period = 3;
my $sink = "file://$out?rotate-every=${period}s";

sub at_the_beginning_of_a_period
{
	my $now = int(time() / $period);
	wait_until('the next period', sub { int(time() / $period) > $now });
	return int(time() / $period);
}

sub insert
{
	my ($id) = @_;
	$node->safe_psql('postgres', "INSERT INTO t VALUES ($id)");
	ok(wait_until("record $id", sub { grep { -e $_ && slurp_bytes($_) =~ /"id":$id,/ } bank_files($out) }), "record $id");
	return;
}

sub ids
{
	my ($file) = @_;
	return join(' ', slurp_bytes($file) =~ /"after":\{"id":(\d+)/g);
}

my $client = start_client($db, 's', $sink, args => ['--commit-interval=1h']);
wait_log($client, qr/streaming slot/);
my $first = at_the_beginning_of_a_period();
insert(1);
insert(2);
SKIP:
{
	skip 'the period was over before the records came', 1 if int(time() / $period) > $first;
	ok(!-e "$out.000001", 'nothing is rotated within a period');
}
ok(wait_until('the rotation', sub { -e "$out.000001" }), 'a file is rotated when its period is over, although nothing comes');
cmp_ok(int(time() / $period), '>', $first, 'not before that');
is(ids("$out.000001"), '1 2', 'with what came in it');
ok(wait_until('the new file', sub { sidecar_position($out)->{file} == 2 }), 'the next one begins');
cmp_ok(sidecar_position($out)->{end_lsn} ne '0/0', '==', 1, 'what is rotated is durable, whatever the commit interval');

# over a restart
my $second = at_the_beginning_of_a_period();
ok(!-e "$out.000002", 'an empty file is not rotated');
insert(3);
is(kill_client($client, 'TERM'), 0, 'stopped');
SKIP:
{
	skip 'the period was over before the client ended', 1 if -e "$out.000002";
	my $began = sidecar_position($out)->{began};
	is(int($began / $period), $second, 'the sidecar remembers when the file began');
}
wait_until('the period to end', sub { int(time() / $period) > $second });
$client = start_client($db, 's', $sink, args => ['--commit-interval=1h']);
ok(wait_until('the rotation', sub { -e "$out.000002" }), 'a file of an earlier period is rotated by the next client');
is(ids("$out.000002"), '3', 'with what was in it');
insert(4);
is(kill_client($client, 'TERM'), 0, 'stopped');
my @files = bank_files($out);
is(join(' ', map { ids($_) } @files), $files[3] ? '1 2 3 4 ' : '1 2 3 4', 'each record once, in order');

# what is not allowed
foreach my $value ('0', '500ms', '1.5', 'soon', '-1h')
{
	my ($code, $log) = run_client($db, 's', "file://$out?rotate-every=$value", '--until=now');
	is($code, 1, "rotate-every=$value: exit code 1") or diag($log);
	like($log, qr/rotate-every/, 'names it');
}

$node->stop;
done_testing();
