# A gRPC server that stores records and position in one transaction (test/e2e/grpc_server.py).
package FaultSink::Grpc;

use strict;
use warnings;

use parent -norequire, 'FaultSink';

use CdcProxy;
use CdcTest;
use GrpcServer;
use PostgreSQL::Test::Utils;

sub things
{
	return ('server');
}

# What the server stored and the client was not told of comes again.
sub rows_once
{
	return 0;
}

sub resumes_snapshot
{
	return 0;
}

sub last_snapshot
{
	return ('--snapshot=never');
}

sub programs
{
	return ('python3', 'protoc');
}

sub start
{
	my ($self) = @_;

	if ($self->{server})
	{
		$self->{server}->start;
		return;
	}
	$self->{server} = GrpcServer->new;
	$self->{proxy} = CdcProxy->new_tcp("127.0.0.1:$self->{server}{port}");
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
	return ($self->{server}{pid});
}

sub uri
{
	my ($self) = @_;
	return "grpc://127.0.0.1:$self->{proxy}{port}";
}

sub delivered
{
	my ($self, $node) = @_;
	my $to = output_file('delivered');
	append_to_file($to, join('', map { "$_\n" } $self->{server}->dump));
	return $to;
}

1;
