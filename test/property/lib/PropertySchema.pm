# PropertySchema: random tables of random types, and DDL that changes them.
#
# What there is at any time is read from the catalog, so that a transaction that failed misleads nobody.  A
# column's comment names its type as PropertySchema knows it; a table's comment marks it as one that
# changes are made to (a partition has none, its root has).
package PropertySchema;

use strict;
use warnings;
use utf8;

use CdcTest;
use CdcTypes;
use Encode qw(decode_utf8);
use Exporter qw(import);
use JSON::PP ();

our @EXPORT = qw(new_schema schema_ddl read_tables random_ddl value_for shuffled);

my %key_types = map { $_ => 1 } 'numeric(12,3)', qw(int2 int4 int8 oid numeric varchar(40) char(45) name uuid date time
	timetz timestamp timestamp(3) timestamptz interval inet cidr macaddr macaddr8 bool float8 "char" pg_lsn xid8);

sub shuffled
{
	return map { $_->[1] } sort { $a->[0] <=> $b->[0] } map { [ rand(), $_ ] } @_;
}

# new_schema(): types by name, and the DDL that creates them and the first tables
sub new_schema
{
	forget_types(); # names would change what is picked
	my @leaves = leaf_types();
	my $schema = { types => {}, keys => [ grep { $key_types{ $_->{name} } } @leaves ], composites => [], made => 0, ddl => [] };
	my @namespaces = ('public', map { quote_name(random_column_name($_)) } 1 .. 2);

	$schema->{namespaces} = \@namespaces;
	$schema->{published} = pick(@namespaces);
	$schema->{roots} = [];
	push @{ $schema->{ddl} }, qq(CREATE SCHEMA "odd "" schema"; CREATE TABLE "odd "" schema"."Ta\\ble" ();\n),
	  map { "CREATE SCHEMA $_;\n" } @namespaces[ 1, 2 ];
	remember($schema, @{ $schema->{keys} }, leaf_named('int4', @leaves), leaf_named('text', @leaves));
	remember($schema, map { random_type($schema->{ddl}, 3, \@leaves) } 1 .. 25);
	push @{ $schema->{ddl} }, table_ddl($schema) foreach 1 .. between(2, 4);
	push @{ $schema->{ddl} }, partitioned_ddl($schema) foreach 1 .. between(0, 2);
	return $schema;
}

sub leaf_named
{
	my ($name, @leaves) = @_;
	return grep { $_->{name} eq $name } @leaves;
}

sub remember
{
	my ($schema, @types) = @_;

	foreach my $type (@types)
	{
		$schema->{types}{ $type->{name} } = $type;
	}
	return;
}

sub schema_ddl
{
	my ($schema) = @_;
	return join('', @{ $schema->{ddl} });
}

sub any_type
{
	my ($schema) = @_;
	return $schema->{types}{ pick(sort keys %{ $schema->{types} }) };
}

sub new_name
{
	my ($schema) = @_;
	return quote_name(random_column_name(++$schema->{made}));
}

# Name, definition and type of a column.
sub new_column
{
	my ($schema, $type) = @_;
	return { name => new_name($schema), type => $type, definition => $type->{name} };
}

# The texts of a table's columns with their comments, in which its key is found in any place.
sub random_columns
{
	my ($schema, $num_keys) = @_;
	my @keys = map { new_column($schema, pick(@{ $schema->{keys} })) } 1 .. $num_keys;
	my @others = map { new_column($schema, any_type($schema)) } 1 .. between(1, 7);

	$_->{definition} .= ' NOT NULL' foreach @keys;
	if (chance(3))
	{
		my $base = new_column($schema, $schema->{types}{int4});
		push @others, $base, { name => new_name($schema), type => undef,
			definition => "bigint GENERATED ALWAYS AS ($base->{name}::bigint * 2) STORED" };
	}
	return ([ shuffled(@keys, @others) ], \@keys);
}

sub definitions
{
	my (@columns) = @_;
	return join(', ', map { "$_->{name} $_->{definition}" } @columns);
}

sub comments
{
	my ($table, @columns) = @_;
	return "COMMENT ON TABLE $table IS 'changed';\n"
	  . join('', map { $_->{type} ? "COMMENT ON COLUMN $table.$_->{name} IS " . quote_text($_->{type}{name}) . ";\n" : '' } @columns);
}

sub table_ddl
{
	my ($schema) = @_;
	my $table = pick(@{ $schema->{namespaces} }) . '.' . new_name($schema);
	my ($columns, $keys) = random_columns($schema, pick(0, 1, 1, 2, 3));
	my $list = join(', ', map { $_->{name} } @$keys);
	my $ddl = "CREATE TABLE $table (" . definitions(@$columns) . (@$keys && chance(2) ? ", PRIMARY KEY ($list)" : '') . ");\n";

	# a dropped column in its midst
	$ddl = "CREATE TABLE $table (gone text, " . definitions(@$columns) . ");\nALTER TABLE $table DROP COLUMN gone;\n" if chance(3);
	$ddl .= comments($table, @$columns);
	if (@$keys && $ddl !~ /PRIMARY KEY/)
	{
		my $index = new_name($schema);
		$ddl .= chance(2) ? "ALTER TABLE $table ADD PRIMARY KEY ($list);\n"
		  : "CREATE UNIQUE INDEX $index ON $table ($list);\nALTER TABLE $table REPLICA IDENTITY USING INDEX $index;\n";
	}
	$ddl .= "ALTER TABLE $table REPLICA IDENTITY FULL;\n" if chance(@$keys ? 4 : 2);
	return $ddl;
}

# A tree of partitions, of which one has its columns in another order.
sub partitioned_ddl
{
	my ($schema) = @_;
	my $namespace = pick(@{ $schema->{namespaces} });
	my $root = $namespace . '.' . new_name($schema);
	my ($columns) = random_columns($schema, 0);
	my @stored = grep { $_->{type} } @$columns;
	my $by_hash = chance(2);
	my $key = $by_hash ? new_column($schema, $schema->{types}{int4}) : { name => '"region"', type => $schema->{types}{bool}, definition => 'bool' };
	my $id = new_column($schema, pick(@{ $schema->{keys} }));
	my @bounds = $by_hash ? map { "FOR VALUES WITH (MODULUS 3, REMAINDER $_)" } 0 .. 2
	  : ('FOR VALUES IN (true)', 'FOR VALUES IN (false)', 'DEFAULT');
	my $full = chance(3);
	my @tables = ($root);

	push @{ $schema->{roots} }, $root;
	$_->{definition} .= ' NOT NULL' foreach $key, $id;
	push @stored, $key, $id;
	my $ddl = "CREATE TABLE $root (" . definitions(@stored) . ", PRIMARY KEY ($key->{name}, $id->{name})) PARTITION BY "
	  . ($by_hash ? 'HASH' : 'LIST') . " ($key->{name});\n" . comments($root, @stored);
	foreach my $bound (@bounds)
	{
		my $leaf = $namespace . '.' . new_name($schema);
		push @tables, $leaf;
		$ddl .= chance(2) ? "CREATE TABLE $leaf PARTITION OF $root $bound;\n"
		  : "CREATE TABLE $leaf (gone int, " . definitions(shuffled(@stored)) . ");\nALTER TABLE $leaf DROP COLUMN gone;\n"
		  . "ALTER TABLE $root ATTACH PARTITION $leaf $bound;\n";
	}
	return $ddl . join('', map { "ALTER TABLE $_ REPLICA IDENTITY FULL;\n" } $full ? @tables : ());
}

# ------------------------------------------------------------------------------------------------
# What there is
# ------------------------------------------------------------------------------------------------

# read_tables(NODE, DATABASE): [ { name, partitioned, updatable, columns => [ { name, type, key, plain_key } ] } ]
sub read_tables
{
	my ($node, $db) = @_;
	my $text = $node->safe_psql($db, q(
		SET search_path = '';
		SELECT coalesce(json_agg(json_build_object('name', c.oid::regclass, 'partitioned', c.relkind = 'p',
				'primary', coalesce(c.relhasindex AND EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary), false),
				'updatable', c.relreplident IN ('f', 'i') OR EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary),
				'columns', (SELECT json_agg(json_build_object('name', quote_ident(a.attname), 'type', col_description(c.oid, a.attnum),
						'generated', a.attgenerated <> '',
						'partition_key', EXISTS (SELECT FROM pg_partitioned_table AS p WHERE p.partrelid = c.oid AND a.attnum = ANY (p.partattrs)),
						'key', EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND a.attnum = ANY (i.indkey))) ORDER BY a.attnum)
					FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))
			ORDER BY c.oid), '[]')
			FROM pg_class AS c WHERE c.relkind IN ('r', 'p') AND obj_description(c.oid, 'pg_class') = 'changed'));
	return JSON::PP->new->decode(decode_utf8($text));
}

# A value of the column's type; what may be, is NULL at times.
sub value_for
{
	my ($schema, $column) = @_;
	my $type = $schema->{types}{ $column->{type} } or die "no type $column->{type}";
	my $big = "(SELECT string_agg(md5((i * " . between(1, 1000) . ")::text), '') FROM generate_series(1, " . pick(60, 80, 300) . ') AS i)';

	return $type->{value}->() if $column->{key};
	# out of line
	return $big if $column->{type} eq 'text' && chance(3);
	return random_value($type);
}

# ------------------------------------------------------------------------------------------------
# DDL
# ------------------------------------------------------------------------------------------------

# random_ddl(SCHEMA, TABLES, ALONE): statements.  What is not alone may overlap with transactions that have rows
# of a type already: no lock keeps its attributes from being renamed, and a record has the names that were
# there when its row was written, but comes when that is committed.
sub random_ddl
{
	my ($schema, $tables, $alone) = @_;
	my $table = pick(@$tables);
	my $name = $table->{name};
	my $column = pick(@{ $table->{columns} });
	my $new = new_column($schema, any_type($schema));
	my $comment = "COMMENT ON COLUMN $name.$new->{name} IS " . quote_text($new->{type}{name});
	my @plain = grep { !$_->{key} && !$_->{generated} } @{ $table->{columns} };
	my ($number) = grep { ($_->{type} // '') eq 'int4' } @plain;
	my ($composite) = shuffled(grep { /^CREATE TYPE composite_\d+ AS \("/ } @{ $schema->{ddl} });
	my @choices = (
		"ALTER TABLE $name ADD COLUMN $new->{name} $new->{definition}; $comment",
		"ALTER TABLE $name ADD COLUMN $new->{name} $new->{definition} DEFAULT " . $new->{type}{value}->() . "; $comment",
		"ALTER TABLE $name RENAME COLUMN $column->{name} TO " . new_name($schema));

	push @choices, 'ALTER TABLE ' . $name . ' DROP COLUMN ' . pick(@plain)->{name} if @plain > 1;
	push @choices, "ALTER TABLE $name ALTER COLUMN $number->{name} TYPE int8; COMMENT ON COLUMN $name.$number->{name} IS 'int8'"
	  if $number && !(grep { $_->{generated} } @{ $table->{columns} });
	push @choices, "ALTER TABLE $name REPLICA IDENTITY " . pick('FULL', 'DEFAULT') if $table->{primary} && !$table->{partitioned};
	push @choices, "ALTER TABLE $name RENAME TO " . new_name($schema) unless $table->{partitioned};
	push @choices, "DROP TABLE $name" if @$tables > 3 && chance(3);
	push @choices, table_ddl($schema) if chance(2);
	push @choices, map { "ALTER TABLE $name ALTER COLUMN $_->{name} SET STORAGE EXTERNAL" } grep { ($_->{type} // '') eq 'text' } @plain;
	if ($alone && defined $composite)
	{
		my ($type, $attribute) = $composite =~ /^CREATE TYPE (composite_\d+) AS \(("(?:[^"]|"")*")/;
		push @choices, "ALTER TYPE $type RENAME ATTRIBUTE $attribute TO " . new_name($schema);
	}
	return pick(@choices);
}

1;
