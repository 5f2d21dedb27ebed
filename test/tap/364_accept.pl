# --accept is for one start: it holds until the position that it led to is durable, over failures of the sink,
# and is used up by that; a start that failed before, or a gap that opens later, is refused again.
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

my $node = make_node('accept');
my $db = conninfo($node, 'postgres');
my $next = 1;

$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY)');
$node->safe_psql('postgres', 'CREATE DATABASE sink');
my $sink = sink_uri($node, 'sink');

sub insert
{
	$node->safe_psql('postgres', 'INSERT INTO t VALUES (' . $next++ . ')');
	return $next - 1;
}

# Whoever reads from the slot in the client's place: records that the sink never gets.
sub consume
{
	my ($slot) = @_;
	insert();
	$node->safe_psql('postgres', "SELECT pg_replication_slot_advance('$slot', pg_current_wal_lsn())");
	return;
}

sub accepted
{
	my ($log) = @_;
	my @found = $log =~ /WARNING accepted: what was committed between/g;
	return scalar(@found);
}

# Gives the slot of a client that lives to somebody else, and back.
sub consume_meanwhile
{
	my ($client, $slot) = @_;

	kill 'STOP', $client->{pid};
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '$slot'");
	$node->poll_query_until('postgres', "SELECT NOT active FROM pg_replication_slots WHERE slot_name = '$slot'");
	consume($slot);
	kill 'CONT', $client->{pid};
	return;
}

sub sink_ids_are
{
	my ($expected, $name, $where) = @_;
	is(sink_ids($node, 'sink', 'cdc_records', "source LIKE '%/$where'"), $expected, $name);
	return;
}

# ------------------------------------------------------------------------------------------------
# Used up, once the position that it led to is durable
# ------------------------------------------------------------------------------------------------

create_slot($node, 'postgres', 's');
my @ids = (insert());
my ($code, $log) = run_client($db, 's', $sink, '--until=now');
is($code, 0, 'the sink has a position') or diag($log);
consume('s');
push @ids, insert();
my $client = start_client($db, 's', $sink, args => [ '--accept=gap', '--commit-interval=0' ]);
wait_log($client, qr/WARNING accepted: what was committed between/);
wait_until('what is behind the gap is delivered',
	sub { sink_ids($node, 'sink', 'cdc_records', "source LIKE '%/s'") eq "@ids" });

# a lost connection is no start, and needs nothing accepted
$node->safe_psql('postgres', "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 's'");
push @ids, insert();
wait_until('it goes on after a lost connection',
	sub { sink_ids($node, 'sink', 'cdc_records', "source LIKE '%/s'") eq "@ids" });
is(accepted(client_log($client)), 1, 'which has nothing to accept');

consume_meanwhile($client, 's');
is(wait_client($client), 2, 'a gap that opens while it runs is another one: exit code 2') or diag(client_log($client));
like(client_log($client), qr/records are missing: slot "s" has moved on.*HINT .*--accept=gap/s, 'which says so');
is(accepted(client_log($client)), 1, 'and was not accepted');
sink_ids_are("@ids", 'nothing behind it was delivered', 's');

# ------------------------------------------------------------------------------------------------
# Holds, while the sink fails
# ------------------------------------------------------------------------------------------------

# the opening of the sink writes its epoch, the client its position: that fails as a full disk does
$node->safe_psql('sink', q(
	CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no room' USING ERRCODE = 'disk_full'; END $$;
	CREATE TRIGGER fail BEFORE UPDATE OF position ON cdc_positions FOR EACH ROW EXECUTE FUNCTION fail()));
my $before = $node->safe_psql('sink', 'SELECT position FROM cdc_positions');
$client = start_client($db, 's', $sink, args => [ '--accept=gap', '--commit-interval=0' ]);
wait_log($client, qr/WARNING accepted: what was committed between.*no room.*WARNING accepted: what was committed between/s);
is($node->safe_psql('sink', 'SELECT position FROM cdc_positions'), $before, 'nothing was durable');
kill_client($client, 'KILL');

($code, $log) = run_client($db, 's', $sink, '--until=now', '--retry-for=0');
is($code, 2, 'what a start had accepted that came to nothing is refused at the next') or diag($log);
is($node->safe_psql('sink', 'SELECT position FROM cdc_positions'), $before, 'and the position is what it was');

$client = start_client($db, 's', $sink, args => [ '--accept=gap', '--commit-interval=0' ]);
wait_log($client, qr/WARNING accepted: .*no room.*WARNING accepted: /s);
$node->safe_psql('sink', 'DROP TRIGGER fail ON cdc_positions');
push @ids, insert();
wait_until('it goes on where the failure passes',
	sub { sink_ids($node, 'sink', 'cdc_records', "source LIKE '%/s'") eq "@ids" });
consume_meanwhile($client, 's');
is(wait_client($client), 2, 'and then it is used up') or diag(client_log($client));

# ------------------------------------------------------------------------------------------------
# The same of another source, whose position is further on than ours ever gets
# ------------------------------------------------------------------------------------------------

my $file = 'file://' . output_file('other');
create_slot($node, 'postgres', 'early');
create_slot($node, 'postgres', 'late');
insert();
($code, $log) = run_client($db, 'late', $file, '--until=now');
is($code, 0, 'another source has been there') or diag($log);
$client = start_client($db, 'early', $file, args => [ '--accept=other-source', '--commit-interval=0' ]);
wait_log($client, qr/WARNING accepted: the sink's position belonged to slot "late"/);
insert();
wait_until('it is delivered under its own position',
	sub { sidecar_position(substr($file, 7))->{slot} eq 'early' });
kill_client($client, 'KILL');
($code, $log) = run_client($db, 'early', $file, '--until=now');
is($code, 0, 'the next start needs nothing accepted') or diag($log);
unlike($log, qr/accepted/, 'and accepts nothing');
($code, $log) = run_client($db, 'late', $file, '--until=now');
is($code, 2, 'nor does the other source get in again');

# Elsewhere than on the command line it would accept at every start.
my $config = output_file('conf');
append_to_file($config, "accept = gap\n");
($code, $log) = run_client($db, 's', $sink, '--until=now', "--config=$config");
is($code, 1, 'in a file it is refused');
like($log, qr/accept/, 'by name');
done_testing();
