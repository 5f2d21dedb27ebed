# A few faults of the runner's (test/e2e) with an HTTP endpoint.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../e2e/lib";
use CdcTest;
use FaultRound;
use Test::More;

fault_round(
	sink => 'http', seed => seed_random(20261122),
	kinds => [qw(kill_client crash_sink sink_stall crash_sink_and_client)]);
done_testing();
