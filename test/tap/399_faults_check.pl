# What the fault runner's checks find: a record that is missing, doubled, moved, altered or made up, and a
# replay that goes wrong.  Without this, nobody would know that a run without findings says anything.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../e2e/lib";
use CdcTest;
use FaultBank;
use FaultCheck;
use FaultPlan;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = make_node('check');
bank_create($node);
create_slot($node, 'postgres', 'truth');
bank_fund($node);
# what pgbench does, without its chance
run_sql($node, 'postgres', join("\n",
	map({ "SELECT transfer($_, 301 - $_, $_, $_ % 6); SELECT letters(1 + $_ % 7, 1 + $_ * 7 % 150);" } 1 .. 120),
	'SELECT everybody(3, 200);', 'SELECT change_schema(' . join('); SELECT change_schema(', 1 .. 40) . ');',
	'BEGIN; TRUNCATE scratch; INSERT INTO scratch VALUES (1); COMMIT; SELECT everybody(5, 20);'));
my $truth = truth_file($node, 'truth');
my @records = @{ read_lines($truth) };
cmp_ok(scalar @records, '>', 1500, 'there are records: ' . @records);

sub written
{
	my (@lines) = @_;
	my $file = output_file('lines');
	append_to_file($file, join('', map { "$_\n" } @lines));
	return $file;
}

# ------------------------------------------------------------------------------------------------
# The comparison
# ------------------------------------------------------------------------------------------------

my $middle = int(@records / 2);
my @head = @records[ 0 .. $middle - 1 ];
my @tail = @records[ $middle + 1 .. $#records ];
my $altered = $records[$middle] =~ s/("commit_lsn":"[^"]*)/$1/r =~ s/"op":"\w+"/"op":"delete"/r;

is(compare_records($truth, written(@records)), undef, 'the same records are the same');
like(compare_records($truth, written(@head, @tail)), qr/comes 1 too early/, 'a missing record is found');
like(compare_records($truth, written(@head)), qr/missing at the end/, 'a missing end is found');
like(compare_records($truth, written()), qr/missing at the end/, 'and a sink that has nothing');
like(compare_records($truth, written(@head, @records[ $middle, $middle ], @tail)), qr/delivered before, as record \d+\n/,
	'a doubled record is found');
like(compare_records($truth, written(@records, $records[-1])), qr/expected nothing, .*delivered before/,
	'a doubled record at the end is found');
like(compare_records($truth, written(@head, @records[ $middle + 1, $middle ], @records[ $middle + 2 .. $#records ])),
	qr/comes 1 too early/, 'records in another order are found');
like(compare_records($truth, written(@head, "$altered ", @tail)), qr/a record that the log does not hold/,
	'an altered record is found');
like(compare_records(written(), $truth), qr/the log holds no record/, 'a truth of nothing is none');

# at least once
my ($first, $again) = first_occurrences(written(@records[ 0 .. 99, 50 .. 99, 0 .. 9, 100 .. $#records ]));
is($again, 60, 'what came again is counted');
is(compare_records($truth, $first), undef, 'and left out');
($first) = first_occurrences(written(@head, $records[$middle], "$records[$middle] ", @tail));
like(compare_records($truth, $first), qr/a record that the log does not hold/, 'but not where it came otherwise');
($first) = first_occurrences(written(@records[ 0 .. 9, 20 .. 29, 10 .. $#records ]));
like(compare_records($truth, $first), qr/comes 10 too early/, 'nor where it came too early at first');

# as jsonb
my $jsonb = as_jsonb($node, $truth);
is(scalar @{ read_lines($jsonb) }, scalar @records, 'as jsonb: as many records');
is(compare_records($jsonb, as_jsonb($node, written(@records))), undef, 'as jsonb: the same');
like(compare_records($jsonb, as_jsonb($node, written(@head, @tail))), qr/comes 1 too early/, 'as jsonb: a missing one');

# ------------------------------------------------------------------------------------------------
# The replay
# ------------------------------------------------------------------------------------------------

my $transactions = 0;
is(replay_records($node, $truth, \$transactions), undef, 'the truth can be replayed');
cmp_ok($transactions, '>', 250, "transaction by transaction: $transactions");
is(replay_records($node, $jsonb), undef, 'also from jsonb');
my ($update) = grep { $records[$_] =~ /"op":"update".*"table":"savings"/ } 300 .. $#records;
like(replay_records($node, written(@records[ 0 .. $update - 1, $update + 1 .. $#records ])),
	qr/the sum is \d+, not 300000/, 'a transaction that lacks a record has another sum');
like(replay_records($node, written(map { $_ == $update ? $records[$_] =~ s/"balance":(\d+)(?=\D*\}\})/'"balance":' . ($1 + 1)/er : $records[$_] } 0 .. $#records)),
	qr/the sum is \d+, not 300000/, 'and one with a wrong amount');
my ($entry) = grep { $records[$_] =~ /"table":"entry"/ } 0 .. $#records;
like(replay_records($node, written(@records[ 0 .. $entry - 1, $entry + 1 .. $#records ])),
	qr/replayed table entry has/, 'a row that is not there is found, though no sum tells');
my ($delete) = grep { $records[$_] =~ /"op":"delete".*"table":"letter"/ } 0 .. $#records;
like(replay_records($node, written(@records[ 0 .. $delete, $delete .. $#records ])),
	qr/cannot be replayed: changed 0 rows/, 'and a row that was deleted twice');

# ------------------------------------------------------------------------------------------------
# The plan
# ------------------------------------------------------------------------------------------------

my $plan = sub { my ($seed) = @_; return [ make_plan($seed, 600, fault_kinds('server')) ] };
is_deeply($plan->(5), $plan->(5), 'a seed makes the same plan each time');
isnt(explain_kinds($plan->(5)), explain_kinds($plan->(6)), 'another seed another one');
is_deeply([ sort keys %{ { map { $_->{kind} => 1 } @{ $plan->(5) } } } ], [ fault_kinds('server') ],
	'600 faults are some of each kind');

sub explain_kinds
{
	my ($entries) = @_;
	return join(' ', map { $_->{kind} } @$entries);
}

$node->stop;
done_testing();
