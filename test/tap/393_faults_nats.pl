# A few faults of the runner's (test/e2e) with a NATS server.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../e2e/lib";
use CdcTest;
use FaultRound;
use Test::More;

fault_round(
	sink => 'nats', seed => seed_random(20261122),
	kinds => [qw(end_early crash_sink kill_client second_client sink_stall_and_kill_client crash_server)]);
done_testing();
