# (commit_lsn, seq, part) names a record for good: strictly rising over a concurrent workload, and the same
# from a copied slot, after restart and crash, and whatever is selected.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = make_node('identity');
my $seed = seed_random(3);
my %everything = (options => { transaction_records => 'on' });

$node->safe_psql('postgres', q(
	CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL);
	INSERT INTO account SELECT i, 0 FROM generate_series(1, 1000) AS i;
	CREATE TABLE event (id bigint GENERATED ALWAYS AS IDENTITY, what text);
	CREATE TABLE scratch (id int, filler text);
	CREATE TABLE scratch_too (id int);
	SELECT pg_replication_origin_create('elsewhere');
));
create_slot($node, 'postgres', 'source');
run_workload();

my $all = decode($node, 'postgres', 'source', %everything);
my $records = identities($all);
my @lines = @{ read_lines($all) };
cmp_ok(scalar @lines, '>', 10000, 'the workload gives records');
foreach my $op (qw(begin insert update delete truncate message commit))
{
	ok((grep { /^\{"op":"$op"/ } @lines), "there are records of $op");
}
strictly_rising('identities rise strictly', $records);
strictly_rising('identities rise strictly without begin and commit',
	identities(decode($node, 'postgres', 'source')));
check_places();

# What is left of a selection are the very lines that were there without it.
check_selection('origin=none', { origin => 'none' }, sub { $_[0] !~ /from elsewhere/ });
check_selection('messages=off', { messages => 'off' }, sub { $_[0] !~ /^\{"op":"message"/ });
check_selection('message_prefixes', { message_prefixes => 'outside*' },
	sub { $_[0] !~ /^\{"op":"message"/ || $_[0] =~ /"prefix":"outside/ });

# Slots start anew with each decoding, here after a restart and a crash besides.
$node->safe_psql('postgres', "SELECT pg_copy_logical_replication_slot('source', 'bookmark')");
same_files('from a copied slot', $all, decode($node, 'postgres', 'bookmark', %everything));
my $end = endpos($node);
$node->restart;
same_files('after a restart', $all, decode($node, 'postgres', 'source', %everything, endpos => $end));
$node->stop('immediate');
$node->start;
same_files('after a crash', $all, decode($node, 'postgres', 'source', %everything, endpos => $end));
same_files('after a crash, from the copied slot', $all,
	decode($node, 'postgres', 'bookmark', %everything, endpos => $end));
check_resumption();

# Concurrent transactions that do all that makes records.
sub run_workload
{
	my %scripts = (
		mixed => q(
			\set a random(1, 1000)
			\set b random(1, 1000)
			BEGIN;
			UPDATE account SET balance = balance - 1 WHERE id = :a;
			SAVEPOINT one;
			INSERT INTO event (what) SELECT 'a row of several' FROM generate_series(1, 5);
			SAVEPOINT two;
			UPDATE account SET balance = balance + 1 WHERE id = :b;
			SELECT pg_logical_emit_message(true, 'inside', 'x');
			ROLLBACK TO two;
			SELECT pg_logical_emit_message(true, 'inside', 'y');
			RELEASE one;
			SELECT pg_logical_emit_message(false, 'outside', 'z');
			DELETE FROM event WHERE id = (SELECT min(id) FROM event);
			COMMIT;),
		copy => q(
			BEGIN;
			INSERT INTO scratch SELECT i, 'filler' FROM generate_series(1, 20) AS i;
			COMMIT;
			SELECT pg_logical_emit_message(false, 'outside too', 'alone');),
		truncate => q(
			BEGIN;
			TRUNCATE scratch, scratch_too;
			INSERT INTO scratch_too VALUES (1);
			COMMIT;),
		replicated => q(
			SELECT pg_replication_origin_session_setup('elsewhere') WHERE :client_id = 0;
			BEGIN;
			INSERT INTO event (what) VALUES ('from elsewhere'), ('from elsewhere');
			SELECT pg_logical_emit_message(true, 'inside', '"from elsewhere"');
			COMMIT;
			SELECT pg_replication_origin_session_reset() WHERE :client_id = 0;));
	my %weights = (mixed => 10, copy => 3, truncate => 1);
	my @files;

	foreach my $name (sort keys %scripts)
	{
		my $file = output_file('pgbench');
		append_to_file($file, $scripts{$name});
		$scripts{$name} = $file;
	}
	my @pgbench = ($node->installed_command('pgbench'), '-n', "--random-seed=$seed", $node->connstr('postgres'));
	# an origin can be that of one session only: a bench of its own at the same time
	my $other = IPC::Run::start([ @pgbench, '-c', 1, '-t', 150, '-f', $scripts{replicated} ],
		'<', \undef, '>', \my $ignored, '2>', \my $complaints, IPC::Run::timeout($CdcTest::timeout));
	$node->command_ok([ @pgbench, '-c', 6, '-j', 2, '-t', 120,
		map { ('-f', "$scripts{$_}\@$weights{$_}") } sort keys %weights ], 'concurrent transactions');
	ok($other->finish, 'transactions of another origin') or diag($complaints);
	return;
}

# begin is (0, 1), changes are 1 to N, commit is N + 1; a message outside transactions is (0, 0).
sub check_places
{
	my %wrong;
	my ($open, $seq);

	foreach my $line (@lines)
	{
		my ($op) = $line =~ /^\{"op":"(\w+)"/;
		my ($lsn, $n, $part) = $line =~ m{"commit_lsn":"([^"]+)","seq":(\d+)(?:,"part":(\d+))?};
		$part //= 0;
		if ($op eq 'begin')
		{
			$wrong{'begin within a transaction'}++ if defined $open;
			$wrong{'place of begin'}++ if $n != 0 || $part != 1;
			($open, $seq) = ($lsn, 0);
		}
		elsif ($line =~ /"transactional":false/)
		{
			$wrong{'place of a lone message'}++ if $n != 0 || $part != 0;
			$wrong{'lone message within a transaction'}++ if defined $open;
			$wrong{'time of a lone message'}++ if $line =~ /"ts":/;
		}
		else
		{
			$wrong{'outside a transaction'}++ if !defined $open;
			$wrong{'commit_lsn'}++ if $lsn ne ($open // '');
			$wrong{'a gap, though nothing was left out'}++ if $n != ++$seq;
			$wrong{'part'}++ if $part != 0;
			$open = undef if $op eq 'commit';
		}
	}
	is(join(', ', map { "$_ ($wrong{$_})" } sort keys %wrong), '', 'every kind of record is in its place');
	return;
}

sub check_selection
{
	my ($name, $options, $is_left) = @_;
	my $got = read_lines(decode($node, 'postgres', 'source', options => $options));
	my @expected = grep { !/^\{"op":"(?:begin|commit)"/ && $is_left->($_) } @lines;
	my $total = grep { !/^\{"op":"(?:begin|commit)"/ } @lines;

	cmp_ok(scalar @expected, '<', $total, "$name leaves something out");
	is(scalar @$got, scalar @expected, "$name: as many records as were selected");
	my ($differs) = grep { $got->[$_] ne $expected[$_] } 0 .. ($#$got < $#expected ? $#$got : $#expected);
	ok(!defined $differs, "$name: what is left keeps its numbers, and all else")
	  or diag("record $differs, expected: $expected[$differs]\nfound: $got->[$differs]");
	return;
}

# A slot that has been consumed up to some place goes on with the next transaction, crash or no crash.
sub check_resumption
{
	my $file = output_file('out');
	my ($middle) = $lines[ @lines / 2 ] =~ m{"commit_lsn":"([^"]+)"};

	foreach my $upto ($middle, $end)
	{
		$node->command_ok([ 'pg_recvlogical', '--dbname', $node->connstr('postgres'), '-S', 'bookmark', '--start',
			'--no-loop', '-f', $file, '--endpos', $upto, slot_options(transaction_records => 'on') ],
			"consumed up to $upto");
		$node->stop('immediate') if $upto ne $end;
		$node->start if $upto ne $end;
	}
	my %seen;
	my @again = grep { !$seen{$_}++ } @{ read_lines($file) };
	my $whole = join("\n", @again) eq join("\n", @lines);
	ok($whole, 'consumed in two parts with a crash in between: whatever comes again is the same record');
	return;
}

$node->stop;
done_testing();
