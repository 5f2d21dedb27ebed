# Existing rows that a standby reads, between watermarks on the primary: under load, across changes of the table,
# while the standby is behind, and where --snapshot-from leads to the wrong server.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $primary = make_node('primary');
my $standby = PostgreSQL::Test::Cluster->new('standby');
my $db = conninfo($primary, 'postgres');

$primary->safe_psql('postgres', q(
	CREATE EXTENSION cdc_decoder;
	CREATE TABLE items (id int PRIMARY KEY, v int NOT NULL, note text);
	INSERT INTO items SELECT g, 0, repeat('n', g % 50) FROM generate_series(1, 40000) g;
	CREATE DATABASE other));
$primary->safe_psql('postgres', q(SELECT pg_create_physical_replication_slot('standby', true)));
$primary->backup('for_standby');
$standby->init_from_backup($primary, 'for_standby', has_streaming => 1);
$standby->append_conf('postgresql.conf', "primary_slot_name = 'standby'\nmax_standby_streaming_delay = -1\n");
$standby->start;
my $from = '--snapshot-from=' . conninfo($standby, 'postgres');

# What the records make of the table: id => [v, note]; and how many rows came as existing ones.
sub replay
{
	my ($file) = @_;
	my (%rows, $existing);

	foreach my $line (@{ read_lines($file) })
	{
		my $record = decode_json($line);
		$existing++ if $record->{op} eq 'snapshot';
		if ($record->{op} eq 'delete') { delete $rows{ $record->{key}{id} } }
		else { $rows{ $record->{after}{id} } = "$record->{after}{v} $record->{after}{note}" }
	}
	return (\%rows, $existing // 0);
}

sub check_state
{
	my ($file, $name) = @_;
	my ($rows, $existing) = replay($file);
	my %expected = map { split /\|/, $_, 2 } split /\n/, $primary->safe_psql('postgres', q(SELECT id, v || ' ' || note FROM items));

	is_deeply($rows, \%expected, "$name: replayed, it is the table");
	return $existing;
}

# How many chunks that server has read.
sub chunks_of
{
	my ($node) = @_;
	return () = slurp_file($node->logfile) =~ /execute <unnamed>: SELECT \(chunk\)\.rows,.*cdc\.read_chunk/g;
}

$_->append_conf('postgresql.conf', "log_statement = 'all'\n") for $primary, $standby;
$_->reload for $primary, $standby;
$_->poll_query_until('postgres', q(SELECT current_setting('log_statement') = 'all')) or die for $primary, $standby;

# ------------------------------------------------------------------------------------------------
# Under load, by two workers; rows change, appear and go
# ------------------------------------------------------------------------------------------------

$primary->safe_psql('postgres', q(CREATE FUNCTION stir(n int) RETURNS void LANGUAGE sql AS $$
	UPDATE items SET v = v + 1 WHERE id = 1 + (n::bigint * 7919 % 40000)::int;
	DELETE FROM items WHERE id = 1 + (n::bigint * 104729 % 40000)::int;
	INSERT INTO items VALUES (40001 + n, n, $q$new$q$) ON CONFLICT DO NOTHING $$));
append_to_file("$dir/stir.sql", 'SELECT stir(:client_id * 100000 + (random() * 99999)::int)' . "\n");
sub start_load
{
	my $pid = fork // die "fork: $!";
	exec('pgbench', '-n', '-c', '2', '-T', '60', '--rate=200', '--max-tries=1', '-f', "$dir/stir.sql", '-h', $primary->host,
		'-p', $primary->port, 'postgres') if $pid == 0;
	return $pid;
}
sub stop_load { my ($pid) = @_; kill 'INT', $pid; waitpid $pid, 0; return }

my $client = start_client($db, 'loaded', "file://$dir/loaded",
	args => [ '--create-slot', '--snapshot=initial', $from, '--snapshot-workers=2', '--max-rate=20000' ]);
wait_log($client, qr/snapshot of existing rows: 1 tables/);
my $load = start_load();
wait_log($client, qr/snapshot of existing rows: through/);
stop_load($load);
is(kill_client($client, 'TERM'), 0, 'the client ends');
my ($code, $log) = run_client($db, 'loaded', "file://$dir/loaded", '--until=now');
is($code, 0, 'and goes on') or diag($log);
my $existing = check_state("$dir/loaded", 'under load');
cmp_ok($existing, '>', 30_000, 'most rows came as existing ones');
cmp_ok(chunks_of($standby), '>', 10, 'the standby has read them');
is(chunks_of($primary), 0, 'the primary none');

# ------------------------------------------------------------------------------------------------
# The table is altered while the standby is behind: what it read then does not count
# ------------------------------------------------------------------------------------------------

$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
# what is to be replayed removes rows that a snapshot of before would see: nobody may hold one while waiting
$primary->safe_psql('postgres', "UPDATE items SET v = v + 1 WHERE id <= 100") for 1 .. 3;
$primary->safe_psql('postgres', 'VACUUM items');
$client = start_client($db, 'altered', "file://$dir/altered",
	args => [ '--create-slot', '--snapshot=initial', $from ]);
wait_log($client, qr/snapshot of existing rows: 1 tables/);
ok($standby->poll_query_until('postgres', q(SELECT count(*) = 1 FROM pg_stat_activity
		WHERE query LIKE '%pg_last_wal_replay_lsn() >= $1%' AND pid <> pg_backend_pid())),
	'a chunk waits for what the standby has not replayed');
$primary->safe_psql('postgres', q(UPDATE items SET v = -1 WHERE id <= 10; ALTER TABLE items ADD added int DEFAULT 5));
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
wait_log($client, qr/reading rows of public.items again: .*the table have changed/);
wait_log($client, qr/snapshot of existing rows: through/);
is(kill_client($client, 'TERM'), 0, 'the client ends again');
my @lines = @{ read_lines("$dir/altered") };
is(scalar(grep { !/"added":5/ && /"op":"snapshot"/ } @lines), 0, 'all rows have what was added');
check_state("$dir/altered", 'altered meanwhile');

# ------------------------------------------------------------------------------------------------
# Rows on request
# ------------------------------------------------------------------------------------------------

$primary->safe_psql('postgres', q(SELECT cdc.create_pipeline('shop')));
$client = start_client($db, 'asked', "file://$dir/asked", args => [ '--create-slot', '--snapshot=never', '--pipeline=shop', $from ]);
wait_log($client, qr/streaming slot/);
my $before = chunks_of($standby);
$primary->safe_psql('postgres', q(SELECT cdc.backfill('shop', 'items', 'id <= 20')));
wait_until('the request to end', sub {
	$primary->safe_psql('postgres', q(SELECT count(*) FROM cdc.backfills WHERE state = 'done')) eq '1' });
is(kill_client($client, 'TERM'), 0, 'rows were asked for');
is(scalar(grep { /"op":"snapshot"/ } @{ read_lines("$dir/asked") }), $primary->safe_psql('postgres', 'SELECT count(*) FROM items WHERE id <= 20'),
	'these have come');
cmp_ok(chunks_of($standby), '>', $before, 'from the standby');
is(chunks_of($primary), 0, 'still none from the primary');

# ------------------------------------------------------------------------------------------------
# A kill; a promotion
# ------------------------------------------------------------------------------------------------

$client = start_client($db, 'killed', "file://$dir/killed", args => [ '--create-slot', '--snapshot=initial', $from, "--max-rate=4000", "--commit-interval=50ms" ]);
wait_until('some rows', sub { -s "$dir/killed" && -e "$dir/killed.cdc-position" && (sidecar_position("$dir/killed")->{rows} // 0) > 0 });
kill_client($client, 'KILL');
$client = start_client($db, 'killed', "file://$dir/killed", args => [ $from, "--max-rate=4000", "--commit-interval=50ms" ]);
wait_log($client, qr/going on with 1 of 1 tables/);
$standby->promote;
# the session begins again, and finds out
is(wait_client($client), 2, 'the client ends');
like(client_log($client), qr/trying again.*is no standby, and not where the stream comes from/s, 'once it knows that this is not where the stream comes from');
($code, $log) = run_client($db, 'killed', "file://$dir/killed", $from, '--until=now');
is($code, 2, 'what was promoted by itself is refused');
like($log, qr/existing rows cannot be read from ".*", port \d+ \(--snapshot-from\): it is no standby, and not where the stream comes from/, 'which is said');
like($log, qr/without --snapshot-from rows are read from that server itself/, 'with the way out');
($code, $log) = run_client($db, 'killed', "file://$dir/killed", '--until=now');
is($code, 0, 'which helps') or diag($log);
check_state("$dir/killed", 'killed, and read elsewhere');
my %count;
$count{ decode_json($_)->{after}{id} }++ for grep { /"op":"snapshot"/ } @{ read_lines("$dir/killed") };
is(scalar(grep { $_ > 1 } values %count), 0, 'no row came twice');

# the server that the stream comes from, as it is after a failover
($code, $log) = run_client($db, 'same', "file://$dir/same", '--create-slot', '--snapshot=initial', "--snapshot-from=$db", '--until=now');
is($code, 0, 'the very server that the stream comes from will do') or diag($log);
like($log, qr/is no standby, but the server that the stream comes from: existing rows are read there/, 'with a warning');
check_state("$dir/same", 'from the same server');
($code, $log) = run_client($db, 'wrong', "file://$dir/wrong", '--create-slot', '--snapshot=initial',
	'--snapshot-from=' . conninfo($primary, 'other'), '--until=now');
is($code, 2, 'another database is refused');
like($log, qr/that is another database/, 'and said to be one');
my $stranger = make_node('stranger');
($code, $log) = run_client($db, 'wrong', "file://$dir/wrong", '--snapshot=initial',
	'--snapshot-from=' . conninfo($stranger, 'postgres'), '--until=now');
is($code, 2, 'so is another cluster');
like($log, qr/it is another database cluster/, 'and said to be one');

$_->stop for $primary, $standby, $stranger;
done_testing();
