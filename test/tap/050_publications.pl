# Selection against pgoutput itself: random publications over random tables and changes, the same WAL
# decoded by both.  The rows, their columns and their order are the same, but for what is documented:
# generated columns go by our own option, of column lists that differ we send the union, and a value that
# an update did not change is filled in where the old row has it.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcTest;
use JSON::PP ();
use Test::More;

my $rounds = 5;
my $combinations = 14;

my $seed = seed_random(20260050);
my $node = make_node('publications');
my $json = JSON::PP->new;
my $excepts = $node->safe_psql('postgres', 'SHOW server_version_num') >= 190000;
my ($compared, $changes_compared, $refused) = (0, 0, 0);
my (%seen, %ops);

foreach my $round (1 .. $rounds)
{
	my $db = "round_$round";
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	my $model = random_tables();
	run_sql($node, $db, $model->{ddl});
	my @publications = random_publications($model);
	# some are refused: a filter of a partitioned table without publish_via_partition_root, say
	run_sql($node, $db, join('', map { $_->{ddl} } @publications), on_error => 0);
	my %made = map { $_ => 1 } split(/\n/, $node->safe_psql($db, 'SELECT quote_ident(pubname) FROM pg_publication'));
	@publications = grep { $made{ $_->{name} } } @publications;
	create_slot($node, $db, "source_$round");
	# what has no identity refuses updates where they are published: such statements are lost, as anywhere
	run_sql($node, $db, random_changes($model, \@publications), on_error => 0);
	$node->safe_psql($db, "SELECT pg_copy_logical_replication_slot('source_$round', 'pgoutput_$round', false, 'pgoutput')");
	foreach (1 .. $combinations)
	{
		compare($db, $round, map { $_->{name} } grep { chance(3) } @publications);
	}
}
cmp_ok($compared, '>=', $rounds * $combinations / 2, "$compared combinations were compared ($refused refused by pgoutput)");
cmp_ok($changes_compared, '>=', 500, "$changes_compared changes were compared");
foreach my $kind (qw(insert update delete truncate key_changed full_row crossed_in crossed_out as_root column_list))
{
	# another seed may do without one of them
	ok(($seen{$kind} // 0) > 0 || defined $ENV{CDC_SEED}, "among them: $kind");
}
$node->stop;
done_testing();

# ------------------------------------------------------------------------------------------------
# What is there
# ------------------------------------------------------------------------------------------------

# Plain tables in two schemas and two trees of partitions.  All have id, n, t and b, and some more.
sub random_tables
{
	my %model = (ddl => "CREATE SCHEMA s2;\n", tables => [], roots => []);

	foreach my $i (1 .. 5)
	{
		my $name = pick('public', 's2') . ".plain$i";
		my $identity = pick('DEFAULT', 'DEFAULT', 'FULL', 'NOTHING');
		my @columns = ('id int PRIMARY KEY', shuffled('n int', 't text', 'b bool', 'x numeric', 'long text'));
		push @columns, 'g int GENERATED ALWAYS AS (id * 2) STORED' if chance(3);
		$model{ddl} .= "CREATE TABLE $name (" . join(', ', @columns) . ");\n"
		  . "ALTER TABLE $name ALTER long SET STORAGE EXTERNAL, REPLICA IDENTITY $identity;\n";
		push @{ $model{tables} }, { name => $name, identity => $identity, write => $name, range => [ 1, 40 ] };
	}
	foreach my $i (1 .. 2)
	{
		my $root = pick('public', 's2') . ".root$i";
		my $identity = pick('DEFAULT', 'FULL');
		$model{ddl} .= "CREATE TABLE $root (id int PRIMARY KEY, n int, t text, b bool, x numeric, long text) PARTITION BY RANGE (id);\n"
		  . "CREATE TABLE ${root}_low PARTITION OF $root FOR VALUES FROM (1) TO (15);\n"
		  . "CREATE TABLE ${root}_mid (gone int, " . join(', ', shuffled('id int NOT NULL', 'n int', 't text', 'b bool', 'x numeric', 'long text'))
		  . ") PARTITION BY RANGE (id);\n"
		  . "ALTER TABLE ${root}_mid DROP COLUMN gone;\n"
		  . "ALTER TABLE $root ATTACH PARTITION ${root}_mid FOR VALUES FROM (15) TO (35);\n"
		  . "CREATE TABLE ${root}_leaf PARTITION OF ${root}_mid FOR VALUES FROM (15) TO (25);\n"
		  . "CREATE TABLE ${root}_last (" . join(', ', shuffled('id int NOT NULL', 'n int', 't text', 'b bool', 'x numeric', 'long text')) . ");\n"
		  . "ALTER TABLE ${root}_mid ATTACH PARTITION ${root}_last FOR VALUES FROM (25) TO (35);\n"
		  . "CREATE TABLE ${root}_rest PARTITION OF $root DEFAULT;\n";
		foreach my $part ('', qw(_low _mid _leaf _last _rest))
		{
			$model{ddl} .= "ALTER TABLE $root$part REPLICA IDENTITY $identity;\n";
			push @{ $model{tables} },
			  { name => "$root$part", identity => $identity, write => $root, range => [ 1, 45 ], part => $part };
		}
		push @{ $model{roots} }, $root;
	}
	return \%model;
}

sub shuffled
{
	return map { $_->[1] } sort { $a->[0] <=> $b->[0] } map { [ rand(), $_ ] } @_;
}

sub random_publications
{
	my ($model) = @_;
	my @publications;

	# one list for a table wherever it has one: pgoutput stops at lists that differ
	foreach my $table (@{ $model->{tables} })
	{
		my @some = grep { chance(2) } qw(n t b x long);
		$table->{list} = '(' . join(', ', shuffled('id', @some)) . ')' if chance(3) && $table->{identity} eq 'DEFAULT';
	}
	foreach my $i (1 .. 9)
	{
		my $name = chance(4) ? "\"Publication, $i\"" : "p$i";
		my @with;
		push @with, "publish = '" . join(', ', grep { chance(2) } qw(insert update delete truncate)) . "'" if chance(3);
		push @with, 'publish_via_partition_root = ' . pick('true', 'false') if chance(2);
		my $with = @with ? ' WITH (' . join(', ', @with) . ')' : '';
		my $what = $i == 1 ? 'FOR ALL TABLES' . exceptions($model)
		  : $i == 2 ? 'FOR TABLES IN SCHEMA ' . pick('public', 's2')
		  : 'FOR ' . join(', ', map { 'TABLE ' . member($_) } pick_some($model));
		push @publications, { name => $name, ddl => "CREATE PUBLICATION $name $what$with;\n", tables => $i > 2 };
	}
	return @publications;
}

# From 19 on; no partition may be named.
sub exceptions
{
	my ($model) = @_;
	my @some = (shuffled(map { $_->{name} } grep { !$_->{part} } @{ $model->{tables} }))[ 0 .. between(0, 2) ];

	return chance(3) || !$excepts ? '' : ' EXCEPT (' . join(', ', map { "TABLE $_" } @some) . ')';
}

sub pick_some
{
	my ($model) = @_;
	my @some = (shuffled(@{ $model->{tables} }))[ 0 .. between(1, 4) ];
	return @some;
}

# A table of a publication, with its column list and a filter, or without.
sub member
{
	my ($table) = @_;
	my $text = $table->{name} . ($table->{list} // '');

	return $text if chance(2);
	# what the identity does not log cannot be asked for where updates are published
	my @filters = ('id % 3 <> 0', 'id > ' . between(5, 30), 'id BETWEEN 8 AND 28', 'id IN (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31)');
	push @filters, 'n > ' . between(1, 8), 'n IS NOT NULL AND b', "t LIKE 'a%'", 'x > 3.5', 'b', 'NOT b OR n < 4' if $table->{identity} eq 'FULL';
	return "$text WHERE (" . pick(@filters) . ')';
}

# ------------------------------------------------------------------------------------------------
# What happens
# ------------------------------------------------------------------------------------------------

sub random_changes
{
	my ($model, $publications) = @_;
	my $sql = '';

	foreach (1 .. 160)
	{
		my @statements = map { random_change($model) } 1 .. (chance(3) ? between(2, 6) : 1);
		splice(@statements, between(0, $#statements), 0, random_ddl($model, $publications)) if chance(8);
		$sql .= @statements > 1 ? "BEGIN;\n" . join('', @statements) . "COMMIT;\n" : $statements[0];
	}
	return $sql;
}

sub random_change
{
	my ($model) = @_;
	my $table = pick(grep { !$_->{part} } @{ $model->{tables} });
	my $name = $table->{write};
	my $id = between(@{ $table->{range} });
	my $other = between(@{ $table->{range} });

	return pick(
		sub { "INSERT INTO $name (id, n, t, b, x, long) VALUES ($id, " . values_of() . ") ON CONFLICT DO NOTHING;\n" },
		sub { "INSERT INTO $name (id, n, t, b, x, long) SELECT i, " . values_of() . " FROM generate_series($id, $id + 5) AS i ON CONFLICT DO NOTHING;\n" },
		sub { "UPDATE $name SET n = n + 1 WHERE id BETWEEN $id AND $id + 4;\n" },
		sub { "UPDATE $name SET (n, t, b, x, long) = (" . values_of() . ") WHERE id = $id;\n" },
		sub { "UPDATE $name SET b = NOT b, n = NULL WHERE id > $id;\n" },
		sub { "UPDATE $name SET id = $other WHERE id = $id AND NOT EXISTS (SELECT FROM $name WHERE id = $other);\n" },
		sub { "DELETE FROM $name WHERE id = $id;\n" },
		sub { chance(4) ? 'TRUNCATE ' . join(', ', $name, chance(2) ? $model->{roots}[0] : ()) . ";\n" : "DELETE FROM $name WHERE id > $id + 25;\n" })->();
}

sub values_of
{
	return join(', ', pick('NULL', between(0, 10)), "'" . pick(qw(a ab b c)) . between(0, 9) . "'", pick('true', 'false', 'NULL'),
		between(0, 9) . '.50', pick("'short'", 'NULL', "repeat('" . pick('a' .. 'z') . "', 3000)"));
}

sub random_ddl
{
	my ($model, $publications) = @_;
	my $publication = pick(grep { $_->{tables} } @$publications);
	my $name = $publication->{name};
	my $table = pick(@{ $model->{tables} });
	my $root = pick(@{ $model->{roots} });
	my $column = 'added' . int(rand(1000));

	return pick(
		"ALTER PUBLICATION $name ADD TABLE " . member($table) . ";\n",
		"ALTER PUBLICATION $name DROP TABLE $table->{name};\n",
		"ALTER PUBLICATION $name SET TABLE " . join(', ', map { member($_) } pick_some($model)) . ";\n",
		"ALTER PUBLICATION $name SET (publish = '" . join(', ', 'insert', grep { chance(2) } qw(update delete truncate)) . "');\n",
		"ALTER PUBLICATION $name SET (publish_via_partition_root = " . pick('true', 'false') . ");\n",
		"ALTER TABLE $table->{write} ADD COLUMN $column int DEFAULT 7;\n",
		"ALTER TABLE ${root}_mid DETACH PARTITION ${root}_last;\nINSERT INTO ${root}_last (id, n) VALUES (26, 1);\nDELETE FROM ${root}_last WHERE id = 26;\n"
		  . "ALTER TABLE ${root}_mid ATTACH PARTITION ${root}_last FOR VALUES FROM (25) TO (35);\n");
}

# ------------------------------------------------------------------------------------------------
# What each makes of it
# ------------------------------------------------------------------------------------------------

sub compare
{
	my ($db, $round, @names) = @_;

	return unless @names;
	my $names = join(', ', @names);
	my $theirs = eval { pgoutput_changes($db, $round, join(',', map { /^"/ ? $_ : "\"$_\"" } @names)) };
	if (!defined $theirs)
	{
		# of column lists that differ, which pgoutput stops at, we send the union
		like($@, qr/cannot use different column lists/, "$db: pgoutput refuses $names");
		decode($node, $db, "source_$round", options => { publication_names => $names });
		return $refused++;
	}
	my $ours = our_changes($db, $round, $names);
	my $same = is(scalar @$ours, scalar @$theirs, "$db, $names: as many changes");
	my ($differs) = grep { $ours->[$_] ne $theirs->[$_] } 0 .. ($#$ours < $#$theirs ? $#$ours : $#$theirs);
	ok(!defined $differs, "$db, $names: the same changes")
	  or diag("change $differs of pgoutput: $theirs->[$differs]\nours:                 $ours->[$differs]");
	diag("repeat with CDC_SEED=$seed") unless $same && !defined $differs;
	$compared++;
	$changes_compared += @$ours;
	return;
}

sub our_changes
{
	my ($db, $round, $names) = @_;
	my $file = decode($node, $db, "source_$round",
		options => { publication_names => $names, generated_columns => 'none', messages => 'off' });
	my @changes;

	foreach my $line (@{ read_lines($file) })
	{
		my $record = $json->decode($line);
		my %change = (op => $record->{op}, at => $record->{commit_lsn}, xid => $record->{xid}, relation => "$record->{schema}.$record->{table}");

		$change{before} = plain($record->{before}) if $record->{before};
		if ($record->{after})
		{
			($change{columns}) = $line =~ /"after":(\{.*)/;
			my %unchanged = map { $_ => 'UNCHANGED' } @{ $record->{unchanged} // [] };
			$change{columns} = join(',', grep { exists $record->{after}{$_} } $change{columns} =~ /[{,]"(\w+)":/g);
			$change{after} = { %{ plain($record->{after}) }, %unchanged };
			$change{columns} = '' if %unchanged;
		}
		push @changes, canonical(%change);
		# what an update became that moved a row across a filter
		my $as = op_of_all($db, $round)->{"$record->{commit_lsn} $record->{seq}"};
		die "a change that was not made: $line" unless defined $as;
		$seen{ $record->{op} eq 'insert' ? 'crossed_in' : 'crossed_out' }++ if $as ne $record->{op};
	}
	return \@changes;
}

# The operation of each change of a round, by its place.
sub op_of_all
{
	my ($db, $round) = @_;

	$ops{$db} //= { map { m{^\{"op":"(\w+)".*?"commit_lsn":"([^"]+)","seq":(\d+)} ? ("$2 $3" => $1) : () }
		  @{ read_lines(decode($node, $db, "source_$round")) } };
	return $ops{$db};
}

# As pgoutput's text format has it.
sub plain
{
	my ($row) = @_;
	return { map { $_ => !defined $row->{$_} ? 'NULL' : JSON::PP::is_bool($row->{$_}) ? ($row->{$_} ? 't' : 'f') : "$row->{$_}" } keys %$row };
}

sub canonical
{
	my (%change) = @_;
	my $text = "$change{op} $change{relation} at $change{at} by $change{xid}";

	foreach my $image (qw(before after))
	{
		next unless $change{$image};
		$text .= " $image " . join(' ', map { "$_=" . shorten($change{$image}{$_}) } sort keys %{ $change{$image} });
	}
	$text .= " ($change{columns})" if $change{columns};
	return $text;
}

sub shorten
{
	my ($value) = @_;
	return length $value > 40 ? substr($value, 0, 5) . '...' . length $value : $value;
}

# pgoutput's messages, protocol version 1 (protocol.sgml, "Logical Replication Message Formats").
sub pgoutput_changes
{
	my ($db, $round, $names) = @_;
	$names =~ s/'/''/g;
	my $text = run_sql($node, $db, "SELECT encode(data, 'hex') FROM pg_logical_slot_peek_binary_changes('pgoutput_$round', NULL, NULL, "
		  . "'proto_version', '1', 'publication_names', '$names');");
	my (@changes, %relations, %transaction);

	foreach my $message (map { pack('H*', $_) } split(/\n/, $text))
	{
		my $kind = substr($message, 0, 1);
		my $body = substr($message, 1);

		if ($kind eq 'B')
		{
			my ($high, $low, undef, $xid) = unpack('N N Q> N', $body);
			%transaction = (at => sprintf('%X/%X', $high, $low), xid => $xid);
		}
		elsif ($kind eq 'R')
		{
			my ($oid, $rest) = unpack('N a*', $body);
			$relations{$oid} = read_relation($rest);
		}
		elsif ($kind eq 'T')
		{
			my ($count, undef, @oids) = unpack('N C N*', $body);
			push @changes, map { canonical(op => 'truncate', relation => $relations{$_}{name}, %transaction) } @oids;
			$seen{truncate} += $count;
		}
		elsif ($kind =~ /[IUD]/)
		{
			my ($oid, $rest) = unpack('N a*', $body);
			push @changes, canonical(%transaction, read_change($kind, $relations{$oid}, $rest));
		}
		elsif ($kind !~ /[CY]/)
		{
			die "unexpected message $kind";
		}
	}
	return \@changes;
}

sub read_relation
{
	my ($rest) = @_;
	my ($schema, $table, $identity, $count, $columns) = unpack('Z* Z* a n a*', $rest);
	my %relation = (name => ($schema eq '' ? 'pg_catalog' : $schema) . ".$table", identity => $identity, columns => [], key => {});

	foreach (1 .. $count)
	{
		my ($flags, $name, undef, undef, $more) = unpack('C Z* N N a*', $columns);
		push @{ $relation{columns} }, $name;
		$relation{key}{$name} = 1 if $flags & 1;
		$columns = $more;
	}
	$seen{as_root}++ if $table =~ /^root\d$/;
	$seen{column_list}++ if $count < 6;
	return \%relation;
}

sub read_change
{
	my ($kind, $relation, $rest) = @_;
	my %change = (op => { I => 'insert', U => 'update', D => 'delete' }->{$kind}, relation => $relation->{name});
	my $tag = substr($rest, 0, 1, '');

	$seen{ $change{op} }++;
	if ($tag =~ /[KO]/)
	{
		($change{before}, $rest) = read_tuple($relation, $rest);
		# of a key pgoutput sends the other columns as NULL, we do not send them
		delete @{ $change{before} }{ grep { !$relation->{key}{$_} } keys %{ $change{before} } } if $tag eq 'K';
		$seen{ $tag eq 'O' ? 'full_row' : $kind eq 'U' ? 'key_changed' : 'key_of_delete' }++;
		return %change if $kind eq 'D';
		$tag = substr($rest, 0, 1, '');
	}
	die "unexpected tuple $tag" if $tag ne 'N';
	($change{after}, $rest) = read_tuple($relation, $rest);
	die 'bytes are left' if length $rest;
	# what did not change is filled in where the old row is whole
	foreach my $name (grep { $change{after}{$_} eq 'UNCHANGED' } keys %{ $change{after} })
	{
		$change{after}{$name} = $change{before}{$name} if $relation->{identity} eq 'f' && $change{before};
	}
	$change{columns} = (grep { $_ eq 'UNCHANGED' } values %{ $change{after} }) ? '' : join(',', @{ $relation->{columns} });
	return %change;
}

sub read_tuple
{
	my ($relation, $rest) = @_;
	my %tuple;
	my $count = unpack('n', substr($rest, 0, 2, ''));

	die 'another number of columns' if $count != @{ $relation->{columns} };
	foreach my $name (@{ $relation->{columns} })
	{
		my $kind = substr($rest, 0, 1, '');
		if ($kind eq 't')
		{
			my $length = unpack('N', substr($rest, 0, 4, ''));
			$tuple{$name} = substr($rest, 0, $length, '');
		}
		else
		{
			$tuple{$name} = $kind eq 'n' ? 'NULL' : 'UNCHANGED';
		}
	}
	return (\%tuple, $rest);
}
