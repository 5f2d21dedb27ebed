# Wal2json: tests that compare format=wal2json with wal2json itself.
package Wal2json;

use strict;
use warnings;

use CdcTest;
use Exporter qw(import);
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(wal2json_node knows_option both same_output make_comparer compare_by_sql $missing);

my ($libdir) = run_command([ 'pg_config', '--pkglibdir' ]);
my $library = "$libdir/wal2json.so";

# Why the tests cannot be run, if so.
our $missing = -f $library ? undef
  : 'needs wal2json for this PostgreSQL, which Debian has as package postgresql-MAJOR-wal2json';

# A server in which both plugins can be used, with the settings under which they agree.
sub wal2json_node
{
	my ($name, @conf) = @_;
	my ($described) = run_command([ 'postgres', '--describe-config' ]);

	push @conf, "output_plugin_libraries = 'wal2json, cdc_decoder'"
	  if $described =~ /^output_plugin_libraries\t/m;
	return make_node($name, "timezone = 'UTC'", 'max_replication_slots = 60', @conf);
}

# Does the wal2json that is here know an option?  (2.5 of Debian 12 knows fewer than 2.7.)
sub knows_option
{
	my ($name) = @_;
	return index(slurp_bytes($library), "\0$name\0") >= 0;
}

# What both make of a slot, wal2json's first.  pg_recvlogical has an empty search_path, by which wal2json
# prints the names of types.
sub both
{
	my ($node, $db, $slot, %options) = @_;
	return (
		decode($node, $db, $slot, plugin => 'wal2json', options => { 'format-version' => 2, %options }),
		decode($node, $db, $slot, options => { format => 'wal2json', 'format-version' => 2, 'search-path' => '', %options }));
}

# The very same bytes.
sub same_output
{
	my ($name, $node, $db, $slot, %options) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($theirs, $ours) = both($node, $db, $slot, %options);
	my $lines = @{ read_lines($theirs) };

	same_files("$name: the same $lines lines", $theirs, $ours);
	unlink $theirs, $ours;
	return $lines;
}

# In a database, before the changes: what compare_by_sql() needs.
sub make_comparer
{
	my ($node, $db) = @_;

	$node->safe_psql($db, q(
		CREATE FUNCTION compare(options text[], OUT lines bigint, OUT difference text) LANGUAGE sql AS $$
			WITH theirs AS MATERIALIZED (
				SELECT row_number() OVER () AS n, lsn, xid, data FROM pg_logical_slot_peek_changes('theirs', NULL, NULL,
					VARIADIC ARRAY['format-version', '2'] || options)
			), ours AS MATERIALIZED (
				SELECT row_number() OVER () AS n, lsn, xid, data FROM pg_logical_slot_peek_changes('ours', NULL, NULL,
					VARIADIC ARRAY['format', 'wal2json', 'format-version', '2'] || options)
			), different AS (
				SELECT n, (theirs.*)::text AS expected, (ours.*)::text AS found FROM theirs FULL JOIN ours USING (n)
				WHERE (theirs.*) IS DISTINCT FROM (ours.*)
			)
			SELECT (SELECT count(*) FROM ours),
				coalesce((SELECT format(E'line %s\\nexpected: %s\\nfound:    %s', n, expected, found)
					FROM different ORDER BY n LIMIT 1), '')
		$$));
	return;
}

# compare_by_sql(NODE, DATABASE, SLOT, [ NAME => VALUE, ... ]...): by the SQL functions, the same lines, LSNs and xids
# for each list of options.  Returns the numbers of lines.
sub compare_by_sql
{
	my ($node, $db, $slot, @lists) = @_;
	my $sql = "SELECT pg_copy_logical_replication_slot('$slot', 'theirs', false, 'wal2json');\n"
	  . "SELECT pg_copy_logical_replication_slot('$slot', 'ours', false, 'cdc_decoder');\n\\t off\n";
	my @found;

	foreach my $options (@lists)
	{
		my $array = join(', ', map { my $text = $_; $text =~ s/'/''/g; "'$text'" } @$options);
		$sql .= "\\echo ====\nSELECT lines, difference FROM compare(ARRAY[$array]::text[]) \\gset\n\\echo :lines\n\\echo :difference\n";
	}
	$sql .= "\\echo ====\nSELECT pg_drop_replication_slot('theirs'), pg_drop_replication_slot('ours');\n";
	my (undef, @results) = split(/^====\n/m, run_sql($node, $db, $sql));
	foreach my $options (@lists)
	{
		my ($lines, $difference) = split(/\n/, shift @results, 2);
		$difference =~ s/\s+\z//;
		is($difference, '', join(' ', @$options) . ": the same $lines lines");
		push @found, $lines;
	}
	return @found;
}

1;
