# FaultActions: the faults, a function each, called with the round and the plan's entry.
#
# Each ends with everything up again, though not yet recovered: what was stopped has been started, what
# was stalled passes.  The supervisor goes on meanwhile wherever that is possible.
package FaultActions;

use strict;
use warnings;

use CdcStream ();
use CdcTest;
use Time::HiRes qw(time);

# A client that is asked to stop finishes what is in flight, which a fault before may hold up.
my $stop_limit = 30;

# One that is to end at an LSN may have to wait for the walsender of one that was killed.
my $end_limit = 60;

# ------------------------------------------------------------------------------------------------
# The client
# ------------------------------------------------------------------------------------------------

sub kill_client
{
	my ($round) = @_;
	kill 'KILL', $round->some_client->{pid};
	CdcStream::wait_client($round->{client});
	$round->client_gone;
	return;
}

sub stop_client
{
	my ($round) = @_;
	my $client = $round->some_client;
	my $began = time();

	$client->{asked} = 1;
	kill 'TERM', $client->{pid};
	while (($round->{client} // 0) == $client)
	{
		die "the client has not stopped within $stop_limit s\n" if time() - $began > $stop_limit;
		$round->run_for(0.02);
	}
	return;
}

sub pause_client
{
	my ($round, $fault) = @_;
	my $client = $round->some_client;

	kill 'STOP', $client->{pid};
	$round->run_for(2 * $fault->{down});
	kill 'CONT', $client->{pid};
	return;
}

# The first client freezes and its slot is given to a second; then it wakes and knows nothing of that.
# Whichever holds the slot last must be the only one whose records count.
sub second_client
{
	my ($round, $fault) = @_;
	my $first = $round->some_client;
	my $second;
	my $watch = sub {
		my $deadline = time() + $_[0];
		do
		{
			# the first may have been about to take over itself, and then the second is told to leave
			$second = undef if $second && $round->ended_well($second, 1);
			$second //= $round->start_another;
			$round->run_for(0.02);
		} while (time() < $deadline);
	};

	$round->{hands_off} = 1;    # both clients are looked after here
	kill 'STOP', $first->{pid};
	$round->sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'bank'");
	$watch->(2 * $fault->{down});
	kill 'CONT', $first->{pid};
	$watch->($fault->{down});
	# Where the sink keeps no position, the first cannot learn that the second has delivered what it lacks: it
	# stops there, so it is not the one that goes on.
	if ($round->ended_well($first, 1) || $fault->{first} || !$round->{sink}->exactly_once)
	{
		CdcStream::kill_client($first, 'KILL');
		$round->{client} = $second;
	}
	else
	{
		CdcStream::kill_client($second, 'KILL');
	}
	$round->{hands_off} = 0;
	return;
}

# A client dies that has stored no position for long, and the next one ends within what is delivered already, or
# a little behind it: a position must never be less than that of the records.
sub end_early
{
	my ($round, $fault) = @_;

	$round->some_client;
	$round->{hands_off} = 1;    # the clients are looked after here
	CdcStream::kill_client($round->{client}, 'KILL');
	$round->{client} = $round->start_another('--commit-interval=1h', '--retry-for=5min');
	$round->run_for($fault->{down});
	CdcStream::kill_client($round->{client}, 'KILL');
	foreach my $part (0.2, 0.6, 1)
	{
		my $endpos = $round->sql("SELECT confirmed_flush_lsn + trunc($part * (pg_current_wal_flush_lsn() - "
			. "confirmed_flush_lsn)) FROM pg_replication_slots WHERE slot_name = 'bank'");
		my $began = time();

		$round->{client} = $round->start_another("--endpos=$endpos", '--retry-for=5min');
		until (FaultRound::has_ended($round->{client}))
		{
			die "the client does not end at $endpos\n" if time() - $began > $end_limit;
			$round->run_for(0.02);
		}
		my $code = CdcStream::wait_client($round->{client});
		die "the client was to end at $endpos: exit code $code, see $round->{client}{log}\n" if $code != 0;
	}
	$round->client_gone;
	$round->{hands_off} = 0;
	return;
}

# ------------------------------------------------------------------------------------------------
# The source
# ------------------------------------------------------------------------------------------------

# PostgreSQL takes this for a crash, and starts all of itself anew.
sub kill_walsender
{
	my ($round) = @_;
	my $pid = '';

	until ($pid)
	{
		$round->run_for(0.1);
		$pid = $round->sql("SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'bank' AND active") // '';
	}
	kill 'KILL', $pid;
	$round->wait_for_server;
	return;
}

sub terminate_walsender
{
	my ($round) = @_;
	$round->sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'bank'");
	return;
}

sub crash_server
{
	my ($round, $fault) = @_;
	$round->stop_server('immediate');
	$round->run_for($fault->{down});
	$round->start_server;
	return;
}

sub crash_server_and_client
{
	my ($round, $fault) = @_;
	$round->stop_server('immediate');
	kill_client($round);
	$round->run_for($fault->{down});
	$round->start_server;
	return;
}

# A fast shutdown waits until the client has confirmed everything.
sub restart_server
{
	my ($round, $fault) = @_;
	$round->stop_server('fast');
	$round->run_for($fault->{down});
	$round->start_server;
	return;
}

# ------------------------------------------------------------------------------------------------
# The sink
# ------------------------------------------------------------------------------------------------

sub crash_sink
{
	my ($round, $fault) = @_;
	$round->{sink}->crash;
	$round->run_for($fault->{down});
	$round->{sink}->start;
	return;
}

sub restart_sink
{
	my ($round, $fault) = @_;
	$round->{sink}->stop;
	$round->run_for($fault->{down});
	$round->{sink}->start;
	return;
}

sub pause_sink
{
	my ($round, $fault) = @_;
	my @pids = $round->{sink}->pids;

	kill 'STOP', @pids;
	$round->run_for(2 * $fault->{down});
	kill 'CONT', @pids;
	return;
}

sub crash_sink_and_client
{
	my ($round, $fault) = @_;
	if ($fault->{first})
	{
		kill_client($round);
		$round->{sink}->crash;
	}
	else
	{
		$round->{sink}->crash;
		kill_client($round);
	}
	$round->run_for($fault->{down});
	$round->{sink}->start;
	return;
}

# What a client that is dead has sent reaches the sink while its successor is already there.
sub sink_stall_and_kill_client
{
	my ($round, $fault) = @_;
	my $proxy = $round->{sink}->proxy;

	$proxy->command('stall');
	$round->run_for(0.3);
	kill_client($round);
	$round->run_for($fault->{down});
	$proxy->command('pass');
	return;
}

sub disk_full
{
	my ($round, $fault) = @_;
	my $client = $round->some_client;

	$round->{sink}->full($client->{pid});
	$round->run_for($fault->{down});
	$round->{sink}->not_full($client->{pid});
	return;
}

# ------------------------------------------------------------------------------------------------
# The network
# ------------------------------------------------------------------------------------------------

# What follows a stall: all that waited arrives, or nothing of it.
sub disturb
{
	my ($round, $fault, $proxy, $command) = @_;

	$proxy->command($command);
	if ($command =~ /^stall/)
	{
		$round->run_for(2 * $fault->{down});
		$proxy->command('reset') unless $fault->{first};
	}
	elsif ($command eq 'refuse')
	{
		$round->run_for($fault->{down});
	}
	$proxy->command('pass');
	return;
}

{
	no strict 'refs';
	foreach my $command (qw(cut reset half_close refuse stall stall_down))
	{
		*{"source_$command"} = sub { my ($round, $fault) = @_; disturb($round, $fault, $round->{proxy}, $command) };
		*{"sink_$command"} = sub { my ($round, $fault) = @_; disturb($round, $fault, $round->{sink}->proxy, $command) };
	}
}

1;
