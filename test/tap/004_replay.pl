# Replaying the stream into empty tables gives the source's tables: after concurrent transactions with
# savepoints, rollbacks, changed keys, TOASTed values that were and were not touched, truncates, rows that
# move between partitions, every replica identity, and DDL in between (which travels as messages).
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcReplica;
use CdcTest;
use Test::More;

my $sessions = 3;
my $transactions = 300;

# spilled to disk at every occasion, as a large transaction would be
my $node = make_node('replay', 'logical_decoding_work_mem = 64kB', 'deadlock_timeout = 50ms', 'work_mem = 64MB');
seed_random(4);

my $schema = q(
	CREATE TABLE account (id int PRIMARY KEY, region text, balance numeric, note text, tags text[]);
	ALTER TABLE account ALTER note SET STORAGE EXTERNAL;
	CREATE TABLE pair (b text, v jsonb, a int, PRIMARY KEY (b, a));
	CREATE TABLE entire (a int, b text, big text);
	ALTER TABLE entire REPLICA IDENTITY FULL;
	CREATE TABLE entire_with_key (x text, id int PRIMARY KEY, big text);
	ALTER TABLE entire_with_key REPLICA IDENTITY FULL;
	CREATE TABLE by_index (other int, k text NOT NULL, big text, id int PRIMARY KEY);
	CREATE UNIQUE INDEX by_index_k ON by_index (k);
	ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_k;
	CREATE TABLE journal (at timestamptz, what text);
	CREATE TABLE parted (id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
	CREATE TABLE parted_a PARTITION OF parted FOR VALUES IN ('a');
	CREATE TABLE parted_b (v text, region text NOT NULL, id int NOT NULL, PRIMARY KEY (id, region));
	ALTER TABLE parted ATTACH PARTITION parted_b FOR VALUES IN ('b');
);
my @tables = qw(account pair entire entire_with_key by_index journal parted);

$node->safe_psql('postgres', $schema . q(
	CREATE FUNCTION big(n int) RETURNS text LANGUAGE sql VOLATILE AS
		$$ SELECT string_agg(md5(random()::text), '') FROM generate_series(1, n) $$;
	CREATE FUNCTION ddl(command text) RETURNS void LANGUAGE plpgsql AS
		$$ BEGIN EXECUTE command; PERFORM pg_logical_emit_message(true, 'ddl', command); END $$;
	CREATE DATABASE replica;
));
create_slot($node, 'postgres', 'source');
run_concurrently(map { session_script($_) } 0 .. $sessions - 1);

my $file = decode($node, 'postgres', 'source');
my %seen;
foreach my $line (@{ read_lines($file) })
{
	$seen{$1}++ if $line =~ /^\{"op":"(\w+)"/;
	$seen{'unchanged'}++ if $line =~ /,"unchanged":\[/;
	$seen{'changed key'}++ if $line =~ /^\{"op":"update".*"table":"account".*"before":/;
	$seen{'ddl'}++ if $line =~ /"prefix":"ddl"/;
}
cmp_ok($seen{$_} // 0, '>', 2, "the workload gave $_: " . ($seen{$_} // 0))
  foreach ('insert', 'update', 'delete', 'truncate', 'unchanged', 'changed key', 'ddl');

$node->safe_psql('replica', $schema);
$node->safe_psql('replica', replica_sql());
load_records($node, 'replica', $file, 'records');
my ($status, undef, $stderr) = $node->psql('replica', 'CALL apply_all()');
is($status, 0, 'every record finds the row that it is about') or diag($stderr);

foreach my $table (@tables, made_tables())
{
	is(contents($node, 'replica', $table), contents($node, 'postgres', $table), "$table is the same");
	note("$table: " . $node->safe_psql('postgres', "SELECT count(*) FROM $table") . ' rows');
}
is(made_tables('replica'), made_tables('postgres'), 'tables that were made on the way');

# ------------------------------------------------------------------------------------------------
# The workload
# ------------------------------------------------------------------------------------------------

sub some_big
{
	# in line, compressed perhaps, out of line
	return 'big(' . pick(1, 3, 80, 120, 400) . ')';
}

sub region
{
	return pick("'a'", "'b'");
}

sub statement
{
	my ($session) = @_;
	my $from = $session * 1000 + between(1, 150);
	my $to = $from + between(0, 8);
	my $range = "BETWEEN $from AND $to";
	my $big = some_big();
	my $region = region();

	return pick(
		"INSERT INTO account (id, region, balance, note) SELECT i, $region, i / 3.0, $big FROM generate_series($from, $to) AS i"
		  . ' ON CONFLICT (id) DO UPDATE SET balance = account.balance + 1',
		"INSERT INTO account (id, balance, note, tags) VALUES ($from, 'NaN', $big, ARRAY['x', NULL, '\"']) ON CONFLICT DO NOTHING",
		"UPDATE account SET balance = balance * 1.10 WHERE id $range",
		"UPDATE account SET balance = balance + 1 WHERE abs(id) % 10 = " . between(0, 9),
		"UPDATE account SET note = $big, region = NULL WHERE id $range",
		"UPDATE account SET id = -id WHERE id $range",
		"UPDATE account SET id = -id, note = $big WHERE id = $from",
		"DELETE FROM account WHERE id $range",
		"INSERT INTO pair VALUES ('k\"' || $from, jsonb_build_object('n', $from, 'big', $big), 1) ON CONFLICT DO NOTHING",
		"INSERT INTO pair SELECT 'k\"' || i, NULL, -1 FROM generate_series($from, $to) AS i ON CONFLICT DO NOTHING",
		"UPDATE pair SET v = v || '{\"x\": [1, 2.50]}' WHERE b = 'k\"' || $from",
		"UPDATE pair SET a = a + 1, b = b || '\\' WHERE b = 'k\"' || $from",
		"UPDATE pair SET a = a + 1 WHERE b = 'k\"' || $from",
		"DELETE FROM pair WHERE b LIKE 'k\"$session%' AND length(v::text) % 5 = 1",
		"INSERT INTO entire SELECT i % 5, 'x', NULL FROM generate_series($from, $to) AS i",
		"INSERT INTO entire VALUES ($from, NULL, $big)",
		"UPDATE entire SET b = b || '.' WHERE a = " . between(0, 4),
		"UPDATE entire SET a = a + 1 WHERE a = $from",
		"UPDATE entire SET big = NULL WHERE a = $from",
		"DELETE FROM entire WHERE ctid = ANY (ARRAY(SELECT ctid FROM entire LIMIT 15))",
		"INSERT INTO entire_with_key SELECT 'x', i, $big FROM generate_series($from, $to) AS i ON CONFLICT DO NOTHING",
		"UPDATE entire_with_key SET x = x || 'y' WHERE id $range",
		"UPDATE entire_with_key SET id = -id WHERE id $range",
		"DELETE FROM entire_with_key WHERE id $range",
		"INSERT INTO by_index (other, k, big, id) SELECT i, 'k' || i, $big, i FROM generate_series($from, $to) AS i ON CONFLICT DO NOTHING",
		"UPDATE by_index SET other = other + 1 WHERE k = 'k' || $from",
		"UPDATE by_index SET k = k || '+' WHERE id $range",
		"UPDATE by_index SET id = -id WHERE id $range",
		"DELETE FROM by_index WHERE id = $from",
		"INSERT INTO journal VALUES (clock_timestamp(), $big), ('infinity', NULL)",
		"COPY journal FROM stdin;\n2000-01-01 00:00:00+00\tcopied $from\n\\N\t\\\\\n\\.\n",
		"INSERT INTO parted SELECT i, $region, $big FROM generate_series($from, $to) AS i ON CONFLICT DO NOTHING",
		"UPDATE parted SET region = $region WHERE id $range",
		"UPDATE parted SET v = v || '.' WHERE id $range",
		"DELETE FROM parted WHERE id $range");
}

# The end of COPY's data is the end of its statement.
sub terminated
{
	my ($statement) = @_;
	return $statement =~ /^COPY/ ? $statement : "$statement;\n";
}

sub transaction
{
	my ($session) = @_;
	my $sql = "BEGIN;\n";

	foreach my $n (1 .. between(1, 8))
	{
		if (chance(4))
		{
			$sql .= "SAVEPOINT s$n;\n" . join('', map { terminated(statement($session)) } 1 .. between(1, 3));
			$sql .= chance(2) ? "ROLLBACK TO s$n;\n" : '';
			$sql .= chance(3) ? "RELEASE s$n;\n" : '';
		}
		else
		{
			$sql .= terminated(statement($session));
		}
	}
	$sql .= 'TRUNCATE ' . pick('journal', 'entire, by_index', 'account', 'parted', 'pair', 'parted_b') . ";\n"
	  if chance(40);
	return $sql . (chance(8) ? "ROLLBACK;\n" : "COMMIT;\n");
}

my $made = 0;

# With changes before and after it in the same transaction.
sub ddl_transaction
{
	my ($session) = @_;
	my $n = ++$made;
	my $ddl = pick(
		"ALTER TABLE account ADD COLUMN added_$n int DEFAULT $n",
		"ALTER TABLE account ADD COLUMN added_$n text NOT NULL DEFAULT 'it''s'",
		"ALTER TABLE account ADD COLUMN added_$n bigint GENERATED ALWAYS AS (id::bigint * 2) STORED",
		'ALTER TABLE account DROP COLUMN IF EXISTS added_' . between(1, $n),
		'ALTER TABLE account RENAME tags TO labels', 'ALTER TABLE account RENAME labels TO tags',
		'ALTER TABLE account ALTER balance TYPE numeric(30,4)', 'ALTER TABLE account ALTER balance TYPE numeric',
		'ALTER TABLE pair ALTER a TYPE bigint', 'ALTER TABLE pair ALTER a TYPE int',
		'ALTER TABLE entire ADD COLUMN c' . $n . " text DEFAULT 'default $n'",
		'ALTER TABLE entire_with_key REPLICA IDENTITY DEFAULT', 'ALTER TABLE entire_with_key REPLICA IDENTITY FULL',
		'ALTER TABLE by_index REPLICA IDENTITY FULL', 'ALTER TABLE by_index REPLICA IDENTITY DEFAULT',
		'ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_k',
		'ALTER TABLE by_index DROP COLUMN IF EXISTS big, ADD COLUMN big text',
		'ALTER TABLE parted DETACH PARTITION parted_b',
		"ALTER TABLE parted ATTACH PARTITION parted_b FOR VALUES IN (''b'')",
		"CREATE PUBLICATION publication_$n FOR TABLE account", 'DROP PUBLICATION IF EXISTS publication_' . between(1, $n),
		"CREATE TABLE made_$n (id int PRIMARY KEY, v text)",
		'DROP TABLE IF EXISTS made_' . between(1, $n));
	$ddl =~ s/'/''/g unless $ddl =~ /''/;
	my $use = $ddl =~ /^CREATE/
	  ? "INSERT INTO made_$n SELECT i, big(100) FROM generate_series(1, 9) AS i; UPDATE made_$n SET id = id + 100 WHERE id > 5"
	  : statement($session);

	return 'BEGIN; ' . "UPDATE account SET balance = balance + 1 WHERE id % 7 = 1; SELECT ddl('$ddl');\n"
	  . terminated($use) . "UPDATE account SET balance = balance - 1 WHERE id % 7 = 1; COMMIT;\n";
}

sub session_script
{
	my ($session) = @_;
	my $sql = '';

	foreach (1 .. $transactions)
	{
		$sql .= transaction($session);
		$sql .= ddl_transaction($session) if $session == 0 && chance(3);
		$sql .= 'VACUUM FULL ' . pick('account', 'pair', 'by_index') . ";\n" if $session == 1 && chance(40);
	}
	return $sql;
}

# Errors abort a transaction (a deadlock, a column that another session renamed): part of the workload.
sub run_concurrently
{
	my (@scripts) = @_;
	my @running;

	foreach my $script (@scripts)
	{
		my $script_file = output_file('sql');
		PostgreSQL::Test::Utils::append_to_file($script_file, $script);
		push @running, IPC::Run::start(
			[ $node->installed_command('psql'), '-X', '-q', '-d', $node->connstr('postgres'), '-f', $script_file ],
			# errors to a file: a session that waits for its pipe to be read would keep the others waiting
			'<', \undef, '>', "$script_file.log", '2>&1', IPC::Run::timeout($CdcTest::timeout));
	}
	ok($_->finish, 'a session has run its transactions') foreach @running;
	return;
}

# ------------------------------------------------------------------------------------------------
# The replica
# ------------------------------------------------------------------------------------------------

sub made_tables
{
	my ($db) = @_;
	my $names = $node->safe_psql($db // 'postgres',
		"SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relname LIKE 'made%' AND relkind = 'r'");
	return wantarray ? split(/ /, $names) : $names;
}

$node->stop;
done_testing();
