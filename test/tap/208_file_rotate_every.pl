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
my $period = 3;
my $sink = "file://$out?rotate-every=${period}s";
my $id = 0;
my $client;

$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY)');
create_slot($node, 'postgres', 's');

sub this_period
{
	return int(time() / $period);
}

sub insert
{
	my $new = ++$id;
	$node->safe_psql('postgres', "INSERT INTO t VALUES ($new)");
	wait_until("record $new", sub { grep { -e $_ && slurp_bytes($_) =~ /"id":$new\}/ } bank_files($out) });
	return $new;
}

# within_a_period(SUB): runs it from the beginning of a period, again until one was long enough for it; the period
sub within_a_period
{
	my ($sub) = @_;

	foreach my $try (1 .. 20)
	{
		my $before = this_period();
		wait_until('the next period', sub { this_period() > $before });
		my $period = this_period();
		$sub->();
		return $period if this_period() == $period;
	}
	die 'this machine is too slow for the test';
}

sub ids
{
	my ($file) = @_;
	return join(' ', slurp_bytes($file) =~ /"after":\{"id":(\d+)/g);
}

sub number_of_files
{
	my @files = bank_files($out);
	return scalar @files;
}

# files_with(IDS): of the rotated files, those with these and no other records
sub files_with
{
	my (@ids) = @_;
	my (undef, @rotated) = reverse bank_files($out);
	return grep { ids($_) eq "@ids" } @rotated;
}

sub start
{
	$client = start_client($db, 's', $sink, args => ['--commit-interval=1h']);
	wait_log($client, qr/streaming slot/);
	return;
}

# two records of one period, and then nothing
start();
my (@ids, $rotated, $still);
my $first = within_a_period(sub {
	$rotated = number_of_files();
	@ids = (insert(), insert());
	$still = number_of_files();
});
is($still, $rotated, 'nothing is rotated within a period');
ok(wait_until('the rotation', sub { files_with(@ids) }), 'a file is rotated when its period is over, although nothing comes');
cmp_ok(this_period(), '>', $first, 'not before that');
my $number = number_of_files();
ok(wait_until('the new file', sub { sidecar_position($out)->{file} == $number }), 'the next one begins');
isnt(sidecar_position($out)->{end_lsn}, '0/0', 'what is rotated is durable, whatever the commit interval');

# over a restart
my ($last, $began, $end);
my $second = within_a_period(sub {
	start() if $client->{ended};
	is(number_of_files(), $number, 'an empty file is not rotated') unless defined $last;
	$last = insert();
	$end = kill_client($client, 'TERM');
	$client->{ended} = 1;
	$began = sidecar_position($out)->{began};
});
is($end, 0, 'stopped');
is(int($began / $period), $second, 'the sidecar remembers when the file began');
wait_until('the period to end', sub { this_period() > $second });
ok(!files_with($last), 'with no client there is no rotation');
start();
ok(wait_until('the rotation', sub { files_with($last) }), 'a file of an earlier period is rotated by the next client');
insert();
is(kill_client($client, 'TERM'), 0, 'stopped');
is(join(' ', grep { length } map { ids($_) } bank_files($out)), join(' ', 1 .. $id), 'each record once, in order');

# what is not allowed
foreach my $value ('0', '500ms', '1.5', 'soon', '-1h')
{
	my ($code, $log) = run_client($db, 's', "file://$out?rotate-every=$value", '--until=now');
	is($code, 1, "rotate-every=$value: exit code 1") or diag($log);
	like($log, qr/rotate-every/, 'names it');
}

$node->stop;
done_testing();
