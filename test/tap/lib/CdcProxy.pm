# CdcProxy: stands between client and server, and fails on command.
#
# A process of its own listens on a Unix socket (new) or a TCP port (new_tcp) and passes bytes both ways.
# Commands:
#	pass		what is read is passed on (at the beginning)
#	stall		nothing is read or written any more, but everything stays open
#	stall_down	the same for what the server sends only
#	cut			all connections are closed, and the mode is pass again
#	reset		the same, but what is on its way is thrown away too (over TCP: RST)
#	half_close	no more comes from the server, as after its shutdown(SHUT_WR); the mode stays pass
#	refuse		all connections are closed, and new ones at once
#	one			the next connection is passed on, and then nobody listens any more
#	two			the same with the next two
#	slow		what the server sends arrives in pieces of 1 KiB with pauses between them
package CdcProxy;

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Errno;
use POSIX qw();
use PostgreSQL::Test::Utils;
use Socket qw(SHUT_WR SOCK_STREAM SOL_SOCKET SO_LINGER);
use Time::HiRes qw(usleep);

use CdcTest qw(read_piece);

# new(NODE): host and port to connect to are in the object
sub new
{
	my ($class, $node) = @_;
	my $host = PostgreSQL::Test::Utils::tempdir_short();
	my $port = $node->port;
	my $listener = IO::Socket::UNIX->new(
		Type => SOCK_STREAM,
		Local => "$host/.s.PGSQL.$port",
		Listen => 20) or die "could not listen in $host: $!";
	my $target = $node->host . "/.s.PGSQL.$port";

	return $class->start($listener, sub { IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $target) },
		host => $host, port => $port);
}

# new_tcp(TARGET, [PORT]): before a server, whose "host:port" or unix socket TARGET is; listens on the loopback
# interface, on any port or that one
sub new_tcp
{
	my ($class, $target, $listen_port) = @_;
	my $connect = $target =~ m{^/}
	  ? sub { IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $target) }
	  : sub { IO::Socket::INET->new(PeerAddr => $target, Timeout => 2) };
	my $listener = IO::Socket::INET->new(
		LocalAddr => '127.0.0.1',
		LocalPort => $listen_port // 0,
		ReuseAddr => 1,
		Listen => 20) or die "could not listen: $!";

	return $class->start($listener, $connect, host => '127.0.0.1', port => $listener->sockport);
}

# start(LISTENER, SUB that connects to the server, host =>, port =>)
sub start
{
	my ($class, $listener, $connect, %address) = @_;

	socketpair(my $control, my $theirs, AF_UNIX(), SOCK_STREAM, 0) or die "socketpair failed: $!";
	my $pid = fork // die "could not fork: $!";
	if ($pid == 0)
	{
		close($control);
		local $SIG{PIPE} = 'IGNORE';
		eval { serve($listener, $theirs, $connect) };
		print STDERR "proxy: $@" if $@;
		POSIX::_exit(0);
	}
	close($theirs);
	close($listener);
	return bless { pid => $pid, control => $control, %address }, $class;
}

# Returns once the command is in force.
sub command
{
	my ($self, $command) = @_;
	syswrite($self->{control}, "$command\n") or die "the proxy has gone: $!";
	die 'the proxy has gone' if read_piece($self->{control}, 100) eq '';
	return;
}

sub stop
{
	my ($self) = @_;
	close(delete $self->{control});
	# a process that was forked later may hold the other end of control too
	kill 'KILL', $self->{pid};
	waitpid($self->{pid}, 0);
	return;
}

# Bytes that one side does not take must not hold up another connection: what was read waits in
# the peer's buffer, and no more is read for it until that is empty.
sub serve
{
	my ($listener, $control, $connect) = @_;
	my $mode = 'pass';
	my %ends;    # of each handle, by number: { handle, peer, upward, buffer }
	my $forget = sub {
		foreach my $end (@_)
		{
			delete $ends{ fileno($end->{handle}) };
			close($end->{handle});
		}
	};

	while (1)
	{
		my $stalled = sub {
			return $mode eq 'stall' || ($mode eq 'stall_down' && !$_[0]{upward});
		};
		my @readable = map { $_->{handle} }
		  grep { !$stalled->($_) && $_->{peer}{buffer} eq '' } values %ends;
		my @writable = map { $_->{handle} } grep { !$stalled->($_->{peer}) && $_->{buffer} ne '' } values %ends;
		my ($read, $write) =
		  IO::Select->select(IO::Select->new($listener // (), $control, @readable), IO::Select->new(@writable));

		if (grep { $_ == $control } @$read)
		{
			sysread($control, my $command, 100) or return;
			chomp $command;
			if ($command eq 'reset')
			{
				setsockopt($_->{handle}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0)) foreach values %ends;
			}
			$forget->(values %ends) if $command =~ /^(?:cut|reset|refuse)$/;
			if ($command eq 'half_close')
			{
				shutdown($_->{handle}, SHUT_WR) foreach grep { $_->{upward} } values %ends;
			}
			$mode = $command =~ /^(?:cut|reset|half_close)$/ ? 'pass' : $command;
			syswrite($control, "done\n");
			next;
		}
		if ($listener && grep { $_ == $listener } @$read)
		{
			my $client = $listener->accept or next;
			undef $listener if $mode eq 'one';
			$mode = 'one' if $mode eq 'two';
			my $server = $mode eq 'refuse' ? undef : $connect->();
			if ($server)
			{
				$_->blocking(0) foreach $client, $server;
				my $up = $ends{ fileno($client) } = { handle => $client, upward => 1, buffer => '' };
				my $down = $ends{ fileno($server) } = { handle => $server, upward => 0, buffer => '' };
				($up->{peer}, $down->{peer}) = ($down, $up);
			}
			next;
		}
		foreach my $handle (@$read)
		{
			my $end = $ends{ fileno($handle) // next } or next;
			my $slow = $mode eq 'slow' && !$end->{upward};
			my $got = sysread($handle, $end->{peer}{buffer}, $slow ? 1024 : 65536);
			$forget->($end, $end->{peer}) if !$got && !$!{EAGAIN};
			usleep(1000) if $slow;
		}
		foreach my $handle (@$write)
		{
			my $end = $ends{ fileno($handle) // next } or next;
			my $written = syswrite($handle, $end->{buffer});
			substr($end->{buffer}, 0, $written) = '' if $written;
			$forget->($end, $end->{peer}) if !defined $written && !$!{EAGAIN};
		}
	}
	return;
}

sub DESTROY
{
	my ($self) = @_;
	kill 'KILL', $self->{pid} if $self->{control};
	return;
}

1;
