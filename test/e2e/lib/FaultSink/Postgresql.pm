# A table in another PostgreSQL.
package FaultSink::Postgresql;

use strict;
use warnings;

use parent -norequire, 'FaultSink';

use CdcProxy;
use CdcTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time usleep);

sub things
{
	return ('server');
}

sub stored_as_jsonb
{
	return 1;
}

sub start
{
	my ($self) = @_;

	if ($self->{node})
	{
		$self->{node}->start(fail_ok => 1) or die "the sink's server does not start\n";
		return;
	}
	$self->{node} = make_node('sink', 'restart_after_crash = on');
	$self->{node}->safe_psql('postgres', 'CREATE DATABASE sink');
	$self->{proxy} = CdcProxy->new_tcp($self->{node}->host . '/.s.PGSQL.' . $self->{node}->port);
	return;
}

sub stop
{
	my ($self) = @_;
	$self->{node}->stop('fast', fail_ok => 1) or die "the sink's server does not stop\n" if $self->{node};
	return;
}

# The postmaster first, so that it starts nothing more.
sub pids
{
	my ($self) = @_;
	my $pid_file = $self->{node} ? $self->{node}->data_dir . '/postmaster.pid' : '';
	return unless -e $pid_file;
	my ($postmaster) = slurp_file($pid_file) =~ /^(\d+)/;
	return unless -e "/proc/$postmaster";
	my @children = split(/\s+/, slurp_file("/proc/$postmaster/task/$postmaster/children"));
	return ($postmaster, @children);
}

# The whole of it: a new postmaster does not start before the last one's processes have gone.
sub crash
{
	my ($self) = @_;
	my ($postmaster, @children) = $self->pids;
	my $deadline = time() + 30;

	$self->{node}->kill9;
	kill 'KILL', @children;
	while (grep { kill 0, $_ } $postmaster, @children)
	{
		die "the sink's server survives kill -9\n" if time() > $deadline;
		usleep(10_000);
	}
	return;
}

sub uri
{
	my ($self) = @_;
	my $user = getpwuid($<);
	return "postgresql://$user\@127.0.0.1:$self->{proxy}{port}/sink";
}

# The table has no order of its own but that of its key.
sub delivered
{
	my ($self, $node) = @_;
	my $to = output_file('delivered');

	$self->{node}->safe_psql('sink', qq(
		COPY (SELECT record FROM cdc_records ORDER BY source, incarnation, commit_lsn, seq, part) TO '$to'
			WITH (FORMAT csv, DELIMITER E'\\x1f', QUOTE E'\\x1e', ESCAPE E'\\x1e', ENCODING 'UTF8')));
	return $to;
}

1;
