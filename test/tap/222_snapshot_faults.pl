# Existing rows into a sink with transactions, while the client is killed and the server crashes; a table that is
# dropped and a transaction that waits for a standby in the middle of it; a sink that keeps no position.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcPostgresqlSink;
use CdcSnapshot;
use CdcStream;
use CdcTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

seed_random(20260202);
my $rows = 6000;
my $node = make_node('source');
my $target = sink_node('target');
my $db = conninfo($node, 'postgres');
my $dir = PostgreSQL::Test::Utils::tempdir();
my $sink = sink_uri($target, 'postgres');

make_tables($node, $rows);
create_slot($node, 'postgres', 's');

# ------------------------------------------------------------------------------------------------
# Killed, and the server crashed
# ------------------------------------------------------------------------------------------------

my $load = start_load($node, $rows);
foreach my $i (1 .. 5)
{
	my $client = start_client($db, 's', $sink,
		args => [ '--snapshot=initial', '--commit-interval=' . pick('0', '5ms'), '--max-in-flight=' . pick('64KiB', '256KiB') ]);
	wait_log($client, qr/snapshot of existing rows: /) or last;
	usleep(int(rand(60_000)));
	kill_client($client, 'KILL');
}
stop_load($load);
my $client = start_client($db, 's', $sink, args => [ '--snapshot=initial', '--commit-interval=0', '--max-in-flight=64KiB' ]);
wait_log($client, qr/streaming slot/);
$node->stop('immediate');
$node->start;
$load = start_load($node, $rows);
wait_log($client, qr/trying again.*streaming slot/s) or diag(client_log($client));
wait_until('the snapshot to be through', sub {
	return !$target->safe_psql('postgres', q(SELECT count(*) FROM cdc_positions WHERE position ? 'snapshot')) });
stop_load($load);
is(kill_client($client, 'TERM'), 0, 'the client went on after a crash of the server');
my ($code, $log) = run_client($db, 's', $sink, '--snapshot=initial', '--until=now');
is($code, 0, 'what was left') or diag($log);
unlike($log, qr/snapshot/, 'no existing rows among it');
append_to_file("$dir/s.ndjson",
	$target->safe_psql('postgres', 'SELECT record FROM cdc_records ORDER BY commit_lsn, seq, part') . "\n");
check_replay('replayed, it is what the tables hold', $node,
	[qw(items parted_1 parted_2 by_code whole short empty keyless)], "$dir/s.ndjson");
# by its primary key: a row that moves on in that order while it keeps another key comes at both places
is($target->safe_psql('postgres', q(
	SELECT max(count) FROM (SELECT count(*) FROM cdc_records WHERE op = 'snapshot'
		GROUP BY "table", coalesce(record->'after'->'id', key, record->'after')) c)), '1', 'each row came once');

# ------------------------------------------------------------------------------------------------
# Gently
# ------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', 'CREATE PUBLICATION codes FOR TABLE by_code');
create_slot($node, 'postgres', 'g');
my $began = time();
($code, $log) = run_client($db, 'g', "file://$dir/g.ndjson", '--snapshot=only', '--max-rate=1000', '--publication_names=codes');
is($code, 0, '--max-rate') or diag($log);
cmp_ok(time() - $began, '>=', 2, '3000 rows, 1000 a second: the third second has begun');
is(scalar(@{ read_lines("$dir/g.ndjson") }), 3000, 'all of them');
create_slot($node, 'postgres', 'l');
$load = start_load($node, $rows);
my $slow = start_client($db, 'l', "file://$dir/l.ndjson",
	args => [ '--snapshot=only', '--max-lag=1KiB', '--max-rate=3000', '--commit-interval=300ms' ]);
wait_log($slow, qr/snapshot: waiting, the sink is \d+ bytes of WAL behind/); # it would for as long as the load lasts
stop_load($load);
is(wait_client($slow), 0, '--max-lag') or diag(client_log($slow));

# ------------------------------------------------------------------------------------------------
# In the middle of it
# ------------------------------------------------------------------------------------------------

create_slot($node, 'postgres', 'm');
$node->append_conf('postgresql.conf', q(synchronous_standby_names = 'never'));
$node->reload;
$node->poll_query_until('postgres', q(SELECT current_setting('synchronous_standby_names') = 'never'));
my $waiting = $node->background_psql('postgres', on_error_stop => 0);
$waiting->query_until(qr/begun/, "\\echo begun\nUPDATE items SET v = 1000000 WHERE id = (SELECT min(id) FROM items);\n");
$node->poll_query_until('postgres', q(SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'))
  or die 'no commit waits for a standby';
$client = start_client($db, 'm', "file://$dir/m.ndjson", args => [ '--snapshot=initial', '--commit-interval=0' ]);
$node->poll_query_until('postgres', q(
	SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%read_chunk%' AND wait_event = 'transactionid'))
  or die 'the chunk does not wait';
$node->safe_psql('postgres', q(
	SET synchronous_commit = local; INSERT INTO empty VALUES (777777, 1); DROP TABLE whole;
	ALTER TABLE by_code ADD COLUMN added int DEFAULT 7));
wait_until('changes to go on meanwhile', sub { -e "$dir/m.ndjson" && slurp_bytes("$dir/m.ndjson") =~ /"id":777777/ });
$node->append_conf('postgresql.conf', q(synchronous_standby_names = ''));
$node->reload;
$waiting->quit;
wait_log($client, qr/snapshot of existing rows: through/);
is(kill_client($client, 'TERM'), 0, 'through');
like(client_log($client), qr/table public\.whole was dropped before all of its rows were read/, 'a table that was dropped is named');
run_client($db, 'm', "file://$dir/m.ndjson", '--until=now');
check_replay('replayed, it is what the tables hold', $node, [qw(items parted_1 parted_2 by_code short empty keyless)],
	"$dir/m.ndjson");

# ------------------------------------------------------------------------------------------------
# A sink that keeps no position: the client itself knows how far it was
# ------------------------------------------------------------------------------------------------

my $out = output_file('stdout');
open(my $handle, '>', $out) or die $!;
create_slot($node, 'postgres', 'o');
$client = start_client($db, 'o', '-', stdout => $handle, args => [ '--snapshot=initial', '--max-rate=6000' ]); # still under way then
wait_log($client, qr/streaming slot/);
$node->safe_psql('postgres', q(SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'o' AND active));
wait_log($client, qr/snapshot of existing rows: through/);
is(kill_client($client, 'TERM'), 0, 'to the standard output, over a lost connection') or diag(client_log($client));
my %items = map { /^\{"op":"snapshot",.*"table":"items",.*"key":\{"id":(\d+)\}/ ? ($1 => 1) : () } @{ read_lines($out) };
is(scalar keys %items, $node->safe_psql('postgres', 'SELECT count(*) FROM items'), 'every row came');

$node->stop;
$target->stop;
done_testing();
