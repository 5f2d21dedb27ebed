# Properties, with random tables and random changes: the stream applied to empty tables gives the source's;
# identities rise strictly; whatever the settings, batches, framing, slot or server it is decoded with, the
# records are the same.  Rounds with fixed seeds and one with a new one; test/property/run runs more of them.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../property/lib";
use CdcTest;
use PropertyRound;
use Test::More;

my $rounds = $ENV{CDC_ROUNDS} // 4;
my $seed = $ENV{CDC_SEED} // 6;
my @seeds = map { $seed + $_ } 0 .. $rounds - 1;
push @seeds, int(rand(2**31)) unless defined $ENV{CDC_SEED};

my $nodes = property_nodes();
my @failed = grep { !property_round($nodes, $_) } @seeds;
is("@failed", '', 'seeds that failed');

my $totals = property_totals();
note(join(', ', map { "$_: $totals->{$_}" } sort keys %$totals));
if (@seeds > 3)
{
	cmp_ok($totals->{$_} // 0, '>', 0, "there were $_")
	  foreach 'insert', 'update', 'delete', 'truncate', 'message', 'unchanged TOAST', 'changed key', 'DDL';
}
foreach my $node (grep { defined } @{$nodes}{qw(standby primary)})
{
	unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/was terminated by signal|PANIC:|TRAP:/, 'no server has crashed');
	$node->stop;
}
done_testing();
