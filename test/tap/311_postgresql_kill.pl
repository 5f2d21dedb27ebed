# The postgresql sink under kill -9 of the client, crashes of its server and ended sessions, at random
# instants under load: each record exactly once, in order, and nothing told to the source before it is durable.
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
use Time::HiRes qw(usleep);

my $kills = 15;
my $crashes = 3;

seed_random(20260310);
my $source = make_node('source');
my $target = sink_node('target');
my $db = conninfo($source, 'postgres');
my $sink = sink_uri($target, 'postgres');
my $ahead = 0;

make_bank($source, 'bank');
make_sink_table($target, 'postgres');
my $load = start_bank_load($source);

sub client
{
	my @args = ('--commit-interval=' . pick('0', '5ms', '50ms'), '--max-in-flight=' . pick('64KiB', '1MiB'));
	return start_client($db, 'bank', $sink, args => [ @args, @_ ]);
}

# The slot is never ahead of what the sink has stored.
sub compare_positions
{
	my ($when) = @_;
	my $slot = $source->safe_psql('postgres', "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'bank'");
	return unless $target->safe_psql('postgres', "SELECT to_regclass('cdc_positions') IS NOT NULL") eq 't';
	my $stored = sink_position($target, 'postgres', 'bank')->{confirmed};
	if (defined $stored && lsn_number($slot) > lsn_number($stored))
	{
		diag("$when: slot at $slot, sink at $stored");
		$ahead++;
	}
	return;
}

foreach my $i (1 .. $kills)
{
	my $client = client();

	# some die while they start, the others at any moment of their work
	wait_log($client, qr/streaming slot/) unless chance(5);
	usleep(int(rand(300_000)));
	kill_client($client, 'KILL');
	compare_positions("kill $i");
}

# the sink's server crashes, and its sessions are ended: the client stays, and goes on
my $client = client();
foreach my $i (1 .. $crashes)
{
	wait_log($client, qr/streaming slot/, 2 * $i - 1);
	usleep(int(rand(300_000)));
	$target->stop('immediate');
	$target->start;
	wait_log($client, qr/streaming slot/, 2 * $i);
	compare_positions("crash $i");
	usleep(int(rand(300_000)));
	$target->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'");
}
wait_log($client, qr/streaming slot/, 2 * $crashes + 1);
is($ahead, 0, 'the slot was never ahead of the sink');
stop_bank_load($load);
is(kill_client($client, 'TERM'), 0, 'the client ends on request');
my ($code, $log) = run_client($db, 'bank', $sink, '--until=now');
is($code, 0, 'the last client ends') or diag($log);
my $records = check_bank("each record exactly once over $kills kills and $crashes crashes", $source,
	sink_bank_file($target, 'postgres'));
cmp_ok($records, '>', 1000, 'there was load');
is($target->safe_psql('postgres',
		'SELECT count(*) FROM (SELECT (commit_lsn, seq) <= lag((commit_lsn, seq)) OVER (ORDER BY arrived) AS falls FROM cdc_records) x WHERE falls'),
	0, 'in order');

$source->stop;
$target->stop;
done_testing();
