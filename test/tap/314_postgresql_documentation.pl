# What doc/sink-postgresql.md tells to type does what the page says: its commands, its SQL in the database that the
# text names, and the answers below it.
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

my $page = slurp_file("$FindBin::RealBin/../../doc/sink-postgresql.md");
my $node = make_node('page');
my $client = client_binary();

$node->safe_psql('postgres', 'CREATE DATABASE shop');
my ($commands) = $page =~ /^```sh\n(.*?)^```$/ms or die 'no commands';
my ($create, $stream) = split(/\n/, $commands);
$stream =~ s/^cdc_client (.*)$/$client $1 --until=now --progress=off/ or die 'no stream';

sub in_shell
{
	my ($command) = @_;
	local %ENV = (%ENV, $node->_get_env());
	delete $ENV{CDC_CLIENT};
	$ENV{PATH} = $node->config_data('--bindir') . ":$ENV{PATH}";
	my ($stdout, $stderr) = run_command([ 'sh', '-c', $command ]);
	is($?, 0, $command) or diag($stderr);
	return;
}

sub answer
{
	my ($db, $sql) = @_;
	my ($stdout, $stderr) = run_command([ $node->installed_command('psql'), '-Xq', '-v', 'ON_ERROR_STOP=1',
		'-P', 'footer=off', '-d', $node->connstr($db), '-c', $sql ]);
	is($stderr, '', "runs in $db: " . substr($sql, 0, 60));
	return $stdout;
}

in_shell($create);
in_shell($stream);
my ($answers, $db) = (0, 'shop');
while ($page =~ /^```sql\n(.*?)^```\n(?:```\n(.*?)^```$)?/msg)
{
	my ($sql, $expected) = ($1, $2);
	my $got = answer($db, $sql);

	# the first block is the source's, all others are the sink's
	in_shell($stream) if $db eq 'shop';
	$db = 'events';
	next unless defined $expected;
	s/[ \t]+$//mg, s/\n+\z// foreach $got, $expected;
	is($got, $expected, 'the answer') or diag($got);
	$answers++;
}
is($answers, 2, 'there were answers to compare');

# the trigger keeps the copy, from the very beginning in a table of its own
my $changes = $stream =~ s/--slot=shop_events/--slot=shop_changes --sink-table=changes/r;
$node->safe_psql('shop', "SELECT pg_create_logical_replication_slot('shop_changes', 'cdc_decoder')");
$node->safe_psql('shop', "INSERT INTO orders SELECT g, 'customer ' || g, g FROM generate_series(10, 500) g; UPDATE orders SET id = 1000 WHERE id = 10; DELETE FROM orders WHERE id % 3 = 0; UPDATE orders SET total = total + 1");
$node->safe_psql('events', "INSERT INTO orders VALUES (2, 'Grace', 19.90)");
in_shell($changes);
is($node->safe_psql('events', 'SELECT * FROM orders ORDER BY id'), $node->safe_psql('shop', 'SELECT * FROM orders ORDER BY id'), 'the copy is as the source');

# every column that the page tells of is there, and no other
my @named = map { /`([^`]+)`/g } map { (split /\|/)[1] } (split(/^## Schema records$/m, $page))[0] =~ /^(\| `(?:source|incarnation|commit_lsn|ts|op|schema|key|record)`.*)$/mg;
is(join(' ', sort @named),
	$node->safe_psql('events', q(SELECT string_agg(attname, ' ' ORDER BY attname COLLATE "C") FROM pg_attribute WHERE attrelid = 'cdc_records'::regclass AND attnum > 0)),
	'the columns');

$node->stop;
done_testing();
