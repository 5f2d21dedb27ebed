# A few faults of the runner's (test/e2e) with a Kafka broker.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../e2e/lib";
use CdcTest;
use FaultRound;
use Test::More;

fault_round(
	sink => 'kafka', seed => seed_random(20261122),
	kinds => [qw(kill_client crash_sink second_client)]);
done_testing();
