# kill -9 of the client at random instants under load: each record exactly once, and nothing told to the
# server before it is durable.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $kills = 25;

seed_random(20260102);
my $node = make_node('kill');
my $db = conninfo($node, 'postgres');
my $out = PostgreSQL::Test::Utils::tempdir() . '/bank.ndjson';
my $sink = "file://$out?rotate=256KiB";

make_bank($node, 'bank');
my $load = start_bank_load($node);
my $ahead = 0;

foreach my $i (1 .. $kills)
{
	my $client = start_client($db, 'bank', $sink,
		args => [ '--commit-interval=' . pick('0', '5ms', '50ms'), '--max-in-flight=' . pick('64KiB', '1MiB') ]);

	# some die while they start, the others at any moment of their work
	wait_log($client, qr/streaming slot/) unless chance(5);
	usleep(int(rand(400_000)));
	kill_client($client, 'KILL');
	next unless -e "$out.cdc-position";
	my $position = sidecar_position($out);
	my $slot = $node->safe_psql('postgres',
		"SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'bank'");
	if (defined $position->{confirmed} && lsn_number($slot) > lsn_number($position->{confirmed}))
	{
		diag("kill $i: slot at $slot, file at $position->{confirmed}");
		$ahead++;
	}
}
is($ahead, 0, 'the slot was never ahead of the file');
stop_bank_load($load);
my ($code, $log) = run_client($db, 'bank', $sink, '--until=now');
is($code, 0, 'the last client ends') or diag($log);
my @files = bank_files($out);
cmp_ok(scalar @files, '>', 1, 'files were rotated meanwhile');
my $records = check_bank("each record exactly once over $kills kills", $node, @files);
cmp_ok($records, '>', 1000, 'there was load');

$node->stop;
done_testing();
