# jsonb_populate_record(NULL::t, after) is the row: for every type, nested to any depth, under any
# settings on either side.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcTest;
use CdcTypes;
use Encode qw(encode_utf8);
use Test::More;

my $tables = 24;
my $rows = 25;

# On either side nothing may matter that a session can set.
my $odd_settings = join("\n",
	"SET DateStyle = 'SQL, DMY';", "SET IntervalStyle = 'sql_standard';", "SET TimeZone = 'Asia/Kathmandu';",
	"SET bytea_output = 'escape';", "SET search_path = 'public', 'pg_catalog';", '');
my $odd_options = join(' ', '-c DateStyle=German', '-c IntervalStyle=postgres_verbose', '-c TimeZone=America/St_Johns',
	'-c bytea_output=escape', '-c extra_float_digits=-15', '-c xmlbinary=hex', '-c search_path=nowhere');

seed_random(20260131);
my $node = make_node('round_trip');
my @leaves = (leaf_types(), extension_types($node, 'postgres'));
my @ddl = ("SET client_encoding = 'UTF8';\n", qq(CREATE SCHEMA "odd "" schema";\n),
	qq(CREATE TABLE "odd "" schema"."Ta\\ble" (a int);\n));
my @inserts = ("SET client_encoding = 'UTF8';\n");
my @names;

# add_table(NAME, TYPES...): with its rows; a column was dropped, one added, one is generated
sub add_table
{
	my ($name, @types) = @_;
	my $n = 0;
	my @columns = map { quote_name(random_column_name(++$n)) . " $_->{name}" } @types;
	my $added = pop @columns;

	push @ddl, "CREATE TABLE $name (\"dropped\" text, id int PRIMARY KEY, " . join(', ', @columns, '')
	  . "doubled bigint GENERATED ALWAYS AS (id * 2) STORED);\n",
	  "ALTER TABLE $name DROP COLUMN \"dropped\", ADD COLUMN $added;\n",
	  "ALTER TABLE $name REPLICA IDENTITY " . pick('FULL', 'DEFAULT') . ";\n";
	foreach my $id (1 .. $rows)
	{
		my @values = map { random_value($_) } @types;
		my $last = pop @values;
		push @inserts, "INSERT INTO $name VALUES (" . join(', ', $id, @values, 'DEFAULT', $last) . ");\n";
	}
	push @names, $name;
	return;
}

# every type as a column and as an array's element, then whatever chance makes
my @rest = @leaves;
while (my @some = splice(@rest, 0, 20))
{
	add_table('scalars_' . scalar(@names), @some);
	my @elements = grep { $_->{element} } @some;
	add_table('arrays_' . scalar(@names), map { CdcTypes::array_of($_) } @elements);
}
foreach my $n (1 .. $tables)
{
	add_table("random_$n", map { random_type(\@ddl, 4, \@leaves) } 1 .. between(2, 7));
}

run_sql($node, 'postgres', encode_utf8(join('', @ddl)));
create_slot($node, 'postgres', 'source');
run_sql($node, 'postgres', encode_utf8(join('', @inserts)));
my $end_of_inserts = endpos($node);
run_sql($node, 'postgres', join('', map { "UPDATE $_ SET id = id + 1000;\n" } @names));

my $file = decode($node, 'postgres', 'source', pgoptions => $odd_options);
my $expected = @names * $rows;
is(scalar @{ read_lines($file) }, 2 * $expected, 'each row gives one line each time it changes');
load_records($node, 'postgres', $file, 'records');
is($node->safe_psql('postgres', q(
	CREATE TABLE parsed AS SELECT number, line::jsonb AS record FROM records ORDER BY number;
	CREATE INDEX ON parsed ((record->>'table'));
	ANALYZE parsed;
	CREATE FUNCTION moved(record jsonb) RETURNS jsonb LANGUAGE sql RETURN
		(record->'after') || jsonb_build_object('id', (record->'after'->>'id')::int + 1000,
			'doubled', ((record->'after'->>'id')::int + 1000) * 2);
	SELECT count(*) FROM parsed WHERE jsonb_typeof(record) = 'object')),
	2 * $expected, 'each line is a JSON object');
is($node->safe_psql('postgres', q(SELECT string_agg(DISTINCT key, ' ') FROM parsed, jsonb_object_keys(record) AS key
	WHERE key NOT IN ('op', 'source', 'schema', 'table', 'commit_lsn', 'seq', 'xid', 'ts', 'key', 'before', 'after',
		'unchanged'))), '', 'no other members than those of a change');

foreach my $settings ('', $odd_settings)
{
	my $with = $settings ? 'odd' : 'default';
	foreach my $name (@names)
	{
		# updates moved the ids; the rest of each row is as it was inserted, TOASTed values and all
		is(eval { run_sql($node, 'postgres', qq($settings
			SELECT count(*) FROM parsed, moved(record) AS after, jsonb_populate_record(NULL::$name, after) AS decoded
			JOIN $name AS stored ON stored.id = decoded.id
			WHERE record->>'table' = '$name' AND record->>'op' = 'insert' AND decoded::text = stored::text;)) } // $@,
			$rows, "$name: rows read back under $with settings are the stored ones")
		  or explain_difference($name, $settings);
	}
}
is($node->safe_psql('postgres', q(
	SELECT count(*) FROM parsed AS i CROSS JOIN moved(i.record) AS after JOIN parsed AS u ON u.record->>'op' = 'update'
		AND u.record->>'table' = i.record->>'table' AND u.record->'after'->'id' = after->'id'
	WHERE i.record->>'op' = 'insert'
		AND u.record->'after' = after - ARRAY(SELECT jsonb_array_elements_text(u.record->'unchanged')))),
	$expected, 'an update has the columns and values of the insert, but for those that it names as unchanged');
is($node->safe_psql('postgres', q(
	SELECT count(*) FROM parsed AS i JOIN parsed AS u ON u.record->>'op' = 'update'
		AND u.record->>'table' = i.record->>'table' AND u.record->'before'->>'id' = i.record->'after'->>'id'
	WHERE i.record->>'op' = 'insert'
		AND u.record->'before' = CASE (SELECT relreplident FROM pg_class WHERE relname = i.record->>'table')
			WHEN 'f' THEN i.record->'after' ELSE i.record->'key' END)),
	$expected, 'the old row is the inserted one under FULL, else its key');

sub explain_difference
{
	my ($name, $settings) = @_;
	diag(run_sql($node, 'postgres', qq($settings
		SELECT left(stored::text, 1500), E'\n  decoded: ' || coalesce(left(decoded::text, 1500), '(nothing)')
		FROM $name AS stored LEFT JOIN (parsed CROSS JOIN
			LATERAL jsonb_populate_record(NULL::$name, moved(record)) AS decoded)
			ON record->>'table' = '$name' AND record->>'op' = 'insert' AND stored.id = decoded.id
		WHERE decoded IS NULL OR decoded::text <> stored::text LIMIT 3;), on_error => 0));
	return;
}

$node->stop;
done_testing();
