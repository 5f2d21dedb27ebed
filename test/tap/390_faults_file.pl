# A few faults of the runner's (test/e2e) with the file sink.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../e2e/lib";
use CdcTest;
use FaultRound;
use Test::More;

fault_round(
	sink => 'file', seed => seed_random(20261122),
	kinds => [qw(kill_client disk_full second_client crash_server source_stall kill_client)]);
done_testing();
