# A stream of NATS JetStream.
package FaultSink::Nats;

use strict;
use warnings;

use parent -norequire, 'FaultSink';

use CdcProxy;
use CdcTest;
use NatsServer;

sub missing
{
	my ($self) = @_;
	return $self->SUPER::missing // (NatsServer::program() ? undef : 'there is no nats-server');
}

sub things
{
	return ('server');
}

sub rows_once
{
	return 0;
}

sub start
{
	my ($self) = @_;

	if ($self->{server})
	{
		$self->{server}->start;
		return;
	}
	$self->{server} = NatsServer->new;
	$self->{proxy} = CdcProxy->new_tcp("127.0.0.1:$self->{server}{port}");
	return;
}

sub stop
{
	my ($self) = @_;
	$self->{server}->stop if $self->{server};
	return;
}

sub crash
{
	my ($self) = @_;
	$self->{server}->signal('KILL');
	return;
}

sub pids
{
	my ($self) = @_;
	return ($self->{server}{pid});
}

sub uri
{
	my ($self) = @_;
	return "nats://127.0.0.1:$self->{proxy}{port}/bank.records?stream=bank";
}

sub delivered
{
	my ($self, $node) = @_;
	return $self->{server}->dump('bank', output_file('delivered'));
}

1;
