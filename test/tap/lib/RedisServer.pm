# RedisServer: a Redis server of a test's own, and a client that speaks its protocol.
#
# Debian's redis-tools holds the server too: redis-check-rdb is the same program, which looks at the name
# that it was started by.
package RedisServer;

use strict;
use warnings;

use IO::Socket::INET;
use POSIX qw();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

our $timeout = $PostgreSQL::Test::Utils::timeout_default;

# The server's program, or undef where there is none.
sub program
{
	foreach my $dir (split(/:/, $ENV{PATH}), '/usr/bin')
	{
		return "$dir/redis-server" if -x "$dir/redis-server";
		next unless -x "$dir/redis-check-rdb";
		my $link = PostgreSQL::Test::Utils::tempdir() . '/redis-server';
		symlink("$dir/redis-check-rdb", $link) or die "could not make $link: $!";
		return $link;
	}
	return undef;
}

# new([NAME => VALUE...]): a started server; parameters as in redis.conf, a list for several of one name.
# Durable unless told otherwise: each write is synced before it is answered.  A node of a cluster gets a free port
# for the others too: the server's own choice, 10000 above, is where the system takes ports of connections from.
sub new
{
	my ($class, %conf) = @_;
	my $program = program() or die 'there is neither redis-server nor redis-check-rdb';
	$conf{'cluster-port'} //= PostgreSQL::Test::Cluster::get_free_port() if $conf{'cluster-enabled'};
	my $self = bless {
		program => $program,
		port => PostgreSQL::Test::Cluster::get_free_port(),
		dir => PostgreSQL::Test::Utils::tempdir(),
		conf => { save => '""', appendonly => 'yes', appendfsync => 'always', %conf },
	}, $class;

	$self->start;
	return $self;
}

sub start
{
	my ($self, %options) = @_;
	my %conf = (
		bind => '127.0.0.1', port => $self->{port}, dir => $self->{dir}, daemonize => 'no',
		loglevel => 'notice', %{ $self->{conf} });
	my $file = "$self->{dir}/redis.conf";

	unlink $file;
	foreach my $name (sort keys %conf)
	{
		append_to_file($file, "$name $_\n") foreach ref $conf{$name} ? @{ $conf{$name} } : $conf{$name};
	}
	append_to_file("$self->{dir}/redis.log", ''); # there before the server is
	$self->{pid} = fork // die "could not fork: $!";
	if ($self->{pid} == 0)
	{
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>>', "$self->{dir}/redis.log");
		open(STDERR, '>&', \*STDOUT);
		exec($self->{program}, $file) or POSIX::_exit(127);
	}
	return if $options{no_wait};
	return $self->wait_ready;
}

sub wait_ready
{
	my ($self) = @_;
	my $deadline = time() + $timeout;

	until (eval { ($self->command('PING') // '') eq 'PONG' })
	{
		my $ended = waitpid($self->{pid}, POSIX::WNOHANG) == $self->{pid};
		$self->{pid} = undef if $ended;
		die "Redis does not answer: $@" . slurp_file("$self->{dir}/redis.log")
		  if time() > $deadline || $ended;
		usleep(20_000);
	}
	return;
}

# signal(NAME): KILL and TERM are waited for
sub signal
{
	my ($self, $signal) = @_;

	kill $signal, $self->{pid} or die "no Redis to signal";
	if ($signal eq 'KILL' || $signal eq 'TERM')
	{
		waitpid($self->{pid}, 0);
		$self->{pid} = undef;
		close(delete $self->{socket}) if $self->{socket};
	}
	return;
}

sub restart
{
	my ($self) = @_;
	$self->signal('KILL');
	$self->start;
	return;
}

# uri([PATH AND QUERY], [USER:PASSWORD])
sub uri
{
	my ($self, $rest, $user) = @_;
	return 'redis://' . (defined $user ? "$user\@" : '') . "127.0.0.1:$self->{port}" . ($rest // '');
}

# command(WORD...): the answer; an array's as a reference, a nil as undef; dies with an error's text.
sub command
{
	my ($self, @words) = @_;

	$self->{socket} //= IO::Socket::INET->new(
		PeerAddr => '127.0.0.1', PeerPort => $self->{port}, Timeout => 5) or die "no connection: $@";
	my $request = '*' . @words . "\r\n" . join('', map { '$' . length($_) . "\r\n$_\r\n" } @words);
	my $answer = eval {
		local $SIG{PIPE} = 'IGNORE';
		print { $self->{socket} } $request or die "the connection broke: $!\n";
		$self->{socket}->flush;
		[ read_answer($self->{socket}) ];
	};
	if (!$answer)
	{
		# an error that the server answered leaves the connection as it was
		close(delete $self->{socket}) unless $@ =~ /^Redis: /;
		die $@;
	}
	return $answer->[0];
}

sub read_answer
{
	my ($socket) = @_;
	local $/ = "\r\n";
	my $line = <$socket> // die "the connection broke\n";

	chomp $line;
	my ($kind, $rest) = $line =~ /^(.)(.*)$/ or die "what is $line\n";
	return $rest if $kind eq '+' || $kind eq ':';
	die "Redis: $rest\n" if $kind eq '-';
	return undef if $rest eq '-1';
	return [ map { read_answer($socket) } 1 .. $rest ] if $kind eq '*';
	my $text = '';
	while (length($text) < $rest + 2)
	{
		read($socket, $text, $rest + 2 - length($text), length($text)) or die "the connection broke\n";
	}
	return substr($text, 0, $rest);
}

# entries(STREAM): [ID, RECORD] of each, in order
sub entries
{
	my ($self, $stream) = @_;
	my ($from, @entries) = ('-');

	while (1)
	{
		my $piece = $self->command('XRANGE', $stream, $from, '+', 'COUNT', 5000);
		push @entries, map { [ $_->[0], $_->[1][1] ] } @$piece;
		last if @$piece < 5000;
		$from = "($entries[-1][0]";
	}
	return \@entries;
}

# dump(STREAM, FILE): the records, a line each
sub dump
{
	my ($self, $stream, $file) = @_;

	unlink $file;
	append_to_file($file, join('', map { "$_->[1]\n" } @{ $self->entries($stream) }));
	return $file;
}

# position(KEY): the members of the position stored there, none where there is none
sub position
{
	my ($self, $key) = @_;
	my $json = $self->command('HGET', $key, 'position') // '';
	return { $json =~ /"(\w+)":"?([^",{}]+)/g };
}

sub stop
{
	my ($self) = @_;
	$self->signal('TERM') if $self->{pid};
	return;
}

sub DESTROY
{
	my ($self) = @_;
	local $?;
	if ($self->{pid})
	{
		kill 'KILL', $self->{pid};
		waitpid($self->{pid}, 0);
	}
	return;
}

1;
