# A stream of NATS JetStream.
package FaultSink::Nats;

use strict;
use warnings;

use parent 'FaultServedSink';

use CdcTest;
use FaultServer;
use IO::Socket::INET;
use PostgreSQL::Test::Cluster;

sub make_server
{
	my ($self) = @_;

	return FaultServer->new(
		name => 'the NATS server', log => output_file('nats.log'),
		command => [ 'nats-server', '-a', '127.0.0.1', '-p', $self->{port}, '-js', '-sd', "$self->{dir}/nats" ],
		ready => sub { FaultServer::listens($self->{port}) });
}

sub programs
{
	return ('nats-server');
}

sub uri
{
	my ($self) = @_;
	return "nats://$self->{address}/bank.records?stream=bank";
}

# ------------------------------------------------------------------------------------------------
# The stream's messages, by NATS's own protocol: an ephemeral consumer that pushes all of them
# ------------------------------------------------------------------------------------------------

sub delivered
{
	my ($self, $node) = @_;
	my $to = output_file('delivered');
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port}, Timeout => 5)
	  or die "no connection to NATS: $!";
	my $config = '{"stream_name":"bank","config":{"deliver_subject":"all","deliver_policy":"all","ack_policy":"none",'
	  . '"filter_subject":"bank.records"}}';

	binmode($socket);
	local $SIG{ALRM} = sub { die "NATS sends no more, though not all has come\n" };
	alarm(120);
	print $socket qq(CONNECT {"verbose":false,"headers":true}\r\nSUB all 1\r\nSUB answers 2\r\n)
	  . 'PUB $JS.API.CONSUMER.CREATE.bank answers ' . length($config) . "\r\n$config\r\n";
	$socket->flush;
	open(my $out, '>:raw', $to) or die "could not write $to: $!";
	my ($left, $last);
	while (!defined $left || $left > 0)
	{
		my ($subscription, $reply, $payload) = @{ message($socket) };
		if ($subscription == 2)
		{
			die "NATS: $payload" if $payload =~ /"error"/;
			$left //= $payload =~ /"num_pending":(\d+)/ ? $1 : die "NATS: $payload";
			next;
		}
		# the subject to acknowledge to says how many messages are behind this one
		$left = (split /\./, $reply)[-1];
		print $out "$payload\n";
	}
	alarm(0);
	close($out) or die "could not write $to: $!";
	return $to;
}

# The next message: [subscription, reply, payload]
sub message
{
	my ($socket) = @_;

	while (defined(my $line = readline($socket)))
	{
		if ($line =~ /^PING/)
		{
			print $socket "PONG\r\n";
			$socket->flush;
		}
		# a reply's subject may be left out, with or without its blank; headers' size is HMSG's only
		elsif ($line =~ /^(H?)MSG \S+ (\d+) +(?:(\S*[^\s\d]\S*) +)?(?:(\d+) )?(\d+)\r\n$/)
		{
			my ($subscription, $reply, $headers, $total) = ($2, $3, $1 ? $4 : 0, $5);
			read($socket, my $bytes, $total + 2) == $total + 2 or last;
			return [ $subscription, $reply, substr($bytes, $headers, $total - $headers) ];
		}
		elsif ($line !~ /^(?:INFO|\+OK)/)
		{
			die "NATS: $line";
		}
	}
	die 'NATS has closed the connection';
}

1;
