# Existing rows into every sink that has a server, under load, with the client killed amid them: what each sink
# promises of a row (doc/snapshot.md), and that a replay is what the tables hold.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../e2e/lib";
use CdcSnapshot;
use CdcStream;
use CdcTest;
use FaultSink;
use FaultSnapshot;
use KafkaBroker;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

seed_random(20260238);
my $rows = 1500;
my @tables = qw(items parted_1 parted_2 by_code whole short empty keyless);
my $node = make_node('sinks');
my $db = conninfo($node, 'postgres');
my $dir = PostgreSQL::Test::Utils::tempdir();

# how: a row comes "once"; "again" where it had not been made sure of; the client "begins" anew, or "stops" instead.
# A row of a table without a key cannot be known again where it comes again.
my @cases = (
	{ name => 'kafka', how => 'once' },
	{ name => 'kafka_at_least_once', sink => 'kafka', how => 'again' },
	{ name => 'redis', how => 'once' },
	{ name => 'postgresql', how => 'once' },
	{ name => 'nats', how => 'again' },
	{ name => 'http', how => 'begins' },
	{ name => 'grpc', how => 'stops' });
my %sinks;

sub start_case
{
	my ($case, @args) = @_;
	$case->{client} = start_client($db, $case->{name}, $case->{uri}, args => [ '--commit-interval=20ms', @args ]);
	return $case->{client};
}

# each_killed(CASES, PATTERN): each as soon as its log holds that, and a moment more
sub each_killed
{
	my $pattern = pop @_;
	my @left = @_;

	wait_until("$pattern in the clients' logs", sub {
		foreach my $case (grep { client_log($_->{client}) =~ $pattern } @left)
		{
			usleep(int(rand(30_000)));
			kill_client($case->{client}, 'KILL');
			$case->{killed} = 1;
		}
		@left = grep { !delete $_->{killed} } @left;
		return !@left;
	});
	return;
}

# Kafka's topic of its own for what is delivered at least once is not the one that FaultSink reads.
sub delivered
{
	my ($case) = @_;
	return @{ read_lines($case->{sink}->delivered($node)) } if $case->{name} ne 'kafka_at_least_once';
	return map { $_->{value} } $case->{sink}{broker}->consume('again');
}

# ------------------------------------------------------------------------------------------------
# All at the same time: begun, killed amid the rows, gone on with, killed once more
# ------------------------------------------------------------------------------------------------

make_tables($node, $rows);
$node->safe_psql('postgres', 'DELETE FROM by_code WHERE id > 800; DELETE FROM whole WHERE id > 800');
foreach my $case (@cases)
{
	my $name = $case->{sink} // $case->{name};
	if (!$sinks{$name})
	{
		$sinks{$name} = FaultSink::make($name, $dir);
		$case->{missing} = $sinks{$name}->missing;
		$sinks{$name}->start unless $case->{missing};
	}
	$case->{sink} = $sinks{$name};
	next if $case->{missing} //= $case->{sink}->missing;
	$case->{uri} = $case->{sink}->uri;
	$case->{uri} =~ s{/bank$}{/again?delivery=at-least-once} if $case->{name} eq 'kafka_at_least_once';
	create_slot($node, 'postgres', $case->{name});
}
foreach my $case (grep { $_->{missing} } @cases)
{
  SKIP: { skip "$case->{name}: $case->{missing}", 1 }
}
@cases = grep { !$_->{missing} } @cases;
my $load = start_load($node, $rows, rate => 50);
start_case($_, '--snapshot=initial', '--max-rate=700') foreach @cases;
each_killed(@cases, qr/snapshot: table public\.items is through/);
foreach my $case (@cases)
{
	unlike(client_log($case->{client}), qr/existing rows: through/, "$case->{name}: killed amid existing rows");
	start_case($case, '--snapshot=initial', '--max-rate=700') if $case->{how} ne 'stops';
}
each_killed((grep { $_->{how} ne 'stops' } @cases), qr/streaming slot/);
foreach my $case (grep { $_->{how} ne 'stops' } @cases)
{
	my $expected = $case->{how} eq 'begins' ? qr/existing rows: \d+ tables, about/ : qr/existing rows: going on with \d+ of \d+ tables/;
	like(client_log($case->{client}), $expected, "$case->{name}: started again it "
		. ($case->{how} eq 'begins' ? 'begins with them anew' : 'goes on'));
	start_case($case, '--snapshot=initial');
}

# ------------------------------------------------------------------------------------------------
# The standard output loses its connection while nobody reads: what it holds then comes, and does not come again
# ------------------------------------------------------------------------------------------------

pipe(my $reading, my $writing) or die "could not make a pipe: $!";
create_slot($node, 'postgres', 'output');
my $output = start_client($db, 'output', '-', stdout => $writing, args => ['--snapshot=initial']);
close($writing);
# what the kernel holds of it does not grow any more (FIONREAD)
my $held = -1;
wait_until('the pipe to be full', sub {
	my $size = pack('L', 0);
	ioctl($reading, 0x541B, $size) or die "ioctl failed: $!";
	my $before = $held;
	$held = unpack('L', $size);
	return $held > 32768 && $held == $before;
});
$node->safe_psql('postgres', q(SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'output' AND active));

# ------------------------------------------------------------------------------------------------
# gRPC: what the server keeps does not tell how far it was
# ------------------------------------------------------------------------------------------------

foreach my $case (grep { $_->{how} eq 'stops' } @cases)
{
	start_case($case, '--snapshot=initial');
	is(wait_client($case->{client}), 2, "$case->{name}: a client that is started again does not guess");
	like(client_log($case->{client}), qr/does not tell whether a snapshot.*empty the receiver, its position too, and start again/s,
		'and says what to do');
	# an empty receiver in place of the one that is left
	$case->{sink}->stop;
	$case->{sink}->proxy->stop;
	$case->{sink} = $sinks{ $case->{name} } = FaultSink::make($case->{name}, $dir);
	$case->{sink}->start;
	$case->{uri} = $case->{sink}->uri;
	start_case($case, '--snapshot=initial');
	$case->{how} = 'once';
	$case->{last} = '--snapshot=never';
}

# ------------------------------------------------------------------------------------------------
# To the end
# ------------------------------------------------------------------------------------------------

wait_log($_->{client}, qr/existing rows: through/) foreach @cases;
stop_load($load);
foreach my $case (@cases)
{
	is(kill_client($case->{client}, 'TERM'), 0, "$case->{name}: through") or diag(client_log($case->{client}));
	start_case($case, $case->{last} // '--snapshot=initial', '--until=now');
}
foreach my $case (@cases)
{
	my $name = $case->{name};

	is(wait_client($case->{client}), 0, "$name: what was left") or diag(client_log($case->{client}));
	unlike(client_log($case->{client}), qr/snapshot of existing rows/, "$name: and no existing rows once more")
	  unless $case->{how} eq 'begins';
	my @lines = delivered($case);
	my ($kept, $late) = rising_records(@lines);
	# rows of by_code are read in the order of another key than the one that records have
	my ($twice, $count) = doubled_row(grep { !/"table": ?"by_code"/ } @lines);
	my @known = grep { $case->{how} eq 'once' || $_ ne 'keyless' } @tables;
	my $counts = check_replay("$name: replayed, it is what the tables hold", $node, \@known, $kept);
	cmp_ok($count, '>', $rows, "$name: $count existing rows");
	is($twice, undef, "$name: each of them once") if $case->{how} eq 'once';
	ok($twice, "$name: they came again, as others") if $case->{how} eq 'begins';
	is($late, 0, "$name: no change came again") if $case->{how} eq 'once' || $name eq 'nats';
	note("$name: " . @lines . " records, $late late, $counts->{snapshot} of existing rows");
}

wait_log($output, qr/trying again/);
my ($written, $asked) = ('', 0);
while ((my $piece = read_piece($reading, 65536)) ne '')
{
	$written .= $piece;
	next if $asked || client_log($output) !~ /existing rows: through/;
	$asked = kill('TERM', $output->{pid});
}
is(wait_client($output), 0, 'to the standard output, over a lost connection') or diag(client_log($output));
my ($row_twice, $row_count) = doubled_row(grep { /"table":"(?:items|parted_\d|whole)"/ } split(/\n/, $written));
is($row_twice, undef, 'each row once');
cmp_ok($row_count, '>', $rows, "$row_count existing rows");

foreach my $sink (values %sinks)
{
	$sink->stop;
	$sink->proxy->stop if $sink->proxy;
}
$node->stop;
done_testing();
