# kafka://: kill -9 of the client and of the broker at random instants under load: a reader of what is committed
# sees each record exactly once and in order; with delivery=at-least-once, each once at least.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use KafkaBroker;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $missing = kafka_missing();
plan skip_all => $missing if $missing;

my $kills = 12;

seed_random(20260301);
my $broker = KafkaBroker->new('auto.create.topics.enable=false',
	'transaction.abort.timed.out.transaction.cleanup.interval.ms=500')->start;
my $node = make_node('kafka_kill');
my $db = conninfo($node, 'postgres');
my %uri = (
	exactly => 'kafka://' . $broker->address . '/bank',
	least => 'kafka://' . $broker->address . '/bank-again?delivery=at-least-once',
	# what a client leaves open that is not started again hides the others' positions until it times out
	keys => 'kafka://' . $broker->address . '/bank-by-key?transaction.timeout.ms=2000');

$broker->create_topic('bank', 1);
$broker->create_topic('bank-again', 1);
$broker->create_topic('bank-by-key', 4);
make_bank($node, 'exactly');
$node->safe_psql('postgres', "SELECT pg_copy_logical_replication_slot('exactly', '$_')") foreach 'least', 'keys';
my $load = start_bank_load($node, rate => 200);

# What the position in the topic allows the slot to be told.
sub confirmed
{
	my ($slot) = @_;
	my @mine = grep { $_->{key} =~ m{/\Q$slot\E$} } $broker->consume('cdc-positions');
	my ($lsn) = @mine ? $mine[-1]{value} =~ /"confirmed":"([0-9A-F\/]+)"/ : ();

	return defined $lsn ? lsn_number($lsn) : undef;
}

sub slot_at
{
	my ($slot) = @_;
	return lsn_number($node->safe_psql('postgres',
		"SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '$slot'"));
}

my ($ahead, $broker_kills) = (0, 0);
foreach my $i (1 .. $kills)
{
	my @slots = ('exactly', pick('least', 'keys'));
	my @clients = map {
		start_client($db, $_, $uri{$_}, args => [
			'--commit-interval=' . pick('0', '20ms', '100ms'), '--max-in-flight=' . pick('64KiB', '1MiB') ])
	} @slots;

	# some die while they start, the others at any moment of their work
	if (!chance(5))
	{
		wait_log($_, qr/streaming slot/) or BAIL_OUT('the client does not stream') foreach @clients;
	}
	usleep(int(rand(300_000)));
	if ($i % 5 == 0)
	{
		# the clients live through it
		$broker->kill9;
		$broker_kills++;
		usleep(int(rand(200_000)));
		$broker->start;
		usleep(int(rand(600_000)));
	}
	kill_client($_, 'KILL') foreach @clients;
	foreach my $slot (@slots)
	{
		my $slot_at = slot_at($slot); # before the position is read, which can only grow
		# a broker that was started anew may show less for a moment
		wait_until("slot $slot not to be ahead of its position after kill $i",
			sub { $slot_at <= (confirmed($slot) // $slot_at) }) or $ahead++;
	}
}
is($ahead, 0, 'no slot was ever ahead of what the topic says');
stop_bank_load($load);
foreach my $slot ('exactly', 'least', 'keys')
{
	my ($code, $log) = run_client($db, $slot, $uri{$slot}, '--until=now');
	is($code, 0, "$slot: the last client ends") or diag($log);
}

sub write_values
{
	my ($text) = @_;
	my $file = output_file('ndjson');

	append_to_file($file, $text);
	return $file;
}

# One partition, exactly once: as it is
my @bank = $broker->consume('bank');
my $records = check_bank("each record exactly once over $kills kills of the client and $broker_kills of the broker",
	$node, write_values(join('', map { "$_->{value}\n" } @bank)));
cmp_ok($records, '>', 1000, 'there was load');
my @all = $broker->consume('bank', isolation => 'read_uncommitted');
cmp_ok(scalar @all, '>', scalar @bank, 'there were transactions that were aborted, which is not to be seen');

# Four partitions, exactly once: each key in order, and all there are
sub id
{
	my ($message) = @_;
	my ($high, $low) = $message->{headers}{'cdc-commit-lsn'} =~ m{(.+)/(.+)};
	return sprintf('%08X/%08X %012d', hex $high, hex $low, $message->{headers}{'cdc-seq'});
}
my (%last, @wrong);
my @by_key = $broker->consume('bank-by-key');
foreach my $message (@by_key)
{
	push @wrong, id($message) if id($message) le ($last{ $message->{key} } // '');
	$last{ $message->{key} } = id($message);
}
is("@wrong", '', 'within a key, records are in order');
check_bank('and over all keys each is there exactly once', $node,
	write_values(join('', map { "$_->{value}\n" } sort { id($a) cmp id($b) } @by_key)));

# At least once: the first occurrences are as they should be
my (%seen, $doubles);
my $first = '';
foreach my $message ($broker->consume('bank-again'))
{
	if ($seen{ id($message) }++) { $doubles++ }
	else { $first .= "$message->{value}\n" }
}
check_bank('at least once: first occurrences are complete and in order', $node, write_values($first));
note(($doubles // 0) . ' records came again');

$node->stop;
$broker->stop;
done_testing();
