# Decoding on a standby: under load, while that standby is promoted, and on one whose upstream is promoted
# while nothing happens.  The client begins anew on the new timeline and finds no gap that is not there.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = make_node('primary');
if ($primary->safe_psql('postgres', 'SHOW server_version_num') < 160000)
{
	$primary->stop;
	plan skip_all => 'needs PostgreSQL 16 or newer';
}
my $dir = PostgreSQL::Test::Utils::tempdir();
my @args = ('--commit-interval=20ms', '--status-interval=100ms', '--create-slot');
my ($code, $log);

# A standby of UPSTREAM; each has a physical slot there, so that catalog rows stay that decoding needs.
sub make_standby
{
	my ($name, $upstream) = @_;
	my $standby = PostgreSQL::Test::Cluster->new($name);

	$upstream->safe_psql('postgres', "SELECT pg_create_physical_replication_slot('$name', true)");
	$upstream->backup("for_$name");
	$standby->init_from_backup($upstream, "for_$name", has_streaming => 1);
	$standby->append_conf('postgresql.conf', "primary_slot_name = '$name'\nhot_standby_feedback = on\n");
	$standby->start;
	return $standby;
}

# The creation of a slot on a standby waits for a record that only the primary writes.
sub start_on_standby
{
	my ($node, $slot) = @_;
	my $client = start_client(conninfo($node, 'postgres'), $slot, "file://$dir/$slot", args => \@args);

	wait_until('the slot on the standby', sub {
		$primary->safe_psql('postgres', 'SELECT pg_log_standby_snapshot()');
		return client_log($client) =~ /streaming slot/;
	});
	return $client;
}

sub delivered_up_to
{
	my ($node, $slot, $lsn) = @_;
	return $node->poll_query_until('postgres',
		"SELECT confirmed_flush_lsn >= '$lsn' FROM pg_replication_slots WHERE slot_name = '$slot'");
}

my $standby = make_standby('standby', $primary);
my $cascaded = make_standby('cascaded', $standby);
$primary->safe_psql('postgres', 'CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL)');
$primary->wait_for_replay_catchup($standby);
$standby->wait_for_replay_catchup($cascaded, $primary);

my $client = start_on_standby($standby, 'bank');
my $follower = start_on_standby($cascaded, 'follower');
like(client_log($client), qr/timeline 1, standby\)/, 'streams from a standby');
$primary->safe_psql('postgres', 'INSERT INTO accounts SELECT g, 1000 FROM generate_series(1, 100) g');
my $load = start_bank_load($primary);
wait_until('transfers by way of the standby',
	sub { -e "$dir/bank.cdc-position" && lsn_number(sidecar_position("$dir/bank")->{end_lsn}) > 0 });
my $at = sidecar_position("$dir/bank")->{commit_lsn};
wait_until('more of them', sub { lsn_number(sidecar_position("$dir/bank")->{commit_lsn}) > lsn_number($at) + 20_000 });

# promoted under the running session, in the midst of it
$primary->stop('immediate');
stop_bank_load($load);
$standby->promote;
wait_log($client, qr/timeline 2\)/);
$load = start_bank_load($standby);
wait_until('the new timeline', sub { sidecar_position("$dir/bank")->{timeline} == 2 });
$at = sidecar_position("$dir/bank")->{commit_lsn};
wait_until('transfers there', sub { lsn_number(sidecar_position("$dir/bank")->{commit_lsn}) > lsn_number($at) + 20_000 });
stop_bank_load($load);
my $end = $standby->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()');
ok(delivered_up_to($standby, 'bank', $end), 'a standby that is promoted: everything is delivered');
unlike(client_log($client), qr/diverged|missing|ERROR/, 'by the same client, which found nothing wrong');
is(kill_client($client, 'TERM'), 0, 'ends on request');
check_bank('each record once and in order, over the promotion', $standby, "$dir/bank");

# the other standby follows to the new timeline
$standby->wait_for_replay_catchup($cascaded);
ok(delivered_up_to($cascaded, 'follower', $end), 'a standby that follows a promotion: everything is delivered');
check_bank('each record once and in order there too', $standby, "$dir/follower");

# The next one follows while idle: nothing says so but the progress that is stored.
my $third = make_standby('third', $cascaded);
my $idle = start_client(conninfo($third, 'postgres'), 'idle', "file://$dir/idle", args => \@args);
wait_until('the slot on the third', sub {
	$standby->safe_psql('postgres', 'SELECT pg_log_standby_snapshot()');
	return client_log($idle) =~ /streaming slot/;
});
$standby->stop('fast');
is(kill_client($follower, 'TERM'), 0, 'the follower ends on request');
$cascaded->promote;
$cascaded->safe_psql('postgres', 'CREATE TABLE nothing (); DROP TABLE nothing');
wait_log($idle, qr/the standby follows its primary to timeline 3: beginning anew/);
wait_log($idle, qr/timeline 3, standby\)/);
$end = $cascaded->safe_psql('postgres', 'CREATE TABLE nothing (); SELECT pg_current_wal_flush_lsn()');
ok(delivered_up_to($third, 'idle', $end), 'an idle standby that follows: progress is stored on the new timeline');
is(kill_client($idle, 'KILL'), 128 + 9, 'a client that dies there');
$cascaded->safe_psql('postgres', 'UPDATE accounts SET balance = balance WHERE id = 7');
$cascaded->wait_for_replay_catchup($third);
($code, $log) = run_client(conninfo($third, 'postgres'), 'idle', "file://$dir/idle", '--until=now');
is($code, 0, 'and is started again: exit code 0') or diag($log);
is(scalar(() = slurp_bytes("$dir/idle") =~ /"id":7,/g), 1, 'goes on, without a gap that is not there');

$_->stop foreach $third, $cascaded;
done_testing();
