# cdc_client stream --snapshot: existing rows and all changes after them, under load, with the client killed at
# random instants: what was delivered, replayed, is what the tables hold.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcSnapshot;
use CdcStream;
use CdcTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

seed_random(20260201);
my $rows = 8000;
my $kills = 8;
my $node = make_node('snapshot');
my $db = conninfo($node, 'postgres');
my $dir = PostgreSQL::Test::Utils::tempdir();
my @tables = qw(items by_code whole short empty keyless);

make_tables($node, $rows);

# ------------------------------------------------------------------------------------------------
# Under load, killed
# ------------------------------------------------------------------------------------------------

my $load = start_load($node, $rows);
my $sink = "file://$dir/rows.ndjson";
my $during = 0;
foreach my $i (1 .. $kills)
{
	my $client = start_client($db, 'killed', $sink,
		args => [ '--create-slot', '--snapshot=initial', '--commit-interval=' . pick('0', '5ms', '50ms'),
			'--max-in-flight=' . pick('64KiB', '1MiB'), '--max-rate=40000' ]);    # or a fast machine has done before it is killed

	wait_log($client, qr/streaming slot/);
	usleep(int(rand(40_000)));
	my $log = client_log($client);
	kill_client($client, 'KILL');
	last if $log !~ /snapshot of existing rows: /;    # the one before had finished it
	$during++ unless $log =~ /rows: through/;
}
cmp_ok($during, '>=', 2, "$during of $kills clients were killed while they delivered existing rows");
my ($code, $log) = run_client($db, 'killed', $sink, '--snapshot=initial', '--until=now');
is($code, 0, 'the last one ends') or diag($log);
like($log, qr/snapshot of existing rows: through/, 'and has finished the snapshot') if $during == $kills;
stop_load($load);
($code, $log) = run_client($db, 'killed', $sink, '--snapshot=initial', '--until=now');
is($code, 0, 'what was left of the load') or diag($log);
unlike($log, qr/snapshot/, 'the snapshot is not begun again');
my $counts = check_replay('replayed, it is what the tables hold', $node, [ @tables, qw(parted_1 parted_2) ], "$dir/rows.ndjson");
cmp_ok($counts->{snapshot}, '>', $rows, 'there were existing rows');
snapshot_rows_once('each of them once', "$dir/rows.ndjson");

# ------------------------------------------------------------------------------------------------
# Only existing rows; a publication, rules, partitions under the name of the whole
# ------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', q(
	CREATE PUBLICATION selected FOR TABLE parted, by_code (id, code) WITH (publish_via_partition_root);
	SELECT cdc.create_pipeline('masked', ARRAY['selected'], '{"source": "shop"}');
	SELECT cdc.set_column('masked', 'by_code', 'code', '0 * code')));
($code, $log) = run_client($db, 'only', "file://$dir/only.ndjson", '--create-slot', '--snapshot=only', '--pipeline=masked');
is($code, 0, '--snapshot=only ends by itself') or diag($log);
is(scalar(grep { /^\{"op":"snapshot","source":"shop","schema":"public","table":"by_code",.*"after":\{"id":\d+,"code":0\}\}$/ } @{ read_lines("$dir/only.ndjson") }),
	3000, 'rules hold for existing rows');
is(scalar(grep { /"table":"parted",/ } @{ read_lines("$dir/only.ndjson") }),
	$node->safe_psql('postgres', 'SELECT count(*) FROM parted'), 'partitions under the name of the whole');
is(scalar(grep { !/"table":"(parted|by_code)"/ } @{ read_lines("$dir/only.ndjson") }), 0, 'nothing else');
($code, $log) = run_client($db, 'only', "file://$dir/only.ndjson", '--snapshot=only', '--pipeline=masked');
is($code, 0, 'again: there is nothing to do') or diag($log);

# how long a run that is through takes to end, in ms: the least of some, since machines are busy at times
my $linger = 1e9;
foreach my $i (1 .. 4)
{
	($code, $log) = run_client($db, "soon_$i", "file://$dir/soon_$i.ndjson", '--create-slot', '--snapshot=only', '--pipeline=masked');
	my ($through, $end) = map { $_->[0] * 60_000 + $_->[1] * 1000 }
	  map { [/^\S+T\d+:(\d+):([\d.]+)Z/] } ($log =~ /^(.* rows: through.*)$/m, (split /\n/, $log)[-1]);
	$linger = ($end - $through) % 3_600_000 if ($end - $through) % 3_600_000 < $linger;
}
cmp_ok($linger, '<', 150, "it ends as soon as its last row is durable");

# under a mask of the key, which all rows then share, changes still drop the rows that they are about
$load = start_load($node, $rows);
($code, $log) = run_client($db, 'key', "file://$dir/key.ndjson", '--create-slot', '--snapshot=initial', '--until=now', '--pipeline=masked',
	'--publication_names=selected');
is($code, 0, 'a masked key, under load') or diag($log);
stop_load($load);
($code, $log) = run_client($db, 'key', "file://$dir/key.ndjson", '--until=now', '--pipeline=masked');
snapshot_rows_once('each row once', "$dir/key.ndjson");

# ------------------------------------------------------------------------------------------------
# When there is a snapshot, and when not
# ------------------------------------------------------------------------------------------------

($code, $log) = run_client($db, 'default', "file://$dir/default.ndjson", '--create-slot', '--until=now', '--publication_names=selected');
like($log, qr/snapshot of existing rows: through/, 'the default where the slot is made');
create_slot($node, 'postgres', 'there');
($code, $log) = run_client($db, 'there', "file://$dir/there.ndjson", '--until=now');
unlike($log, qr/snapshot/, 'and none where it was there');
($code, $log) = run_client($db, 'never', "file://$dir/never.ndjson", '--create-slot', '--snapshot=never', '--until=now');
unlike($log, qr/snapshot/, '--snapshot=never');
my $out = output_file('stdout');
open(my $handle, '>', $out) or die $!;
my $client = start_client($db, 'stdout', '-', stdout => $handle,
	args => [ '--create-slot', '--snapshot=only', '--publication_names=selected' ]);
is(wait_client($client), 0, 'to the standard output') or diag(client_log($client));
cmp_ok(scalar(@{ read_lines($out) }), '>', 3000, 'rows came');

# ------------------------------------------------------------------------------------------------
# What cannot be
# ------------------------------------------------------------------------------------------------

($code, $log) = run_client($db, 'x', "file://$dir/x.ndjson", '--snapshot=perhaps');
is($code, 1, 'a value that it does not have');
like($log, qr/snapshot/, 'is named');
$node->safe_psql('postgres', 'CREATE DATABASE bare');
my $bare = conninfo($node, 'bare');
($code, $log) = run_client($bare, 'bare', "file://$dir/bare.ndjson", '--create-slot', '--snapshot=initial', '--until=now');
is($code, 2, 'without the extension');
like($log, qr/has no extension cdc_decoder.*CREATE EXTENSION cdc_decoder/s, 'the way out is said');
($code, $log) = run_client($bare, 'bare2', "file://$dir/bare2.ndjson", '--create-slot', '--until=now');
is($code, 0, 'by default it goes on without existing rows');
like($log, qr/existing rows are not read: .*no extension/, 'and says so');
$node->safe_psql('postgres', q(CREATE TABLE large (v text); ALTER TABLE large ALTER v SET STORAGE PLAIN;
	INSERT INTO large SELECT repeat('x', 8000) FROM generate_series(1, 8500)));
($code, $log) = run_client($db, 'large', "file://$dir/large.ndjson", '--create-slot', '--until=now');
is($code, 0, 'by default it goes on without existing rows, too, where a table could not be read') or diag($log);
like($log, qr/existing rows are not read: table public\.large has no primary key/, 'which is named');
($code, $log) = run_client($db, 'asked', "file://$dir/asked.ndjson", '--create-slot', '--snapshot=initial', '--until=now');
is($code, 2, 'where existing rows were asked for, it stops there');
like($log, qr/table public\.large has no primary key to read it in parts by, and takes \d+ MB.*table public\.items is through.*they are more than 64 MB/s,
	'having said so before the first row');
# functions that somebody made under the extension's names are not called
$node->safe_psql('bare', q(
	CREATE TABLE called (by name); CREATE SCHEMA cdc;
	CREATE FUNCTION cdc.snapshot_relations(text[], oid) RETURNS TABLE (relation oid, schema text, name text,
		rows double precision, bytes bigint, key text[], has_identity boolean) LANGUAGE sql
		AS 'INSERT INTO public.called VALUES (current_user); SELECT NULL::oid, ''a'', ''a'', 1, 1, NULL::text[], true LIMIT 0';
	CREATE FUNCTION cdc.read_chunk(text[], oid, text[], text[], text[], text, integer, integer, text, pg_lsn) RETURNS int
		LANGUAGE sql AS 'SELECT 1'));
($code, $log) = run_client($bare, 'bare3', "file://$dir/bare3.ndjson", '--create-slot', '--until=now');
is($code, 0, 'by default it goes on without what only looks like the extension') or diag($log);
like($log, qr/existing rows are not read: .*no extension/, 'and says so');
is($node->safe_psql('bare', 'SELECT count(*) FROM called'), '0', 'and calls nothing of it');

$node->stop;
done_testing();
