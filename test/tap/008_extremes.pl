# As wide and as deep as PostgreSQL allows.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcTest;
use Test::More;

my $node = make_node('extremes');

test_wide();
test_deep();

# 1,600 columns, the most that a table may have, under FULL: each is twice in an update.
sub test_wide
{
	my @names = map { "column_$_" } 1 .. 1600;
	my @values = map { $_ % 3 == 0 ? 'NULL' : $_ } 1 .. 1600;

	run_sql($node, 'postgres', 'CREATE TABLE wide (' . join(', ', map { "$_ int" } @names) . ");\n"
		. "ALTER TABLE wide REPLICA IDENTITY FULL;\n");
	create_slot($node, 'postgres', 'wide');
	run_sql($node, 'postgres', 'INSERT INTO wide VALUES (' . join(', ', @values) . ");\n"
		. "UPDATE wide SET column_1600 = -1; DELETE FROM wide;\n");

	my $row = join(',', map { "\"column_$_\":" . ($_ % 3 == 0 ? 'null' : $_) } 1 .. 1600);
	my $changed = $row =~ s/1600$/-1/r;
	foreach my $options ({}, { batch_bytes => 65536 })
	{
		my $lines = read_lines(decode($node, 'postgres', 'wide', options => $options));
		my @images = map { s/^.*?"ts":"[^"]*"//r } @$lines;
		is_deeply(\@images, [ ",\"after\":{$row}}", ",\"before\":{$row},\"after\":{$changed}}", ",\"before\":{$changed}}" ],
			'every one of 1,600 columns is in its place');
	}
	$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('wide')");
	return;
}

# As deep as the session that writes them can: its stack is larger than that of the session that decodes.
sub test_deep
{
	my $depth = 6000;
	my $array = '[' x $depth . ']' x $depth;
	my $object = '{"a":' x $depth . '1' . '}' x $depth;
	my $mixed = '[0,{"k":' x ($depth / 2) . '"v"' . '}]' x ($depth / 2);

	$node->safe_psql('postgres', 'CREATE TABLE deep (id int PRIMARY KEY, j json, jb jsonb)');
	create_slot($node, 'postgres', 'deep');
	run_sql($node, 'postgres', "SET max_stack_depth = '7MB';\n"
		. join('', map { "INSERT INTO deep VALUES ($_->[0], '$_->[1]', '$_->[1]');\n" }
			[ 1, $array ], [ 2, $object ], [ 3, $mixed ]));

	my $file = decode($node, 'postgres', 'deep', pgoptions => '-c max_stack_depth=100kB');
	my @found = map { /"after":(.*)\}\z/ ? $1 : 'no record' } @{ read_lines($file) };
	is(scalar @found, 3, 'a record for each deep value');
	foreach my $case ([ 'arrays', $array ], [ 'objects', $object ], [ 'both in turn', $mixed ])
	{
		my $id = 4 - @found;
		my $found = shift @found;
		ok($found eq "{\"id\":$id,\"j\":$case->[1],\"jb\":$case->[1]}", "$depth levels of $case->[0]")
		  or diag(substr($found, 0, 300));
	}
	same_files('the same by SQL function', $file,
		decode_by_sql($node, 'postgres', 'deep', settings => "SET max_stack_depth = '100kB';\n"));
	$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('deep')");
	return;
}

$node->stop;
done_testing();
