# CdcStream: what the tests of cdc_client stream share: running the client, and the bank.
#
# The bank is a table of accounts whose sum no transaction changes.  What a client delivered is replayed
# here record by record: identities must rise strictly, no transaction may lack a record, the sum must
# be right after each one, and in the end the replayed table must be the real one.
package CdcStream;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use POSIX qw(:sys_wait_h);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

use CdcTest;

our @EXPORT = qw(
	client_binary client_sanitized start_client wait_client kill_client run_client wait_until client_log
	wait_log conninfo sidecar_position lsn_number
	make_bank bank_files start_bank_load stop_bank_load check_bank
);

my $top = abs_path(dirname(abs_path(__FILE__)) . '/../../..');
my $count = 0;
my @running;

our $timeout = $PostgreSQL::Test::Utils::timeout_default;

# ------------------------------------------------------------------------------------------------
# The client
# ------------------------------------------------------------------------------------------------

sub client_binary
{
	return $ENV{CDC_CLIENT} // "$top/client/cdc_client";
}

# A sanitizer's memory is its own: limits do not hold for it.
sub client_sanitized
{
	return slurp_bytes(client_binary()) =~ /__asan_init/;
}

# conninfo(NODE, DATABASE, [KEY => VALUE...])
sub conninfo
{
	my ($node, $db, %more) = @_;
	return join(' ', $node->connstr($db), map { "$_='$more{$_}'" } sort keys %more);
}

# start_client(DBNAME, SLOT, SINK, [args => [...], stdout => HANDLE, prefix => [...], progress => 1]): in the background
sub start_client
{
	my ($dbname, $slot, $sink, %options) = @_;
	my $log = sprintf('%s/client_%d.log', $PostgreSQL::Test::Utils::tmp_check, ++$count);
	my @command = (
		@{ $options{prefix} // [] }, client_binary(), 'stream', "--dbname=$dbname", "--slot=$slot",
		"--sink=$sink", '--verbose', $options{progress} ? () : '--progress=off', @{ $options{args} // [] });

	note('running ' . join(' ', @command) . "\n# log $log");
	append_to_file($log, ''); # there for wait_log() before the client is
	my $pid = fork // die "could not fork: $!";
	if ($pid == 0)
	{
		delete $ENV{$_} foreach grep { /^CDC_/ } keys %ENV;    # the tests' own, not options of the client
		open(STDIN, '<', '/dev/null');
		open(STDERR, '>', $log);
		if ($options{stdout})
		{
			open(STDOUT, '>&', $options{stdout});
		}
		else
		{
			open(STDOUT, '>>', "$log.stdout");
		}
		exec(@command) or POSIX::_exit(127);
	}
	push @running, $pid;
	return { pid => $pid, log => $log };
}

# Its exit code, or 128 + the signal that ended it.
sub wait_client
{
	my ($client) = @_;

	return $client->{code} if defined $client->{code};
	wait_until("client $client->{pid} to end", sub { waitpid($client->{pid}, WNOHANG) == $client->{pid} })
	  or return -1;
	$client->{code} = $? & 127 ? 128 + ($? & 127) : $? >> 8;
	@running = grep { $_ != $client->{pid} } @running;
	return $client->{code};
}

sub kill_client
{
	my ($client, $signal) = @_;
	kill $signal, $client->{pid};
	return wait_client($client);
}

# run_client(DBNAME, SLOT, SINK, [args...]): until it ends; (exit code, log)
sub run_client
{
	my ($dbname, $slot, $sink, @args) = @_;
	my $client = start_client($dbname, $slot, $sink, args => \@args);
	my $code = wait_client($client);

	return ($code, client_log($client));
}

sub client_log
{
	my ($client) = @_;
	return slurp_file($client->{log});
}

# wait_log(CLIENT, PATTERN, [TIMES]): until the log holds it so often
sub wait_log
{
	my ($client, $pattern, $times) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return wait_until("$pattern in the client's log", sub {
		my @found = client_log($client) =~ /$pattern/g;
		return @found >= ($times // 1);
	}) || diag(client_log($client));
}

# Polls until SUB is true; false, and a failed test, when the time is up.
sub wait_until
{
	my ($what, $sub) = @_;
	my $deadline = time() + $timeout;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	until ($sub->())
	{
		if (time() > $deadline)
		{
			fail("waited for $what");
			return 0;
		}
		usleep(20_000);
	}
	return 1;
}

END
{
	local $?;
	foreach my $pid (@running)
	{
		kill 'KILL', $pid;
		waitpid($pid, 0);
	}
}

sub lsn_number
{
	my ($lsn) = @_;
	my ($high, $low) = $lsn =~ m{^([0-9A-F]+)/([0-9A-F]+)$} or die "not an LSN: $lsn";
	return hex($high) * 2**32 + hex($low);
}

# What the newer of a sidecar's slots says: a hash of the members.
sub sidecar_position
{
	my ($file) = @_;
	my $text = slurp_bytes("$file.cdc-position");
	my %newest = (generation => -1);

	while ($text =~ /cdc-sidecar 1 ([0-9a-f]{16}) [0-9a-f]{4} [0-9a-f]{8}\n(.*)\n/g)
	{
		my ($generation, $json) = (hex $1, $2);
		next if $generation < $newest{generation};
		%newest = (generation => $generation, $json =~ /"(\w+)":"?([^",{}]+)/g);
	}
	return \%newest;
}

# ------------------------------------------------------------------------------------------------
# The bank
# ------------------------------------------------------------------------------------------------

my $accounts = 100;
my $balance = 1000;

# make_bank(NODE, SLOT): the slot first, so that the accounts' creation is delivered too
sub make_bank
{
	my ($node, $slot) = @_;

	$node->safe_psql('postgres',
		'CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL)');
	create_slot($node, 'postgres', $slot);
	$node->safe_psql('postgres',
		"INSERT INTO accounts SELECT g, $balance FROM generate_series(1, $accounts) g");
	return;
}

# Transfers; now and then all accounts at once, and work that is rolled back, in part or as a whole.
my $transfer = <<'END_SQL';
\set a random(1, 100)
\set b :a % 99 + 1
\set low least(:a, :b)
\set high greatest(:a, :b)
\set x random(1, 100)
BEGIN;
UPDATE accounts SET balance = balance - :x WHERE id = :low;
UPDATE accounts SET balance = balance + :x WHERE id = :high;
COMMIT;
END_SQL

my $everybody = <<'END_SQL';
BEGIN;
SELECT count(*) FROM (SELECT FROM accounts ORDER BY id FOR UPDATE) locked;
UPDATE accounts SET balance = balance + CASE WHEN id % 2 = 0 THEN 1 ELSE -1 END;
SAVEPOINT s;
UPDATE accounts SET balance = 0 WHERE id < 10;
ROLLBACK TO s;
UPDATE accounts SET balance = balance + CASE WHEN id <= 50 THEN 1 ELSE -1 END;
COMMIT;
END_SQL

my $nobody = <<'END_SQL';
BEGIN;
UPDATE accounts SET balance = 0 WHERE id = 1;
ROLLBACK;
END_SQL

# start_bank_load(NODE): pgbench in the background, until stop_bank_load()
sub start_bank_load
{
	my ($node, %options) = @_;
	my @files;
	my %scripts = (transfer => [ $transfer, 20 ], everybody => [ $everybody, 1 ], nobody => [ $nobody, 2 ]);

	foreach my $name (sort keys %scripts)
	{
		my $file = output_file("$name.sql");
		append_to_file($file, $scripts{$name}[0]);
		push @files, '-f', "$file\@$scripts{$name}[1]";
	}
	my $log = output_file('pgbench.log');
	my $pid = fork // die "could not fork: $!";
	if ($pid == 0)
	{
		# the handlers of PostgreSQL::Test::Cluster would stop the servers, if the load is stopped at once
		local $SIG{INT} = 'DEFAULT';
		local $SIG{TERM} = 'DEFAULT';
		%ENV = (%ENV, $node->_get_env());
		open(STDOUT, '>', $log);
		open(STDERR, '>&', \*STDOUT);
		exec($node->installed_command('pgbench'), '-n', '-c', '3', '-T', '600', '-R',
			$options{rate} // 300, @files, $node->connstr('postgres')) or POSIX::_exit(127);
	}
	push @running, $pid;
	return { pid => $pid, log => $log };
}

sub stop_bank_load
{
	my ($load) = @_;
	kill 'INT', $load->{pid};
	waitpid($load->{pid}, 0);
	@running = grep { $_ != $load->{pid} } @running;
	return;
}

# bank_files(PATH): PATH and what it was before it was rotated, in order
sub bank_files
{
	my ($path) = @_;
	return ((sort glob("$path.[0-9][0-9][0-9][0-9][0-9][0-9]")), $path);
}

# check_bank(NAME, NODE, FILES...): replays what was delivered; one test
sub check_bank
{
	my ($name, $node, @files) = @_;
	my (%replayed, $sum, $lines, $transaction, $expected_seq, $last);
	my $wrong;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	foreach my $line (map { @{ read_lines($_) } } @files)
	{
		$line =~ m{^\{"op":"(\w+)",.*"commit_lsn":"([0-9A-F]+/[0-9A-F]+)","seq":(\d+),.*"after":\{"id":(\d+),"balance":(-?\d+)\}\}$}
		  or $wrong = "line " . ($lines // 0) . " is not a record: $line"
		  and last;
		my ($op, $lsn, $seq, $id, $new) = ($1, $2, $3, $4, $5);
		$lines++;
		if (!defined $transaction || $lsn ne $transaction)
		{
			# every change of this database is selected, so within a transaction seq has no gap
			$wrong = "transaction $transaction ends with the sum $sum"
			  if defined $transaction && $sum != $accounts * $balance;
			$wrong = "transaction $lsn comes after $transaction"
			  if defined $transaction && lsn_number($lsn) <= lsn_number($transaction);
			($transaction, $expected_seq) = ($lsn, 1);
		}
		$wrong = "record $lsn $seq where $expected_seq is next" if $seq != $expected_seq;
		$expected_seq++;
		$sum = ($sum // 0) + $new - ($replayed{$id} // 0);
		$replayed{$id} = $new;
		last if $wrong;
	}
	$wrong //= "the sum is $sum in the end" if ($sum // 0) != $accounts * $balance;
	my $got = join("\n", map { "$_|$replayed{$_}" } sort { $a <=> $b } keys %replayed);
	my $real = $node->safe_psql('postgres', 'SELECT id, balance FROM accounts ORDER BY id');
	$wrong //= "replayed is\n$got\nbut the table is\n$real" if $got ne $real;
	ok(!$wrong, $name) or diag($wrong);
	note("$name: " . ($lines // 0) . ' records');
	return $lines;
}

1;
