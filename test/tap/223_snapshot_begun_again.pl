# Existing rows where something fails or changes at the worst instant: a publication that loses its table in a chunk's
# window, a snapshot that fails before it has begun, a connection lost with a sink that does not keep how far it was.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use GrpcServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = make_node('source');
my $db = conninfo($node, 'postgres');
my $dir = PostgreSQL::Test::Utils::tempdir();

$node->safe_psql('postgres', q(
	CREATE EXTENSION cdc_decoder;
	CREATE TABLE qa (id int PRIMARY KEY); INSERT INTO qa SELECT generate_series(1, 3000);
	CREATE TABLE qb (id int PRIMARY KEY); INSERT INTO qb SELECT generate_series(1, 3000);
	CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other SELECT generate_series(1, 5)));

# lock(TABLE): a session that has it, or waits for it, until it quits
sub lock_table
{
	my ($table) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);

	$session->query_until(qr/asked/, "\\echo asked\nBEGIN; LOCK TABLE $table IN ACCESS EXCLUSIVE MODE;\n");
	return $session;
}

# waiting(NAME, CONDITION): until a session with such a row of pg_stat_activity is there
sub waiting
{
	my ($name, $condition) = @_;
	$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE $condition") or die "not so: $name";
	return;
}

sub rows_of
{
	my ($table, @lines) = @_;
	my %rows = map { /^\{"op":"snapshot",.*"table":"$table",.*"key":\{"id":(\d+)\}/ ? ($1 => 1) : () } @lines;
	return scalar keys %rows;
}

# hold_commit(ID): a commit that has its record in the WAL and waits, which holds a chunk's window open
sub hold_commit
{
	my ($id) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);

	$node->append_conf('postgresql.conf', q(synchronous_standby_names = 'never'));
	$node->reload;
	$node->poll_query_until('postgres', q(SELECT current_setting('synchronous_standby_names') = 'never'));
	$session->query_until(qr/begun/, "\\echo begun\nINSERT INTO other VALUES ($id);\n");
	waiting('a commit waits for a standby', q(wait_event = 'SyncRep'));
	return $session;
}

sub release_commit
{
	my ($session) = @_;

	$node->append_conf('postgresql.conf', q(synchronous_standby_names = ''));
	$node->reload;
	$session->quit;
	return;
}

sub locked
{
	my ($table) = @_;
	$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_locks WHERE relation = '$table'::regclass AND mode = 'AccessExclusiveLock' AND granted")
	  or die "nobody has $table";
	return;
}

# ------------------------------------------------------------------------------------------------
# A table leaves the publication in the window of its chunk, which has no rows then
# ------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', 'CREATE PUBLICATION ab FOR TABLE qa, qb');
create_slot($node, 'postgres', 'left');
my $commit = hold_commit(6);
my $client = start_client($db, 'left', "file://$dir/left.ndjson",
	args => [ '--snapshot=initial', '--commit-interval=0', '--publication_names=ab' ]);
waiting('the chunk waits', q(query LIKE '%read_chunk%' AND wait_event = 'transactionid'));
$node->safe_psql('postgres', 'SET synchronous_commit = local; ALTER PUBLICATION ab DROP TABLE qa');
release_commit($commit);
wait_log($client, qr/snapshot of existing rows: through/);
is(kill_client($client, 'TERM'), 0, 'a publication that lost its table in the window') or diag(client_log($client));
is(rows_of('qb', @{ read_lines("$dir/left.ndjson") }), 3000, 'all rows of the other table came');

# ------------------------------------------------------------------------------------------------
# It fails before it has begun, and the sink keeps no position
# ------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', q(CREATE ROLE hasty LOGIN SUPERUSER; ALTER ROLE hasty SET lock_timeout = '50ms'));
create_slot($node, 'postgres', 'late');
my $lock = lock_table('qb');
locked('qb');
my $out = output_file('stdout');
open(my $handle, '>', $out) or die $!;
$client = start_client(conninfo($node, 'postgres', user => 'hasty'), 'late', '-', stdout => $handle,
	args => [ '--snapshot=only', '--publication_names=ab' ]);
wait_log($client, qr/lock timeout/);
$lock->quit;
is(wait_client($client), 0, 'a failure before it begins is no end of it') or diag(client_log($client));
is(rows_of('qb', @{ read_lines($out) }), 3000, 'all rows came');

# ------------------------------------------------------------------------------------------------
# A server over gRPC does not keep how far it was
# ------------------------------------------------------------------------------------------------

my $server = GrpcServer->new;
$node->safe_psql('postgres', 'CREATE PUBLICATION all_of_it FOR TABLE qa, qb');
create_slot($node, 'postgres', 'rpc');
my @args = ('--snapshot=initial', '--publication_names=all_of_it', '--commit-interval=5ms');
$commit = hold_commit(7);
$client = start_client($db, 'rpc', $server->url, args => \@args);
waiting('the chunk waits', q(query LIKE '%read_chunk%' AND wait_event = 'transactionid'));
$lock = lock_table('qb');
locked('qb');
release_commit($commit);
wait_until('all rows of the first table', sub { rows_of('qa', $server->dump) == 3000 });
waiting('the second table is waited for', q(query LIKE '%read_chunk%' AND wait_event_type = 'Lock'));
$node->safe_psql('postgres', q(SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'rpc'));
wait_log($client, qr/trying again/);
$lock->quit;
wait_log($client, qr/snapshot of existing rows: through/);
like(client_log($client), qr/snapshot of existing rows: going on with 1 of 2 tables, 3000 rows were delivered/,
	'over a lost connection it goes on behind what was acknowledged');
is(kill_client($client, 'TERM'), 0, 'and ends cleanly') or diag(client_log($client));
my @records = grep { /^\{"op":"snapshot"/ } $server->dump;
is(scalar(@records), 6000, 'each row came once');
my ($code, $log) = run_client($db, 'rpc', $server->url, @args, '--until=now');
is($code, 2, 'started again it does not guess');
like($log, qr/does not tell whether a snapshot of existing rows is through.*start without --snapshot/s, 'and says what to do');
($code, $log) = run_client($db, 'rpc', $server->url, '--publication_names=all_of_it', '--until=now');
is($code, 0, 'without the option it goes on') or diag($log);

$node->stop;
done_testing();
