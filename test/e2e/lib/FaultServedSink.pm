# FaultServedSink: what the sinks share whose server is one program (FaultServer) behind a proxy.
#
# They provide make_server(): a FaultServer, once the object's proxy stands before its port.
package FaultServedSink;

use strict;
use warnings;

use parent -norequire, 'FaultSink';

use CdcProxy;
use FaultServer;
use PostgreSQL::Test::Cluster;

sub things
{
	return ('server');
}

sub start
{
	my ($self) = @_;

	if (!$self->{server})
	{
		$self->{port} = PostgreSQL::Test::Cluster::get_free_port();
		$self->{proxy} = CdcProxy->new_tcp("127.0.0.1:$self->{port}");
		$self->{address} = "127.0.0.1:$self->{proxy}{port}";
		$self->{server} = $self->make_server;
	}
	$self->{server}->start;
	return;
}

sub stop
{
	my ($self) = @_;
	$self->{server}->stop('TERM') if $self->{server};
	return;
}

sub crash
{
	my ($self) = @_;
	$self->{server}->stop('KILL');
	return;
}

sub pids
{
	my ($self) = @_;
	return $self->{server}->pids;
}

sub proxy
{
	my ($self) = @_;
	return $self->{proxy};
}

1;
