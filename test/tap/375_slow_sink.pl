# A sink that takes one record a second, under load: memory stays flat, the connection lives although
# wal_sender_timeout is short, and everything is delivered once it takes more again.
#
# CDC_SLOW_SECONDS says how long it is slow; 120 is what the design asks for, 15 serves every day.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use HttpReceiver;
use IO::Select;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $seconds = delete $ENV{CDC_SLOW_SECONDS} // 15; # it is no option of the client's
my $node = make_node('slow');
my $dir = PostgreSQL::Test::Utils::tempdir();
my $db = conninfo($node, 'postgres', options => '-c wal_sender_timeout=5s');
my $receiver = HttpReceiver->new;
my $sanitized = client_sanitized();

# What the process has now, in bytes.
sub memory
{
	my ($client) = @_;
	slurp_file("/proc/$client->{pid}/status") =~ /^VmRSS:\s+(\d+) kB/m or die 'no VmRSS';
	return $1 * 1024;
}

make_bank($node, 'bank');
$node->safe_psql('postgres', "SELECT pg_copy_logical_replication_slot('bank', 'bank_pipe')");
my $load = start_bank_load($node, rate => 20);

# one request a second, of one record; and a pipe from which a line is read each second
$receiver->behave(delay => 1);
my $http = start_client($db, 'bank', $receiver->url('cdc.batch-records=1'), args => ['--max-in-flight=64KiB']);
pipe(my $reader, my $writer);
my $pipe = start_client($db, 'bank_pipe', '-', stdout => $writer, args => ['--max-in-flight=64KiB']);
close($writer);
open(my $lines, '>', "$dir/pipe") or die "could not open $dir/pipe: $!";

my %walsender;
foreach my $slot ('bank', 'bank_pipe')
{
	$node->poll_query_until('postgres', "SELECT active FROM pg_replication_slots WHERE slot_name = '$slot'")
	  or die "no client has slot $slot";
	$walsender{$slot} = walsender_pid($node, 'postgres', $slot);
}
my $started = time();
my ($early, $late, $read) = (undef, undef, 0);
while (time() - $started < $seconds)
{
	# select() is what paces the reader; nothing waits for anything here
	select(undef, undef, undef, 1);
	my $piece = read_piece($reader, 200);
	die 'the client has gone' if $piece eq '';
	print $lines $piece;
	$read++;
	my @now = map { memory($_) } $http, $pipe;
	@{ $early //= [@now] } = @now if time() - $started < $seconds / 3;
	$late = \@now;
}
cmp_ok(scalar $receiver->records, '>=', $seconds / 2, 'one request after the other was taken');
cmp_ok(scalar $receiver->records, '<=', $seconds + 2, 'and no more than one a second');
foreach my $i (0, 1)
{
	my $name = ('http', 'pipe')[$i];
	next if $sanitized; # a sanitizer's memory is not the client's
	cmp_ok($late->[$i], '<', $early->[$i] + 1024 * 1024, "$name: memory is flat: $early->[$i], then $late->[$i]");
	cmp_ok($late->[$i], '<', 32 * 1024 * 1024, "$name: and small");
}
foreach my $slot (sort keys %walsender)
{
	is(walsender_pid($node, 'postgres', $slot), $walsender{$slot}, "$slot: the connection is the same");
	is($node->safe_psql('postgres', "SELECT reply_time > now() - interval '4 s' FROM pg_stat_replication WHERE pid = $walsender{$slot}"),
		't', "$slot: and the server hears from the client");
}

# it takes more again
stop_bank_load($load);
my $end = $node->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()');
$receiver->behave;
my $done = sub {
	return $node->safe_psql('postgres', "SELECT bool_and(confirmed_flush_lsn >= '$end') FROM pg_replication_slots") eq 't';
};
my $ready = IO::Select->new($reader);
wait_until('everything to be delivered', sub {
	while ($ready->can_read(0))
	{
		my $piece = read_piece($reader, 1_000_000);
		die 'the client has gone' if $piece eq '';
		print $lines $piece;
	}
	return $done->();
});
close($lines);
is(kill_client($_, 'TERM'), 0, 'ends on request') foreach $http, $pipe;
unlike(client_log($_), qr/trying again|WARNING/, 'without a reconnect') foreach $http, $pipe;
check_bank('http: each record once and in order', $node, $receiver->records_file);
check_bank('pipe: each record once and in order', $node, "$dir/pipe");

$node->stop;
done_testing();
