# Existing rows amid which the primary dies and its standby is promoted, under load: the client goes on with those
# that are left, on the new primary; replayed, what it delivered is the table.
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

my $primary = make_node('primary');
if ($primary->safe_psql('postgres', 'SHOW server_version_num') < 170000)
{
	$primary->stop;
	plan skip_all => 'needs PostgreSQL 17 or newer';
}
my $dir = PostgreSQL::Test::Utils::tempdir();

$primary->safe_psql('postgres', q(
	CREATE EXTENSION cdc_decoder;
	CREATE TABLE items (id int PRIMARY KEY, v int NOT NULL, note text);
	INSERT INTO items SELECT g, 0, repeat('n', g % 50) FROM generate_series(1, 40000) g;
	CREATE FUNCTION stir(n int) RETURNS void LANGUAGE sql AS $$
		UPDATE items SET v = v + 1 WHERE id = 1 + (n::bigint * 7919 % 40000)::int;
		UPDATE items SET id = 50000 + n WHERE id = 1 + (n::bigint * 31 % 40000)::int AND NOT EXISTS (SELECT FROM items WHERE id = 50000 + n);
		DELETE FROM items WHERE id = 1 + (n::bigint * 104729 % 40000)::int $$;
	SELECT pg_create_physical_replication_slot('standby')));
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->append_conf('postgresql.conf', sprintf(qq(
primary_slot_name = 'standby'
primary_conninfo = 'host=%s port=%d dbname=postgres'
hot_standby_feedback = on
sync_replication_slots = on
), $primary->host, $primary->port));
my $both = sprintf('host=%s,%s port=%d,%d dbname=postgres target_session_attrs=read-write',
	$primary->host, $standby->host, $primary->port, $standby->port);

append_to_file("$dir/stir.sql", "SELECT stir((random() * 200000)::int);\n");
sub start_load
{
	my ($node) = @_;
	my $pid = fork // die "fork: $!";
	exec('pgbench', '-n', '-c', '2', '-T', '120', '--rate=200', '-f', "$dir/stir.sql", '-h', $node->host, '-p', $node->port,
		'postgres') if $pid == 0;
	return $pid;
}
sub stop_load { my ($pid) = @_; kill 'INT', $pid; waitpid $pid, 0; return }

# so slowly that the primary dies in the midst of it
my $client = start_client($both, 'rows', "file://$dir/rows", args => [ '--create-slot', '--failover', '--snapshot=initial',
	'--snapshot-workers=2', '--max-rate=2000', '--commit-interval=20ms', '--status-interval=100ms' ]);
wait_log($client, qr/snapshot of existing rows: 1 tables/);
$standby->start;
ok($standby->poll_query_until('postgres',
		"SELECT synced AND NOT temporary AND invalidation_reason IS NULL FROM pg_replication_slots WHERE slot_name = 'rows'"),
	'the standby has the slot');
$primary->append_conf('postgresql.conf', "synchronized_standby_slots = 'standby'");
$primary->reload;
my $load = start_load($primary);
my $rows = sidecar_position("$dir/rows")->{rows} // 0;
wait_until('more rows', sub { (sidecar_position("$dir/rows")->{rows} // 0) > $rows + 2000 });
$primary->stop('immediate');
stop_load($load);
$rows = sidecar_position("$dir/rows")->{rows};
cmp_ok($rows, '<', 39_000, "$rows rows were delivered when the primary died");

$standby->promote;
$load = start_load($standby);
wait_log($client, qr/snapshot of existing rows: going on with 1 of 1 tables, \d+ rows were delivered/);
wait_log($client, qr/snapshot of existing rows: through/);
stop_load($load);
my $end = $standby->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()');
ok($standby->poll_query_until('postgres', "SELECT confirmed_flush_lsn >= '$end' FROM pg_replication_slots WHERE slot_name = 'rows'"),
	'everything is delivered in the end');
is(kill_client($client, 'TERM'), 0, 'by the same client');
unlike(client_log($client), qr/diverged|missing|ERROR/, 'which found nothing wrong');
is(sidecar_position("$dir/rows")->{timeline}, 2, 'on the new timeline');

my (%state, %times, @ids);
foreach my $line (@{ read_lines("$dir/rows") })
{
	my $record = decode_json($line);
	next if $record->{table} ne 'items';
	push @ids, sprintf('%s %012d', join('', map { sprintf '%08X', hex } split /\//, $record->{commit_lsn}), $record->{seq});
	$times{ $record->{after}{id} }++ if $record->{op} eq 'snapshot';
	delete $state{ $record->{key}{id} } if $record->{op} eq 'delete';
	delete $state{ $record->{before}{id} } if $record->{op} eq 'update' && $record->{before};
	$state{ $record->{after}{id} } = "$record->{after}{v}|$record->{after}{note}" if $record->{op} ne 'delete';
}
my %expected = map { split /\|/, $_, 2 } split /\n/, $standby->safe_psql('postgres', 'SELECT * FROM items');
is_deeply(\%state, \%expected, 'replayed, it is the table');
is(scalar(grep { $ids[$_] le $ids[ $_ - 1 ] } 1 .. $#ids), 0, 'each record once and in order');
is(scalar(grep { $_ > 1 } values %times), 0, 'no row came twice');

$_->stop foreach $standby;
done_testing();
