# PropertyChanges: random transactions on the tables of PropertySchema, as a script for one session.  What runs
# at the same time is interleaved by two-phase commit, so that a seed gives the same changes each time: who
# meets a lock that a prepared transaction holds fails at once (lock_timeout).
package PropertyChanges;

use strict;
use warnings;
use utf8;

use CdcTest;
use CdcTypes;
use Exporter qw(import);
use PropertySchema;

our @EXPORT = qw(random_script);

my $prepared;

# random_script(SCHEMA, TABLES, NUMBER OF TRANSACTIONS)
sub random_script
{
	my ($schema, $tables, $count) = @_;
	my @open;
	$prepared = 0;
	my $sql = "SET client_encoding = 'UTF8';\nSET lock_timeout = '10ms';\nSET client_min_messages = error;\n";

	foreach (1 .. $count)
	{
		my $body = transaction_body($schema, $tables);
		my $kind = between(1, 12);

		if ($kind <= 2)
		{
			my $gid = 'property_' . ++$prepared;
			$sql .= "BEGIN;\n${body}PREPARE TRANSACTION '$gid';\n";
			push @open, $gid;
		}
		elsif ($kind == 3)
		{
			$sql .= "BEGIN;\n${body}ROLLBACK;\n";
		}
		elsif ($kind == 4)
		{
			$sql .= ddl_transaction($schema, $tables, !@open);
		}
		else
		{
			$sql .= "BEGIN;\n${body}COMMIT;\n";
		}
		$sql .= resolved(splice(@open, between(0, $#open), 1)) if @open && chance(3);
		$sql .= alone($tables) if chance(8);
	}
	return $sql . join('', map { resolved($_) } @open);
}

sub resolved
{
	my ($gid) = @_;
	return (chance(4) ? 'ROLLBACK' : 'COMMIT') . " PREPARED '$gid';\n";
}

# What is no part of a transaction.
sub alone
{
	my ($tables) = @_;
	my $name = pick(@$tables)->{name};

	return pick("SELECT pg_logical_emit_message(false, 'alone', 'x\"\\x');\n", "VACUUM FULL $name;\n", "REINDEX TABLE $name;\n",
		"CHECKPOINT;\n", "VACUUM $name;\n", "SELECT pg_switch_wal();\n");
}

sub transaction_body
{
	my ($schema, $tables) = @_;
	my $sql = '';

	foreach my $n (1 .. between(1, 6))
	{
		if (chance(4))
		{
			$sql .= "SAVEPOINT s$n;\n" . join('', map { statement($schema, $tables) } 1 .. between(1, 3));
			$sql .= chance(3) ? "SAVEPOINT inner$n;\n" . statement($schema, $tables) . (chance(2) ? "ROLLBACK TO inner$n;\n" : '') : '';
			$sql .= chance(2) ? "ROLLBACK TO s$n;\n" : chance(2) ? "RELEASE s$n;\n" : '';
		}
		else
		{
			$sql .= statement($schema, $tables);
		}
	}
	return $sql;
}

# With changes before and behind it; the command travels as a message.
sub ddl_transaction
{
	my ($schema, $tables, $alone) = @_;
	my $ddl = random_ddl($schema, $tables, $alone);

	return "BEGIN;\n" . statement($schema, $tables) . "SELECT ddl(\$ddl\$$ddl\$ddl\$);\n" . statement($schema, $tables) . "COMMIT;\n";
}

sub some_rows
{
	return chance(3) ? '' : " WHERE abs(hashtext(t::text) % 7) = " . between(0, 6);
}

# One row, the same each time.
sub one_row
{
	my ($name) = @_;
	return " WHERE (t.tableoid, t.ctid) = (SELECT s.tableoid, s.ctid FROM $name AS s ORDER BY s::text COLLATE \"C\" LIMIT 1 OFFSET " . between(0, 5) . ')';
}

sub insert
{
	my ($schema, $table) = @_;
	my @columns = grep { !$_->{generated} } @{ $table->{columns} };
	my $names = join(', ', map { $_->{name} } @columns);
	my $row = sub { return '(' . join(', ', map { value_for($schema, $_) } @columns) . ')' };

	return "INSERT INTO $table->{name} ($names) VALUES " . join(",\n", map { $row->() } 1 .. between(1, 6)) . " ON CONFLICT DO NOTHING;\n";
}

sub update
{
	my ($schema, $table) = @_;
	my $name = $table->{name};
	my @columns = grep { !$_->{generated} } @{ $table->{columns} };
	my @changed = (shuffled(grep { !$_->{key} } @columns))[ 0 .. between(0, 2) ];
	my ($key) = shuffled(grep { $_->{key} } @columns);

	@changed = grep { defined } @changed;
	return "UPDATE $name AS t SET $key->{name} = " . value_for($schema, $key) . one_row($name) . ";\n" if $key && (!@changed || chance(4));
	return "UPDATE $name AS t SET " . join(', ', map { "$_->{name} = " . value_for($schema, $_) } @changed) . some_rows() . ";\n";
}

sub statement
{
	my ($schema, $tables) = @_;
	my $table = pick(@$tables);
	my $name = $table->{name};
	my $kind = between(1, 20);

	return insert($schema, $table) if $kind <= 8 || (!$table->{updatable} && $kind <= 18);
	return update($schema, $table) if $kind <= 15;
	return "DELETE FROM $name AS t" . (chance(2) ? one_row($name) : " WHERE abs(hashtext(t::text) % 7) = " . between(0, 6)) . ";\n" if $kind <= 18;
	return "SELECT pg_logical_emit_message(" . pick('true', 'false') . ", " . quote_text(random_column_name(1)) . ", 'content');\n" if $kind == 19;
	return chance(2) ? "TRUNCATE $name" . (chance(2) ? ', ' . pick(@$tables)->{name} : '') . ";\n" : insert($schema, $table);
}

1;
