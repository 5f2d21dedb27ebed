# A few faults of the runner's (test/e2e) amid existing rows, with the file sink.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../e2e/lib";
use CdcTest;
use FaultRound;
use Test::More;

fault_round(
	sink => 'file', seed => seed_random(20261123), snapshot => 1,
	kinds => [qw(kill_client crash_server kill_client source_reset)]);
done_testing();
