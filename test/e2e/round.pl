# One round of the fault runner, for test/e2e/faults: round.pl SINK SEED FAULTS RATE SNAPSHOT
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../tap/lib", "$FindBin::RealBin/lib";
use FaultRound;
use POSIX ();
use Test::More;

# Asked to end, it ends its servers and clients; its proxies and what it is about to start just go.
my $round = $$;
$SIG{TERM} = sub { $$ == $round ? exit(143) : POSIX::_exit(143) };

my ($sink, $seed, $faults, $rate, $snapshot) = @ARGV;
fault_round(sink => $sink, seed => $seed, faults => $faults, rate => $rate, snapshot => $snapshot);
done_testing();
