# FaultServer: a sink's server that is one program: started, killed, frozen.
package FaultServer;

use strict;
use warnings;

use IO::Socket::INET;
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(time usleep);

my $limit = 60;
my @started;

# new(name =>, command => [...], log => FILE, ready => SUB): not started yet
sub new
{
	my ($class, %args) = @_;
	my $self = bless {%args}, $class;
	push @started, $self;
	return $self;
}

sub start
{
	my ($self) = @_;
	my $pid = fork // die "could not fork: $!";

	if ($pid == 0)
	{
		my @command = @{ $self->{command} };
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>>', $self->{log});
		open(STDERR, '>&', \*STDOUT);
		# its name is the first word, its program may be another
		exec { $self->{program} // $command[0] } @command or POSIX::_exit(127);
	}
	$self->{pid} = $pid;
	my $deadline = time() + $limit;
	until ($self->{ready}->())
	{
		die "$self->{name} has ended, see $self->{log}\n" if waitpid($pid, WNOHANG) == $pid;
		die "$self->{name} is not ready within $limit s, see $self->{log}\n" if time() > $deadline;
		usleep(20_000);
	}
	return;
}

sub pids
{
	my ($self) = @_;
	return ($self->{pid});
}

# stop(SIGNAL): and waits for its end
sub stop
{
	my ($self, $signal) = @_;
	my $pid = $self->{pid} // return;
	my $deadline = time() + $limit;

	kill $signal, $pid;
	kill 'CONT', $pid;
	until (waitpid($pid, WNOHANG) == $pid)
	{
		die "$self->{name} does not stop within $limit s\n" if time() > $deadline;
		usleep(10_000);
	}
	delete $self->{pid};
	return;
}

# Whether something listens at the port.
sub listens
{
	my ($port) = @_;
	return defined IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 1);
}

END
{
	local $?;
	foreach my $server (grep { $_->{pid} } @started)
	{
		kill 'KILL', $server->{pid};
		waitpid($server->{pid}, 0);
	}
}

1;
