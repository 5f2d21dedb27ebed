# FaultBank: the load of the fault runner, a bank that is never short of money.
#
# 300 accounts in three tables (one of them partitioned) hold 300,000 together, before and after every
# transaction.  Beside the transfers there is whatever makes decoding hard: transactions of thousands of
# rows, transactions and savepoints that are rolled back, changed keys, rows that move between
# partitions, values out of line that are not logged again, truncates, DDL, logical messages in and
# outside transactions.  DDL travels as messages, so that a replay can do the same.
package FaultBank;

use strict;
use warnings;

use Exporter qw(import);
use POSIX qw(:sys_wait_h);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time);

use CdcTest;

our @EXPORT = qw(bank_create bank_tables bank_schema bank_total bank_fund bank_big);

my $total = 300_000;

# Every account has a number: 1 to 100 is in checking, 101 to 200 in savings, 201 to 300 in vault.
# Whoever locks several does it in the order of numbers, so that nobody waits in a circle.
my $schema = q(
	CREATE TABLE checking (id int PRIMARY KEY, balance bigint NOT NULL, owner text);
	CREATE TABLE savings (id int PRIMARY KEY, balance bigint NOT NULL);
	ALTER TABLE savings REPLICA IDENTITY FULL;
	CREATE TABLE vault (id int, branch int, balance bigint NOT NULL, PRIMARY KEY (id, branch))
		PARTITION BY LIST (branch);
	CREATE TABLE vault_1 PARTITION OF vault FOR VALUES IN (1);
	CREATE TABLE vault_2 PARTITION OF vault FOR VALUES IN (2);
	CREATE TABLE letter (id bigint PRIMARY KEY, account int, body text);
	ALTER TABLE letter ALTER body SET STORAGE EXTERNAL;
	CREATE TABLE entry (made timestamptz, payer int, payee int, amount int, note text);
	CREATE TABLE scratch (id int PRIMARY KEY, v text);
);

my $functions = q(
	CREATE SEQUENCE letters;

	CREATE FUNCTION text_of(size int) RETURNS text LANGUAGE sql VOLATILE RETURN
		(SELECT left(string_agg(md5(random()::text), ''), size) FROM generate_series(0, size / 32));

	CREATE FUNCTION add_to(account int, delta int) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		IF account <= 100 THEN
			UPDATE checking SET balance = balance + delta WHERE id = account;
		ELSIF account <= 200 THEN
			UPDATE savings SET balance = balance + delta WHERE id = account;
		ELSIF delta % 5 = 0 THEN
			UPDATE vault SET balance = balance + delta, branch = 3 - branch WHERE id = account;
		ELSE
			UPDATE vault SET balance = balance + delta WHERE id = account;
		END IF;
	END $$;

	-- flavour: 0 plain, 1 with a savepoint that is rolled back, 2 the second half in a savepoint
	CREATE FUNCTION transfer(payer int, payee int, amount int, flavour int) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		IF payer = payee THEN
			RETURN;
		END IF;
		INSERT INTO entry VALUES (clock_timestamp(), payer, payee, amount, 'flavour ' || flavour);
		PERFORM add_to(least(payer, payee), CASE WHEN payer < payee THEN -amount ELSE amount END);
		IF flavour = 1 THEN
			BEGIN
				PERFORM add_to(least(payer, payee), 1000000);
				RAISE division_by_zero;
			EXCEPTION WHEN division_by_zero THEN
			END;
		ELSIF flavour = 2 THEN
			BEGIN
				PERFORM add_to(greatest(payer, payee), CASE WHEN payer < payee THEN amount ELSE -amount END);
				RETURN;
			EXCEPTION WHEN division_by_zero THEN
			END;
		END IF;
		PERFORM add_to(greatest(payer, payee), CASE WHEN payer < payee THEN amount ELSE -amount END);
	END $$;

	-- everybody pays somebody, and so many letters are written: a transaction of many records
	CREATE FUNCTION everybody(amount int, count int) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM FROM checking ORDER BY id FOR UPDATE;
		UPDATE checking SET balance = balance + CASE WHEN id % 2 = 0 THEN amount ELSE -amount END;
		PERFORM FROM savings ORDER BY id FOR UPDATE;
		UPDATE savings SET balance = balance + CASE WHEN id % 2 = 0 THEN amount ELSE -amount END;
		INSERT INTO letter (id, account, body)
			SELECT nextval('letters'), g % 300, text_of(40 + g % 100) FROM generate_series(1, count) AS g;
		PERFORM FROM vault ORDER BY id FOR UPDATE;
		UPDATE vault SET balance = balance + CASE WHEN id % 2 = 0 THEN amount ELSE -amount END;
		DELETE FROM letter WHERE id < currval('letters') - 2000 OR id < 0;
	END $$;

	CREATE FUNCTION letters(kind int, n int) RETURNS void LANGUAGE plpgsql AS $$
	DECLARE
		newest bigint := (SELECT last_value FROM letters);
	BEGIN
		CASE kind
			WHEN 1 THEN INSERT INTO letter (id, account, body) VALUES (nextval('letters'), n, text_of(n * 20));
			WHEN 2 THEN UPDATE letter SET account = account + 1 WHERE id BETWEEN newest - 3 AND newest;
			WHEN 3 THEN UPDATE letter SET id = -id WHERE id = newest - n;
			WHEN 4 THEN UPDATE letter SET body = body || '"\\ ' || n WHERE id BETWEEN newest - 2 AND newest;
			WHEN 5 THEN DELETE FROM letter WHERE id = newest - n;
			WHEN 6 THEN INSERT INTO scratch VALUES (n, text_of(n)) ON CONFLICT (id) DO UPDATE SET v = excluded.v;
			WHEN 7 THEN PERFORM pg_logical_emit_message(n % 2 = 0, 'note', 'message ' || n);
		END CASE;
	END $$;

	CREATE FUNCTION change_schema(n int) RETURNS void LANGUAGE plpgsql AS $$
	DECLARE
		commands text[] := ARRAY[
			format('ALTER TABLE letter ADD COLUMN IF NOT EXISTS extra_%s text DEFAULT %L', n % 4, 'it''s ' || n),
			format('ALTER TABLE letter DROP COLUMN IF EXISTS extra_%s', n % 4),
			'ALTER TABLE letter ALTER account TYPE bigint', 'ALTER TABLE letter ALTER account TYPE int',
			'ALTER TABLE letter REPLICA IDENTITY FULL', 'ALTER TABLE letter REPLICA IDENTITY DEFAULT',
			format('ALTER TABLE checking ADD COLUMN IF NOT EXISTS note_%s int DEFAULT %s', n % 3, n),
			format('ALTER TABLE checking DROP COLUMN IF EXISTS note_%s', n % 3)];
		command text := commands[1 + n % cardinality(commands)];
	BEGIN
		IF command LIKE '%letter%' THEN
			UPDATE letter SET account = account + 1 WHERE id > (SELECT last_value - 3 FROM letters);
		ELSE
			UPDATE checking SET owner = 'owner ' || n WHERE id = 1 + n % 100;
		END IF;
		EXECUTE command;
		PERFORM pg_logical_emit_message(true, 'ddl', command);
		IF command LIKE '%letter%' THEN
			UPDATE letter SET account = account - 1 WHERE id > (SELECT last_value - 3 FROM letters);
		ELSE
			UPDATE checking SET owner = owner || '!' WHERE id = 1 + n % 100;
		END IF;
	END $$;
);

# What pgbench runs, and how often of a hundred and so many times.
my %scripts = (
	transfer => [ 150, q(
		\set payer random(1, 300)
		\set payee random(1, 300)
		\set amount random(1, 100)
		\set flavour random(0, 5)
		SELECT transfer(:payer, :payee, :amount, :flavour);) ],
	nobody => [ 8, q(
		\set payer random(1, 300)
		BEGIN;
		SELECT add_to(:payer, 1000000);
		ROLLBACK;) ],
	letters => [ 40, q(
		\set kind random(1, 7)
		\set n random(1, 300)
		SELECT letters(:kind, :n);) ],
	everybody => [ 1, q(
		\set amount random(1, 10)
		SELECT everybody(:amount, 300);) ],
	scratch => [ 2, q(
		\set n random(1, 300)
		BEGIN;
		TRUNCATE scratch;
		INSERT INTO scratch VALUES (:n, 'after the truncate');
		COMMIT;) ],
	schema => [ 2, q(
		\set n random(1, 1000)
		SELECT change_schema(:n);) ]);

sub bank_tables
{
	return qw(checking savings vault_1 vault_2 letter entry scratch);
}

# What a replay begins with.
sub bank_schema
{
	return $schema;
}

sub bank_total
{
	return $total;
}

sub bank_create
{
	my ($node) = @_;
	$node->safe_psql('postgres', $schema . $functions);
	return;
}

# The first transaction that a slot is to see.
sub bank_fund
{
	my ($node) = @_;
	$node->safe_psql('postgres', q(
		BEGIN;
		INSERT INTO checking SELECT g, 1000, 'owner ' || g FROM generate_series(1, 100) AS g;
		INSERT INTO savings SELECT g, 1000 FROM generate_series(101, 200) AS g;
		INSERT INTO vault SELECT g, 1 + g % 2, 1000 FROM generate_series(201, 300) AS g;
		COMMIT));
	return;
}

# A transaction of so many records at once; false where the server is not there.
sub bank_big
{
	my ($node, $records) = @_;
	my $status = $node->psql('postgres', "SELECT everybody(1, $records)", on_error_die => 0);
	return $status == 0;
}

# ------------------------------------------------------------------------------------------------
# pgbench, which ends with its server and is started again by tick()
# ------------------------------------------------------------------------------------------------

# new(NODE, SEED, TRANSACTIONS A SECOND, [NAME => SCRIPT...]): the bank's own scripts, and these
sub new
{
	my ($class, $node, $seed, $rate, %more) = @_;
	my %all = (%scripts, %more);
	my @files;

	foreach my $name (sort keys %all)
	{
		my ($weight, $text) = @{ $all{$name} };
		my $file = output_file("$name.sql");
		$text =~ s/^\s+//mg;
		append_to_file($file, "$text\n");
		push @files, '-f', "$file\@$weight";
	}
	return bless { node => $node, seed => $seed, rate => $rate, files => \@files, log => output_file('pgbench.log'),
		starts => 0, last_start => 0, running => {} }, $class;
}

# Starts pgbench where it is not running and has not just been started.
sub tick
{
	my ($self) = @_;

	foreach my $pid (keys %{ $self->{running} })
	{
		delete $self->{running}{$pid} if waitpid($pid, WNOHANG) == $pid;
	}
	return if %{ $self->{running} } || time() - $self->{last_start} < 0.2;
	$self->{last_start} = time();
	my @command = ($self->{node}->installed_command('pgbench'), '-n', '-c', '3', '-T', '36000',
		'-R', $self->{rate}, '--random-seed=' . ($self->{seed} + $self->{starts}++),
		@{ $self->{files} }, $self->{node}->connstr('postgres'));
	my $pid = fork // die "could not fork: $!";
	if ($pid == 0)
	{
		%ENV = (%ENV, $self->{node}->_get_env());
		open(STDOUT, '>>', $self->{log});
		open(STDERR, '>&', \*STDOUT);
		exec(@command) or POSIX::_exit(127);
	}
	$self->{running}{$pid} = 1;
	return;
}

sub stop
{
	my ($self) = @_;
	foreach my $pid (keys %{ $self->{running} })
	{
		kill 'KILL', $pid;
		waitpid($pid, 0);
	}
	$self->{running} = {};
	return;
}

sub DESTROY
{
	my ($self) = @_;
	local $?;
	$self->stop;
	return;
}

1;
