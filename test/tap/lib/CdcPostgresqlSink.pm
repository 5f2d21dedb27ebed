# CdcPostgresqlSink: a server for the postgresql sink, and what arrived there.
package CdcPostgresqlSink;

use strict;
use warnings;

use Exporter qw(import);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

use CdcTest;

our @EXPORT = qw(sink_node sink_uri make_sink_table sink_ids sink_bank_file sink_position);

# sink_node(NAME, LINE OF CONFIGURATION...): a started server that needs nothing of logical decoding
sub sink_node
{
	my ($name, @conf) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
	$node->append_conf('postgresql.conf',
		join("\n", 'autovacuum = off', 'log_min_messages = warning', 'max_wal_size = 4GB', @conf, ''));
	$node->start;
	return $node;
}

# sink_uri(NODE, DATABASE, PARAMETER => VALUE...)
sub sink_uri
{
	my ($node, $db, %params) = @_;
	%params = (host => $node->host, port => $node->port, %params);
	return "postgresql:///$db?" . join('&', map { "$_=" . escaped($params{$_}) } sort keys %params);
}

sub escaped
{
	my ($text) = @_;
	$text =~ s{([^A-Za-z0-9._-])}{sprintf('%%%02X', ord $1)}ge;
	return $text;
}

# make_sink_table(NODE, DATABASE): the table as the sink would make it, and with the number of each row's
# arrival.  (The rows' places tell nothing: what a killed session left of a page may be filled later.)
sub make_sink_table
{
	my ($node, $db) = @_;
	$node->safe_psql($db, <<'END_SQL');
CREATE TABLE cdc_records (source text COLLATE "C", incarnation integer, commit_lsn pg_lsn, seq bigint, part integer,
	ts timestamptz, op text NOT NULL, schema text, "table" text, key jsonb, record jsonb NOT NULL,
	arrived bigserial, PRIMARY KEY (source, incarnation, commit_lsn, seq, part));
END_SQL
	return;
}

# What rows are ordered by: their arrival, where its number is known, else their identity.
sub order_of
{
	my ($node, $db, $table) = @_;
	my $numbered = $node->safe_psql($db,
		"SELECT count(*) FROM pg_attribute WHERE attrelid = '$table'::regclass AND attname = 'arrived'");
	return $numbered ? 'arrived' : 'commit_lsn, seq, part';
}

# sink_ids(NODE, DATABASE, [TABLE, [CONDITION]]): the ids in "after", in order
sub sink_ids
{
	my ($node, $db, $table, $condition) = @_;
	$table //= 'cdc_records';
	$condition //= 'true';
	return $node->safe_psql($db,
		"SELECT coalesce(string_agg(record::jsonb #>> '{after,id}', ' ' ORDER BY " . order_of($node, $db, $table) . "), '') FROM $table WHERE $condition");
}

# sink_position(NODE, DATABASE, SLOT): a hash of the stored position's members
sub sink_position
{
	my ($node, $db, $slot) = @_;
	my $text = $node->safe_psql($db, "SELECT position FROM cdc_positions WHERE source LIKE '%/$slot'");
	return { $text =~ /"(\w+)": "?([^",{}]+)/g };
}

# sink_bank_file(NODE, DATABASE): the bank's records as check_bank() reads them, in order, in a file
sub sink_bank_file
{
	my ($node, $db, $table) = @_;
	my $file = output_file('bank');
	$table //= 'cdc_records';
	my $order = order_of($node, $db, $table);
	append_to_file($file, run_sql($node, $db, <<"END_SQL") . "\n");
SELECT format('{"op":"%s","x":1,"commit_lsn":"%s","seq":%s,"x":1,"after":{"id":%s,"balance":%s}}', op, commit_lsn, seq,
	record::jsonb #>> '{after,id}', record::jsonb #>> '{after,balance}')
	FROM $table ORDER BY $order;
END_SQL
	return $file;
}

1;
