# Records of existing rows are made before it is known where their chunk's second watermark will lie, and say so all
# the same, in each format and each place where it has an LSN; also on a server that was promoted.
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

# rows that look like what is written into others
$primary->safe_psql('postgres', q(
	CREATE EXTENSION cdc_decoder;
	CREATE TABLE items (id int PRIMARY KEY, v text);
	CREATE PUBLICATION items FOR TABLE items;
	CREATE TABLE noise (id serial);
	INSERT INTO items SELECT g, format('"0/%s" %s', upper(to_hex(g)), pg_current_wal_insert_lsn()) FROM generate_series(1, 3000) g));
$primary->safe_psql('postgres', q(SELECT pg_create_physical_replication_slot('standby', true)));
$primary->backup('for_standby');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'for_standby', has_streaming => 1);
$standby->append_conf('postgresql.conf', "primary_slot_name = 'standby'\n");
$standby->start;

sub number
{
	my ($lsn) = @_;
	my ($high, $low) = map { hex } split /\//, $lsn;
	return $high * 2**32 + $low;
}

# The LSNs that a record says, as LSNs, by the format.
my %said = (
	cdc => sub { return $_[0]{commit_lsn} },
	wal2json => sub { return $_[0]{lsn} },
	cloudevents => sub {
		my ($lsn) = split /-/, $_[0]{id};
		my ($sequence) = split /-/, $_[0]{sequence};
		return ($lsn, sprintf('%X/%X', hex(substr($sequence, 0, 8)), hex(substr($sequence, 8))));
	},
	debezium => sub {
		my $source = $_[0]{source};
		my ($commit, $lsn) = @{ decode_json($source->{sequence}) };
		my ($xid, $transaction) = split /:/, $_[0]{transaction}{id};
		return map { sprintf('%X/%X', $_ >> 32, $_ & 0xffffffff) } $commit, $lsn, $source->{lsn}, $transaction;
	});
my %options = (wal2json => ['-oinclude-lsn=on'], debezium => [ '-otopic.prefix=p', '-oprovide.transaction.metadata=true' ]);

# What is written between a chunk's watermarks, or the second one would begin where the first one ends.
sub start_noise
{
	my ($node) = @_;
	my $pid = fork // die "fork: $!";
	exec('pgbench', '-n', '-c', '1', '-T', '60', '-f', "$dir/noise.sql", '-h', $node->host, '-p', $node->port, 'postgres') if $pid == 0;
	return $pid;
}
append_to_file("$dir/noise.sql", "INSERT INTO noise DEFAULT VALUES;\n");

# check(NODE, FORMAT, NAME, OPTIONS...): what was delivered against what pgoutput tells of the watermarks
sub check
{
	my ($node, $format, $name, @more) = @_;
	my $slot = "s_$name";

	$node->safe_psql('postgres', "SELECT pg_create_logical_replication_slot('w_$name', 'pgoutput')");
	my $load = start_noise($node);
	my ($code, $log) = run_client(conninfo($node, 'postgres'), $slot, "file://$dir/$name", '--create-slot', '--snapshot=initial',
		'--until=now', '--max-rate=20000', '--publication-names=items', "--format=$format", @{ $options{$format} // [] }, @more);
	kill 'INT', $load;
	waitpid $load, 0;
	is($code, 0, "$name: existing rows are delivered") or diag($log);
	my @ends = map { number($_) } split /\n/, $node->safe_psql('postgres', qq(
		SELECT lsn FROM pg_logical_slot_peek_binary_changes('w_$name', NULL, NULL, 'proto_version', '1', 'publication_names', 'items',
			'messages', 'true') WHERE position(' high'::bytea in data) > 0));
	cmp_ok(scalar(@ends), '>', 1, "$name: several chunks");
	my ($rows, $before, %seen, @wrong) = (0, '');
	foreach my $line (@{ read_lines("$dir/$name") })
	{
		my $record = decode_json($line);
		next if $record->{status} || ($record->{action} // "") =~ /^[BCM]$/; # of transactions
		$rows++;
		my @lsns = map { number($_) } $said{$format}->($record);
		$seen{ $lsns[0] } = 1;
		push @wrong, $line if grep { $_ != $lsns[0] } @lsns;
	}
	is($rows, 3000, "$name: all rows");
	is(join("\n", @wrong[ 0 .. ($#wrong > 2 ? 2 : $#wrong) ]), '', "$name: each says the same LSN everywhere");
	# a watermark's record is some hundred bytes long
	my @elsewhere = grep { my $lsn = $_; !grep { $_ > $lsn && $_ <= $lsn + 200 } @ends } keys %seen;
	is(scalar(@elsewhere), 0, "$name: and so it is");
	cmp_ok(scalar(keys %seen), '>', 1, "$name: of several chunks");
	$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('w_$name')");
	return;
}

check($primary, $_, $_) for sort keys %said;
check($primary, 'cdc', 'by_standby', '--snapshot-from=' . conninfo($standby, 'postgres'));
is(slurp_bytes("$dir/by_standby") =~ s/"(commit_lsn|ts)":"[^"]*"|"seq":\d+//gr, slurp_bytes("$dir/cdc") =~ s/"(commit_lsn|ts)":"[^"]*"|"seq":\d+//gr,
	'a standby makes the same records');
$standby->promote;
check($standby, 'cdc', 'promoted');

$_->stop for $primary, $standby;
done_testing();
