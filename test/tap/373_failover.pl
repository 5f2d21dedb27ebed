# Failover under load: a slot that the standby keeps in step, a primary that dies, a promotion, and a client
# that finds the new primary by itself; nothing is lost or doubled.  Then the old primary comes back.
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

my $primary = make_node('primary', 'wal_keep_size = 1GB');
if ($primary->safe_psql('postgres', 'SHOW server_version_num') < 170000)
{
	$primary->stop;
	plan skip_all => 'needs PostgreSQL 17 or newer';
}
my $dir = PostgreSQL::Test::Utils::tempdir();
my $file = "$dir/bank";
my ($code, $log);

$primary->safe_psql('postgres', "SELECT pg_create_physical_replication_slot('standby')");
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
my $upstream = sprintf('host=%s port=%d dbname=postgres', $primary->host, $primary->port);
$standby->append_conf('postgresql.conf', qq(
primary_slot_name = 'standby'
primary_conninfo = '$upstream'
hot_standby_feedback = on
sync_replication_slots = on
));

my $both = sprintf('host=%s,%s port=%d,%d dbname=postgres target_session_attrs=read-write',
	$primary->host, $standby->host, $primary->port, $standby->port);
my @args = ('--commit-interval=20ms', '--status-interval=100ms');

$primary->safe_psql('postgres', 'CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL)');
my $client = start_client($both, 'bank', "file://$file", args => [ @args, '--create-slot', '--failover' ]);
wait_log($client, qr/streaming slot/);
# a slot that is there before the standby looks first is in step soon; the client is never ahead of the standby
$standby->start;
$primary->append_conf('postgresql.conf', "synchronized_standby_slots = 'standby'");
$primary->reload;
$primary->safe_psql('postgres', 'INSERT INTO accounts SELECT g, 1000 FROM generate_series(1, 100) g');
my $load = start_bank_load($primary);
ok($standby->poll_query_until('postgres',
		"SELECT synced AND NOT temporary AND invalidation_reason IS NULL FROM pg_replication_slots WHERE slot_name = 'bank'"),
	'the standby has the slot');
my $at = sidecar_position($file);
wait_until('some transfers', sub { lsn_number(sidecar_position($file)->{commit_lsn}) > lsn_number($at->{commit_lsn}) + 50_000 });

# the primary dies in the midst of it
$primary->stop('immediate');
stop_bank_load($load);
$standby->promote;
my $promoted = time();
$load = start_bank_load($standby);
wait_until('the new timeline', sub { sidecar_position($file)->{timeline} == 2 });
note(sprintf('delivering again %.1f s after the promotion', time() - $promoted));
$at = sidecar_position($file);
wait_until('more transfers', sub { lsn_number(sidecar_position($file)->{commit_lsn}) > lsn_number($at->{commit_lsn}) + 50_000 });
stop_bank_load($load);
my $end = $standby->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()');
ok($standby->poll_query_until('postgres', "SELECT confirmed_flush_lsn >= '$end' FROM pg_replication_slots WHERE slot_name = 'bank'"),
	'everything is delivered in the end');
like(client_log($client), qr/timeline 2\)/, 'by the same client');
unlike(client_log($client), qr/diverged|missing|ERROR/, 'which found nothing wrong');
is(kill_client($client, 'TERM'), 0, 'ends on request');
check_bank('each record once and in order, over the promotion', $standby, $file);
is(sidecar_position($file)->{incarnation}, 0, 'in one incarnation');

# An old primary that comes back does not have what was delivered since; and has what nobody has seen.
$primary->append_conf('postgresql.conf', "synchronized_standby_slots = ''");
$primary->start;
$primary->safe_psql('postgres', 'CREATE TABLE late (id int); INSERT INTO late VALUES (1), (2)');
my $old = conninfo($primary, 'postgres');
($code, $log) = run_client($old, 'bank', "file://$file", '--until=now');
is($code, 2, 'an old primary: exit code 2');
like($log, qr/ERROR .*have diverged: timeline 2 of the sink's position is not in the server's history/, 'why');
like($log, qr/DETAIL .*timeline 2\. The slot is at confirmed_flush_lsn .* on timeline 1\./, 'both positions');
($code, $log) = run_client($old, 'bank', "file://$file", '--until=now', '--accept=divergence');
is($code, 0, 'accepted') or diag($log);
like($log, qr/WARNING accepted: timeline 2 .*under incarnation 1/, 'and logged');
my @late = slurp_bytes($file) =~ /"table":"late",[^\n]*"after":\{"id":(\d+)/g;
is("@late", '1 2', 'what the old primary has is delivered, though its LSNs lie below those delivered before');
$primary->safe_psql('postgres', 'INSERT INTO late VALUES (3)');
($code, $log) = run_client($old, 'bank', "file://$file", '--until=now');
is($code, 0, 'and on without a flag') or diag($log);
@late = slurp_bytes($file) =~ /"table":"late",[^\n]*"after":\{"id":(\d+)/g;
is("@late", '1 2 3', 'from there');
is(sidecar_position($file)->{incarnation}, 1, 'in the new incarnation');

$_->stop foreach $standby, $primary;
done_testing();
