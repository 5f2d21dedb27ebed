# A stream in Redis, which syncs its log before each answer.
package FaultSink::Redis;

use strict;
use warnings;

use parent -norequire, 'FaultSink';

use CdcProxy;
use CdcTest;
use RedisServer;

sub missing
{
	my ($self) = @_;
	return $self->SUPER::missing // (RedisServer::program() ? undef : 'there is no Redis server');
}

sub things
{
	return ('server');
}

sub start
{
	my ($self) = @_;

	if ($self->{server})
	{
		$self->{server}->start;
		return;
	}
	$self->{server} = RedisServer->new;
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
	return "redis://127.0.0.1:$self->{proxy}{port}/bank";
}

sub delivered
{
	my ($self, $node) = @_;
	return $self->{server}->dump('bank', output_file('delivered'));
}

1;
