# A topic of one partition, read by a consumer that sees committed transactions only.
package FaultSink::Kafka;

use strict;
use warnings;

use parent -norequire, 'FaultSink';

use CdcProxy;
use CdcTest;
use IPC::Run ();
use KafkaBroker;

sub missing
{
	my ($self) = @_;
	return $self->SUPER::missing // kafka_missing();
}

sub things
{
	return ('server');
}

# The broker tells clients its address, which therefore is the proxy's.
sub start
{
	my ($self) = @_;

	if (!$self->{broker})
	{
		# topics come into being by being asked for, as by default
		$self->{broker} = KafkaBroker->new('auto.create.topics.enable=true');
		$self->{proxy} = CdcProxy->new_tcp($self->{broker}->address);
		$self->{address} = "127.0.0.1:$self->{proxy}{port}";
		push @{ $self->{broker}{properties} }, "advertised.listeners=PLAINTEXT://$self->{address}";
	}
	$self->{broker}->start;
	return;
}

sub stop
{
	my ($self) = @_;
	$self->{broker}->stop if $self->{broker};
	return;
}

sub crash
{
	my ($self) = @_;
	$self->{broker}->kill9;
	return;
}

sub pids
{
	my ($self) = @_;
	return ($self->{broker}->pid);
}

sub uri
{
	my ($self) = @_;
	return "kafka://$self->{address}/bank";
}

sub delivered
{
	my ($self, $node) = @_;
	my $to = output_file('delivered');
	my $stderr = '';

	IPC::Run::run(
		[ 'kcat', '-C', '-q', '-b', $self->{address}, '-t', 'bank', '-o', 'beginning', '-e',
		  '-X', 'isolation.level=read_committed', '-f', '%s\n' ],
		'<', \undef, '>', $to, '2>', \$stderr, IPC::Run::timeout(120)) or die "kcat failed: $stderr";
	return $to;
}

1;
