# FaultRound: one round of the fault runner: a source under load, a client, a sink, and so many faults.
#
# What happens is a plan made of the seed alone (FaultPlan); only the instants at which it meets the
# programs differ from run to run.  A supervisor starts a client that has ended again, as systemd would,
# and fails where systemd would give up (exit codes 1 and 2).  No wait is without a limit.
package FaultRound;

use strict;
use warnings;

use Exporter qw(import);
use List::Util qw(max sum);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

use CdcProxy;
use CdcStream ();
use CdcTest;
use FaultActions;
use FaultBank;
use FaultCheck;
use FaultPlan;
use FaultSink;
use FaultSnapshot;

our @EXPORT = qw(fault_round);

# Seconds after a fault within which the client must have confirmed what was written until then, or more of
# it than before: a busy machine takes its time.  Its pauses double up to 30 s where faults follow each
# other before it has made progress.
my $recovery_limit = 90;

# More than any sink's library holds open; a leak in reconnecting passes it soon.
my $descriptors_limit = 100;

# Transactions a second, unless it is said: few enough for a busy machine to follow, and for the replay
# afterwards.
my $usual_rate = 100;

# Existing rows for each fault (FaultSnapshot): some half a second's reading.
my $rows_per_fault = 400;

# fault_round(sink => NAME, seed => NUMBER, faults => NUMBER | kinds => [NAMES], [rate => NUMBER], [snapshot => 1]):
# so many faults, or these one after the other; with snapshot, tables hold rows that are to be delivered, too; a few
# tests, or all skipped where the sink cannot be had
sub fault_round
{
	my (%options) = @_;
	my @kinds = @{ $options{kinds} // [] };
	$options{faults} //= @kinds;
	$options{rate} //= $usual_rate;
	my $self = bless {
		%options, began => time(), server_up => 0, hands_off => 1, clients => 0, counts => {}, recoveries => [],
		limit => 300 + 15 * $options{faults} }, __PACKAGE__;
	my $sink = $self->{sink} = FaultSink::make($options{sink}, PostgreSQL::Test::Utils::tempdir());
	my $name = "$options{sink}, seed $options{seed}";
	my $missing = $sink->missing;

	plan skip_all => $missing if $missing;
	# the name counts too, or all sinks would see the same faults at the same moments
	my @possible = fault_kinds($sink->things);
	@possible = snapshot_kinds($sink, @possible) if $options{snapshot};
	$self->{plan} = [ make_plan($options{seed} + 65_536 * unpack('%16C*', $options{sink}), $options{faults}, @possible) ];
	$self->{plan}[$_]{kind} = $kinds[$_] foreach 0 .. $#kinds;
	snapshot_plan($sink, @{ $self->{plan} }) if $options{snapshot};
	my $lived = eval
	{
		$self->prepare;
		$self->run_plan;
		$self->finish;
		1;
	};
	ok($lived, "$name: the client came through $options{faults} faults") or diag($@, $self->client_evidence);
	# what has arrived is looked at in any case: it tells what went wrong
	$self->{load}->stop if $self->{load};
	eval { $self->check($name, $lived); 1 } or $self->failed("$name: what was delivered can be looked at", $@);
	diag("to repeat it: test/e2e/faults --sinks=$options{sink} --seed=$options{seed} --faults=$options{faults}"
		. ($options{snapshot} ? ' --snapshot' : ''))
	  unless @kinds || Test::More->builder->is_passing;
	eval { $self->end; 1 } or $self->failed("$name: everything ends", $@);
	return;
}

sub failed
{
	my ($self, $name, $error) = @_;
	fail($name);
	diag($error);
	return;
}

# ------------------------------------------------------------------------------------------------
# Before, during and after
# ------------------------------------------------------------------------------------------------

sub prepare
{
	my ($self) = @_;
	my $node = $self->{node} = make_node("faults$self->{seed}",
		# Test::Cluster has it off, and then kill -9 of a walsender would be the end
		'restart_after_crash = on',
		# large transactions are decoded from files
		'logical_decoding_work_mem = 64kB',
		'deadlock_timeout = 100ms');

	my $rows = $self->{rows} = 2000 + $rows_per_fault * $self->{faults};

	bank_create($node);
	if ($self->{snapshot})
	{
		bank_fund($node);
		snapshot_create($node, $rows);
	}
	create_slot($node, 'postgres', 'bank');
	$node->safe_psql('postgres', "SELECT pg_copy_logical_replication_slot('bank', 'truth')");
	bank_fund($node) unless $self->{snapshot};
	$self->{proxy} = CdcProxy->new($node);
	# a walsender whose client is behind a stalled connection gives the slot back soon
	$self->{dbname} =
	  CdcStream::conninfo($node, 'postgres', host => $self->{proxy}{host}, options => '-c wal_sender_timeout=3s');
	$self->{sink}->start;
	$self->{load} =
	  FaultBank->new($node, $self->{seed}, $self->{rate}, $self->{snapshot} ? snapshot_scripts($rows) : ());
	$self->{arguments} = $self->{plan}[0]{arguments};
	@{$self}{qw(server_up hands_off)} = (1, 0);
	return;
}

sub run_plan
{
	my ($self) = @_;
	my $n = 0;

	foreach my $fault (@{ $self->{plan} })
	{
		$self->{fault} = $fault;
		$self->run_for($fault->{before});
		$self->{arguments} = $fault->{arguments};
		bank_big($self->{node}, $fault->{big}) if $fault->{big};
		note(sprintf('%7.2f s  fault %d: %s%s, %.1f s', time() - $self->{began}, ++$n, $fault->{kind},
			$fault->{big} ? " after $fault->{big} records at once" : '', $fault->{down}));
		$self->{amid}++ if $self->{snapshot} && !$self->snapshot_is_through;
		FaultActions->can($fault->{kind})->($self, $fault);
		$self->{counts}{ $fault->{kind} }++;
		$self->settle if $fault->{settle};
	}
	return;
}

# Everything is delivered, by a client that ends when it is asked to, and another that ends by itself.
sub finish
{
	my ($self) = @_;

	$self->{load}->stop;
	$self->{server_up} = 0;    # for the load
	# a backend whose pgbench has been killed may yet commit
	$self->{node}->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'pgbench'")
	  or die "a session of pgbench does not end\n";
	$self->settle;
	$self->settle_snapshot if $self->{snapshot};
	$self->{hands_off} = 1;
	my $code = CdcStream::kill_client($self->{client}, 'TERM');
	die "SIGTERM in peace: exit code $code\n" if $code != 0;
	$self->{previous} = $self->{client};
	$self->{client} = $self->start_another('--until=now', '--retry-for=5min',
		$self->{snapshot} ? $self->{sink}->last_snapshot : ());
	$code = CdcStream::wait_client($self->{client});
	die "the last client: exit code $code\n" if $code != 0;
	return;
}

sub check
{
	my ($self, $name, $whole) = @_;
	my ($node, $sink) = @{$self}{ 'node', 'sink' };
	my ($transactions, $again, $wrong) = (0, 0);

	my $truth = truth_file($node, 'truth');
	my $delivered = $sink->delivered($node);
	note("truth in $truth, delivered in $delivered");
	$truth = as_jsonb($node, $truth) if $sink->stored_as_jsonb;
	($delivered, $again) = first_occurrences($delivered) unless $sink->exactly_once;
	$wrong = $self->{snapshot} ? check_changes($truth, $delivered) : compare_records($truth, $delivered);
	ok(!$wrong, "$name: every record " . ($sink->exactly_once ? 'exactly once' : 'at least once, and at first')
		. ' in order, byte by byte') or diag($wrong);
	return if !$whole;
	if ($self->{snapshot})
	{
		my %rows;
		$wrong = check_rows($node, $delivered, $sink, \%rows);
		ok(!$wrong, "$name: $rows{rows} existing rows, and a replay equals the source") or diag($wrong);
		cmp_ok($self->{amid} // 0, '>', 0, "$name: there were faults amid the existing rows");
		$transactions = $rows{transactions};
	}
	else
	{
		$wrong = replay_records($node, $delivered, \$transactions);
		ok(!$wrong, "$name: the sum is right after each transaction, and a replay equals the source") or diag($wrong);
	}
	# what test/e2e/faults makes its table of
	note(join("\t", 'result', map { "$_->[0]=$_->[1]" }
		[ sink => $self->{sink}->name ], [ seed => $self->{seed} ], [ faults => sum(0, values %{ $self->{counts} }) ],
		[ clients => $self->{clients} ], [ transactions => $transactions ],
		[ records => scalar @{ read_lines($delivered) } ], [ again => $again ],
		[ amid => $self->{amid} // 0 ], [ slowest => sprintf('%.1f', max(0, @{ $self->{recoveries} })) ],
		[ seconds => sprintf('%.0f', time() - $self->{began}) ],
		[ kinds => join(',', map { "$_:$self->{counts}{$_}" } sort keys %{ $self->{counts} }) ]));
	return;
}

sub end
{
	my ($self) = @_;

	$self->{hands_off} = 1;
	CdcStream::kill_client($self->{client}, 'KILL') if $self->{client};
	# a fault may have been broken off while the server was frozen
	kill 'CONT', grep { defined } $self->{sink}->pids;
	$self->{sink}->stop;
	foreach my $proxy (grep { defined } $self->{proxy}, $self->{sink}->proxy)
	{
		$proxy->stop;
	}
	$self->{node}->stop('immediate') if $self->{node};
	return;
}

# The end of the logs of the last clients.
sub client_evidence
{
	my ($self) = @_;
	my $text = '';

	foreach my $client (grep { defined } @{$self}{ 'previous', 'client' })
	{
		my @lines = split /\n/, CdcStream::client_log($client);
		splice(@lines, 0, @lines - 30) if @lines > 30;
		$text .= join("\n", "the end of $client->{log}:", @lines, '');
	}
	return $text;
}

# ------------------------------------------------------------------------------------------------
# The supervisor
# ------------------------------------------------------------------------------------------------

# To be called often: whatever has ended and should not have is started again.
sub tick
{
	my ($self) = @_;

	die "the round has taken longer than $self->{limit} s\n" if time() - $self->{began} > $self->{limit};
	$self->{load}->tick if $self->{server_up};
	return if $self->{hands_off};
	$self->client_gone if $self->{client} && $self->ended_well($self->{client}, 0);
	$self->{client} = $self->start_another if !$self->{client} && time() >= ($self->{restart_at} // 0);
	return;
}

sub run_for
{
	my ($self, $seconds) = @_;
	my $deadline = time() + $seconds;

	do
	{
		$self->tick;
		usleep(10_000);
	} while (time() < $deadline);
	return;
}

sub start_another
{
	my ($self, @arguments) = @_;
	$self->{clients}++;
	return CdcStream::start_client($self->{dbname}, 'bank', $self->{sink}->uri, args => [
		$self->arguments(@arguments), '--receive-timeout=2s', '--status-interval=100ms' ]);
}

# The plan's arguments with others in place of those of the same name.
sub arguments
{
	my ($self, @others) = @_;
	my %names = map { /^([^=]+)/ ? ($1 => 1) : () } @others;
	return ((grep { /^([^=]+)/ && !$names{$1} } @{ $self->{arguments} }), @others);
}

sub client_gone
{
	my ($self) = @_;
	$self->{previous} = $self->{client};
	$self->{client} = undef;
	$self->{restart_at} = time() + 0.1;    # as systemd's RestartSec
	return;
}

# ended_well(CLIENT, FENCED): whether it has ended; dies where it should not have so.  FENCED: another
# client has taken its place, and it may have been told so: by the sink, or where that keeps no position by
# the slot.
sub ended_well
{
	my ($self, $client, $fenced) = @_;

	return 0 unless has_ended($client);
	my $code = CdcStream::wait_client($client);
	# 0: asked to stop; 3: gave up retrying.  systemd would not start the others again.
	return 1 if $code == 3 || ($code == 0 && $client->{asked});
	# asked before it had begun, so that SIGTERM itself ended it
	return 1 if $code == 128 + 15 && $client->{asked} && CdcStream::client_log($client) eq '';
	my $told = $self->{sink}->exactly_once ? qr/another client|fenced/ : qr/slot "bank" has moved on/;
	return 1 if $code == 2 && $fenced && CdcStream::client_log($client) =~ $told;
	die "the client has ended with exit code $code, see $client->{log}\n";
}

sub has_ended
{
	my ($client) = @_;

	return 1 if defined $client->{code};
	open(my $stat, '<', "/proc/$client->{pid}/stat") or return 1;
	my $line = <$stat> // return 1;
	# the name before it may hold anything, so behind the last parenthesis
	return $line =~ /\) Z [^)]*$/;
}

# The client, once there is one: a fault that is to hit it must not fall between two.
sub some_client
{
	my ($self) = @_;
	$self->run_for(0.02) until $self->{client};
	return $self->{client};
}

# ------------------------------------------------------------------------------------------------
# The source
# ------------------------------------------------------------------------------------------------

# What the server answers, undef where it does not.
sub sql
{
	my ($self, $sql) = @_;
	my ($status, $out) = $self->{node}->psql('postgres', $sql, on_error_die => 0);
	return defined $status && $status == 0 ? $out : undef;
}

sub stop_server
{
	my ($self, $mode) = @_;
	$self->{server_up} = 0;
	$self->{node}->stop($mode, fail_ok => 1) or die "the server does not stop in mode $mode\n";
	return;
}

sub start_server
{
	my ($self) = @_;
	$self->{node}->start(fail_ok => 1) or die "the server does not start\n";
	$self->{server_up} = 1;
	return;
}

sub wait_for_server
{
	my ($self) = @_;
	my $began = time();

	until (defined $self->sql('SELECT 1'))
	{
		die "the server is not back within $recovery_limit s\n" if time() - $began > $recovery_limit;
		$self->run_for(0.1);
	}
	return;
}

# Whether the client that runs, or the last one, has nothing left of the existing rows to deliver: it was through with
# them, or found them so.
sub snapshot_is_through
{
	my ($self) = @_;
	my $client = $self->{client} // $self->{previous} // return 0;
	my $log = CdcStream::client_log($client);
	my ($last) = reverse($log =~ /snapshot of existing rows: (\w+)/g);

	return defined $last ? $last eq 'through' : $log =~ /streaming slot/;
}

sub settle_snapshot
{
	my ($self) = @_;
	my $began = time();

	until ($self->snapshot_is_through)
	{
		die "the existing rows are not through within $recovery_limit s\n" if time() - $began > $recovery_limit;
		$self->run_for(0.1);
	}
	return;
}

# Waits until all that is written now has been confirmed.
sub settle
{
	my ($self) = @_;
	my $began = my $advanced = time();
	my ($lsn, $left, $before);

	until (defined $left && $left <= 0)
	{
		die sprintf("no recovery within %d s after %s\n", $recovery_limit, $self->{fault}{kind})
		  if time() - $advanced > $recovery_limit;
		$self->run_for(0.1);
		$lsn //= $self->sql('SELECT pg_current_wal_insert_lsn()');
		$left = $self->sql("SELECT '$lsn'::pg_lsn - confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'bank'")
		  if defined $lsn;
		next if !defined $left || (defined $before && $left >= $before);
		$advanced = time() if defined $before;
		$before = $left;
	}
	push @{ $self->{recoveries} }, time() - $began;
	my @open = $self->{client} ? glob("/proc/$self->{client}{pid}/fd/*") : ();
	die sprintf("the client has %d files open\n", scalar @open) if @open > $descriptors_limit;
	return;
}

1;
