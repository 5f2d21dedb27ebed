# CdcSnapshot: what the tests of existing rows share: tables under load, and a replay of what was delivered.
#
# The replay knows a row by its table and key, and keeps of it what records say: an update without a value that
# did not change leaves what is known of it.  In the end it must be what the tables hold.
package CdcSnapshot;

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CdcStream;
use CdcTest;

our @EXPORT = qw(make_tables start_load stop_load replay_files check_replay snapshot_rows_once);

# make_tables(NODE, ROWS): before any slot
sub make_tables
{
	my ($node, $rows) = @_;

	$node->safe_psql('postgres', qq(
		CREATE EXTENSION IF NOT EXISTS cdc_decoder;
		CREATE TABLE items (id int PRIMARY KEY, v int NOT NULL, body text);
		ALTER TABLE items ALTER body SET STORAGE EXTERNAL;
		INSERT INTO items SELECT g, 0, CASE WHEN g % 100 = 0 THEN repeat('b' || g, 600) END FROM generate_series(1, $rows) g;
		CREATE TABLE parted (a text, b int, v int, PRIMARY KEY (a, b)) PARTITION BY RANGE (b);
		CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (5000);
		CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (5000) TO (1000000);
		INSERT INTO parted SELECT chr(97 + g % 26), g, 0 FROM generate_series(1, $rows / 2) g;
		CREATE TABLE by_code (id int PRIMARY KEY, code int NOT NULL UNIQUE, v int);
		ALTER TABLE by_code REPLICA IDENTITY USING INDEX by_code_code_key;
		INSERT INTO by_code SELECT g, 1000000 + g, 0 FROM generate_series(1, 3000) g;
		CREATE TABLE whole (id int PRIMARY KEY, v int);
		ALTER TABLE whole REPLICA IDENTITY FULL;
		INSERT INTO whole SELECT g, 0 FROM generate_series(1, 3000) g;
		CREATE TABLE short (id int PRIMARY KEY, v int); INSERT INTO short SELECT g, 0 FROM generate_series(1, 100) g;
		CREATE TABLE empty (id int PRIMARY KEY, v int);
		CREATE TABLE keyless (v int); INSERT INTO keyless SELECT generate_series(1, 500);
		ANALYZE));
	return;
}

# Changes of all kinds all over the tables; more of what is rare than a user would make.
my $load_sql = <<'END_SQL';
\set id random(1, :rows)
\set other random(1, :rows)
\set third random(1, :rows)
\set new random(1, 100000)
\set half random(1, :rows / 2)
\set few random(1, 3000)
\set dice random(1, 200)
BEGIN;
UPDATE items SET v = v + 1 WHERE id = :id;
DELETE FROM items WHERE id = :other;
INSERT INTO items VALUES (:other, :new, NULL) ON CONFLICT DO NOTHING;
UPDATE items SET id = :rows + :new WHERE id = :third AND NOT EXISTS (SELECT FROM items WHERE id = :rows + :new);
UPDATE parted SET b = b + 100000, v = v + 1 WHERE b = :half;
UPDATE parted SET v = v + 1 WHERE b = :half + 100000;
UPDATE by_code SET id = 1000000 + :new, v = v + 1 WHERE id = :few AND NOT EXISTS (SELECT FROM by_code WHERE id = 1000000 + :new);
UPDATE by_code SET code = :new WHERE id = :few + 1 AND NOT EXISTS (SELECT FROM by_code WHERE code = :new);
UPDATE whole SET v = v + 1, id = id + CASE WHEN :dice < 20 AND id < 10000 THEN 10000 ELSE 0 END WHERE id = :few;
SAVEPOINT s;
UPDATE items SET v = -1 WHERE id BETWEEN :id AND :id + 5;
ROLLBACK TO s;
COMMIT;
BEGIN;
UPDATE items SET v = -2 WHERE id = :id;
ROLLBACK;
\if :dice = 1
TRUNCATE short;
\endif
INSERT INTO short VALUES (:dice, :new) ON CONFLICT (id) DO UPDATE SET v = excluded.v;
INSERT INTO empty VALUES (:few, :new) ON CONFLICT (id) DO UPDATE SET v = excluded.v;
END_SQL

# start_load(NODE, ROWS): until stop_load(); two sessions
sub start_load
{
	my ($node, $rows, %options) = @_;
	my $file = output_file('load.sql');
	my $log = output_file('load.log');

	append_to_file($file, $load_sql);
	my $pid = fork // die "could not fork: $!";
	if ($pid == 0)
	{
		local $SIG{INT} = 'DEFAULT';
		local $SIG{TERM} = 'DEFAULT';
		%ENV = (%ENV, $node->_get_env());
		open(STDOUT, '>', $log);
		open(STDERR, '>&', \*STDOUT);
		exec($node->installed_command('pgbench'), '-n', '-c', '2', '-T', '300', '-R', $options{rate} // 300,
			'--max-tries=100', '-D', "rows=$rows", '-f', $file, $node->connstr('postgres')) or POSIX::_exit(127);
	}
	return { pid => $pid, log => $log };
}

sub stop_load
{
	my ($load) = @_;
	kill 'INT', $load->{pid};
	waitpid($load->{pid}, 0);
	my $said = slurp_file($load->{log});
	ok($said !~ /ERROR|aborted/, 'the load ran') or diag($said);
	return;
}

my $json = JSON::PP->new->utf8->canonical;

# replay_files(FILES...): { table => { key => row } } and what was wrong on the way
sub replay_files
{
	my (@files) = @_;
	my (%tables, %counts, $wrong, $last);

	foreach my $line (map { @{ read_lines($_) } } @files)
	{
		my $record = $json->decode($line);
		my ($op, $table) = @$record{qw(op table)};
		my $id = sprintf('%016d %012d', lsn_number($record->{commit_lsn}), $record->{seq});

		$wrong //= "record $line does not come after $last" if defined $last && $id le $last;
		$last = $id;
		$counts{$op}++;
		if ($op eq 'truncate')
		{
			$tables{$table} = {};
			next;
		}
		if ($op eq 'delete' || $record->{before} && $record->{key})
		{
			# what the key was, whatever else is known of the old row
			my $old = $op eq 'delete' ? $record->{key} : { map { $_ => $record->{before}{$_} } keys %{ $record->{key} } };
			my $gone = delete $tables{$table}{ $json->encode($old) };
			$tables{$table}{ $json->encode($record->{key}) } = $gone if $op eq 'update' && $gone;
		}
		next if $op eq 'delete';
		my $key = defined $record->{key} ? $json->encode($record->{key}) : "row $id";
		my $known = $record->{unchanged} ? $tables{$table}{$key} // {} : {};
		my %row = %{ $record->{after} };
		foreach my $column (@{ $record->{unchanged} // [] })
		{
			$row{$column} = $known->{$column} if exists $known->{$column};
		}
		$tables{$table}{$key} = \%row;
	}
	return (\%tables, \%counts, $wrong);
}

# check_replay(NAME, NODE, [TABLES], FILES...): one test; returns how many records of each kind there were
sub check_replay
{
	my ($name, $node, $names, @files) = @_;
	my ($tables, $counts, $wrong) = replay_files(@files);
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	foreach my $table (@$names)
	{
		last if $wrong;
		my %got;
		my @real = split /\n/, $node->safe_psql('postgres', "SELECT to_jsonb(t) FROM $table t");
		$got{ $json->encode($_) }++ foreach values %{ $tables->{$table} // {} };
		my $rows = 0;
		foreach my $row (map { $json->encode($json->decode($_)) } @real)
		{
			$rows++;
			next if $got{$row} && $got{$row}-- > 0;
			$wrong = "$table lacks " . substr($row, 0, 300);
			last;
		}
		my ($left) = grep { $got{$_} > 0 } keys %got;
		$wrong //= "$table has " . substr($left, 0, 300) . ', which is not in the table' if defined $left;
		note("$table: $rows rows") unless $wrong;
	}
	ok(!$wrong, $name) or diag($wrong);
	note("$name: " . join(', ', map { "$counts->{$_} $_" } sort keys %$counts));
	return $counts;
}

# snapshot_rows_once(NAME, FILES...): no row of a snapshot was delivered twice
sub snapshot_rows_once
{
	my ($name, @files) = @_;
	my (%seen, $twice);
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	foreach my $line (map { @{ read_lines($_) } } @files)
	{
		next unless $line =~ /^\{"op":"snapshot",.*?"table":"(\w+)".*?"after":(\{.*\})\}$/;
		my ($table, $row) = ($1, $json->decode($2));
		my $key = "$table " . ($table eq 'parted' || $table =~ /^parted_/ ? $row->{b} : $table eq 'keyless' ? $row->{v} : $row->{id});
		$twice //= "$key: $line" if $seen{$key}++;
	}
	ok(!$twice, $name) or diag($twice);
	return scalar keys %seen;
}

1;
