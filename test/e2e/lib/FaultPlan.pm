# FaultPlan: what the fault runner does to whom, made of a seed alone before anything runs.
package FaultPlan;

use strict;
use warnings;

use Exporter qw(import);

use CdcTest;

our @EXPORT = qw(fault_kinds make_plan);

# How often each kind comes, and what the sink must have for it: a server, or a disk that can be full.
# FaultActions has a function for each.
my %kinds = (
	kill_client => [5],
	stop_client => [1],
	pause_client => [1],
	second_client => [2],
	end_early => [2],
	kill_walsender => [1],
	terminate_walsender => [2],
	crash_server => [2],
	crash_server_and_client => [1],
	restart_server => [1],
	source_cut => [1],
	source_reset => [1],
	source_half_close => [1],
	source_refuse => [1],
	source_stall => [1],
	source_stall_down => [1],
	crash_sink => [ 4, 'server' ],
	restart_sink => [ 1, 'server' ],
	pause_sink => [ 1, 'server' ],
	crash_sink_and_client => [ 2, 'server' ],
	sink_cut => [ 1, 'server' ],
	sink_reset => [ 2, 'server' ],
	sink_half_close => [ 1, 'server' ],
	sink_refuse => [ 1, 'server' ],
	sink_stall => [ 1, 'server' ],
	sink_stall_down => [ 1, 'server' ],
	sink_stall_and_kill_client => [ 2, 'server' ],
	disk_full => [ 3, 'disk' ]);

# The kinds for a sink that has these things.
sub fault_kinds
{
	my (%has) = map { $_ => 1 } @_;
	return grep { !defined $kinds{$_}[1] || $has{ $kinds{$_}[1] } } sort keys %kinds;
}

# make_plan(SEED, COUNT, KINDS...): every kind of the list comes about as often as the table says
sub make_plan
{
	my ($seed, $count, @names) = @_;
	my @lots = map { ($_) x $kinds{$_}[0] } @names;
	my @plan;

	srand($seed);
	foreach (1 .. $count)
	{
		push @plan, {
			kind => pick(@lots),
			before => rand() * 0.8,                        # seconds from the end of the last fault
			down => 0.1 + rand() * 1.2,                    # seconds that it lasts; stalls twice that
			big => chance(4) ? between(500, 2500) : chance(30) ? 12_000 : 0,    # records at once just before it
			first => chance(2),                            # which of two outcomes, or programs
			settle => chance(2),                           # wait until the client has recovered
			arguments => [                                 # of clients started from now on
				'--commit-interval=' . pick('0', '20ms', '200ms', '1500ms'),
				'--max-in-flight=' . pick('64KiB', '1MiB', '16MiB'),
				'--retry-for=' . pick('0', '2s', '5min') ] };
	}
	$plan[-1]{settle} = 1;
	return @plan;
}

1;
