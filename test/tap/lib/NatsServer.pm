# NatsServer: a nats-server with JetStream of a test's own, and a client that speaks its protocol.
package NatsServer;

use strict;
use warnings;

use IO::Socket::INET;
use JSON::PP ();
use POSIX qw();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

our $timeout = $PostgreSQL::Test::Utils::timeout_default;
my $json = JSON::PP->new->canonical;

# The server's program, or undef where there is none.
sub program
{
	foreach my $dir (split(/:/, $ENV{PATH}), '/usr/sbin', '/usr/bin')
	{
		return "$dir/nats-server" if -x "$dir/nats-server";
	}
	return undef;
}

# new([conf => TEXT, user => NAME, password => TEXT]): a started server; conf is added to its configuration, and
# user and password are the test's own.
sub new
{
	my ($class, %options) = @_;
	my $program = program() or die 'there is no nats-server';
	my $self = bless {
		program => $program,
		port => PostgreSQL::Test::Cluster::get_free_port(),
		dir => PostgreSQL::Test::Utils::tempdir(),
		conf => '',
		%options,
	}, $class;

	$self->start;
	return $self;
}

sub start
{
	my ($self, %options) = @_;
	my $file = "$self->{dir}/nats.conf";

	unlink $file;
	append_to_file($file, "host: \"127.0.0.1\"\nport: $self->{port}\n"
		  . ($self->{no_jetstream} ? '' : "jetstream { store_dir: \"$self->{dir}/js\" }\n")
		  . "$self->{conf}\n");
	append_to_file("$self->{dir}/nats.log", ''); # there before the server is
	$self->{pid} = fork // die "could not fork: $!";
	if ($self->{pid} == 0)
	{
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>>', "$self->{dir}/nats.log");
		open(STDERR, '>&', \*STDOUT);
		exec($self->{program}, '-c', $file) or POSIX::_exit(127);
	}
	my $deadline = time() + $timeout;
	until ($self->{no_client} ? slurp_file("$self->{dir}/nats.log") =~ /Server is ready/ : eval { $self->connected })
	{
		die "NATS does not answer: $@" . slurp_file("$self->{dir}/nats.log") if time() > $deadline;
		usleep(20_000);
	}
	return;
}

# signal(NAME): KILL and TERM are waited for
sub signal
{
	my ($self, $signal) = @_;

	kill $signal, $self->{pid} or die "no NATS to signal";
	if ($signal eq 'KILL' || $signal eq 'TERM')
	{
		waitpid($self->{pid}, 0);
		$self->{pid} = undef;
		$self->disconnect;
	}
	return;
}

sub restart
{
	my ($self, %changes) = @_;
	$self->signal('KILL');
	%$self = (%$self, %changes);
	$self->start;
	return;
}

# uri([PATH AND QUERY], [USER:PASSWORD])
sub uri
{
	my ($self, $rest, $user) = @_;
	return 'nats://' . (defined $user ? "$user\@" : '') . "127.0.0.1:$self->{port}" . ($rest // '');
}

# ------------------------------------------------------------------------------------------------
# The client
# ------------------------------------------------------------------------------------------------

sub disconnect
{
	my ($self) = @_;
	close(delete $self->{socket}) if $self->{socket};
	return;
}

sub connected
{
	my ($self) = @_;

	return 1 if $self->{socket};
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port}, Timeout => 5)
	  or die "no connection: $@";
	my %login = (verbose => JSON::PP::false, headers => JSON::PP::true, no_responders => JSON::PP::true,
		map { ($_ => $self->{$_}) } grep { defined $self->{$_} } qw(user auth_token));
	$login{pass} = $self->{password} if defined $self->{password};
	$self->{socket} = $socket;
	$self->{inbox} = "_INBOX.test.$$." . int(rand(1e9));
	$self->send_line('CONNECT ' . $json->encode(\%login));
	$self->send_line("SUB $self->{inbox}.* 1");
	$self->send_line('PING');
	my $line;
	do
	{
		$line = $self->read_line;
		if ($line =~ /^-ERR/)
		{
			$self->disconnect;
			die "NATS: $line";
		}
	} until $line eq 'PONG';
	return 1;
}

sub send_line
{
	my ($self, $line, $more) = @_;
	local $SIG{PIPE} = 'IGNORE';
	print { $self->{socket} } "$line\r\n" . (defined $more ? "$more\r\n" : '');
	$self->{socket}->flush or die "the connection broke\n";
	return;
}

sub read_line
{
	my ($self) = @_;
	local $/ = "\r\n";
	my $line = eval {
		local $SIG{ALRM} = sub { die "NATS is silent\n" };
		alarm($timeout);
		my $read = readline($self->{socket});
		alarm(0);
		$read;
	};

	if (!defined $line)
	{
		$self->disconnect;
		die "the connection broke\n";
	}
	chomp $line;
	return $line;
}

# The next message: { subject, reply, headers, data }.
sub read_message
{
	my ($self) = @_;

	while (1)
	{
		my $line = $self->read_line;
		if ($line =~ /^H?MSG /)
		{
			# [H]MSG subject sid [reply] [size of headers] size
			my (undef, $subject, undef, @rest) = split(' ', $line);
			my $size = pop @rest;
			my $header_size = $line =~ /^H/ ? pop @rest : 0;
			my $reply = $rest[0];
			my $text = '';
			while (length($text) < $size + 2)
			{
				read($self->{socket}, $text, $size + 2 - length($text), length($text)) or die "the connection broke\n";
			}
			return {
				subject => $subject, reply => $reply,
				headers => substr($text, 0, $header_size),
				data => substr($text, $header_size, $size - $header_size) };
		}
		$self->send_line('PONG') if $line eq 'PING';
		die "NATS: $line" if $line =~ /^-ERR/;
	}
}

# request(SUBJECT, TEXT, [HEADERS]): the answer's data, decoded; undef where nobody answers
sub request
{
	my ($self, $subject, $text, %headers) = @_;
	my $answer = eval {
		$self->connected;
		my $reply = "$self->{inbox}.r" . ++$self->{requests};
		if (%headers)
		{
			my $head = "NATS/1.0\r\n" . join('', map { "$_: $headers{$_}\r\n" } sort keys %headers) . "\r\n";
			$self->send_line("HPUB $subject $reply " . length($head) . ' ' . (length($head) + length($text)), "$head$text");
		}
		else
		{
			$self->send_line("PUB $subject $reply " . length($text), $text);
		}
		my $message;
		do { $message = $self->read_message } until $message->{subject} eq $reply;
		$message;
	};
	if (!$answer)
	{
		my $why = $@;
		$self->disconnect;
		die $why;
	}
	return undef if $answer->{headers} =~ m{^NATS/1.0 503};
	return $json->decode($answer->{data});
}

# api(WHAT, MEMBERS): a question to JetStream, "STREAM.INFO.cdc"; an error is in the answer
sub api
{
	my ($self, $what, $members) = @_;
	return $self->request("\$JS.API.$what", $members ? $json->encode($members) : '');
}

# make_stream(NAME, SUBJECTS, MEMBERS...)
sub make_stream
{
	my ($self, $name, $subjects, %members) = @_;
	my $answer = $self->api("STREAM.CREATE.$name", {
		name => $name, subjects => $subjects, retention => 'limits', storage => 'file', discard => 'old',
		max_consumers => -1, max_msgs => -1, max_bytes => -1, num_replicas => 1, %members });

	die "no stream $name: $answer->{error}{description}" if $answer->{error};
	return;
}

# The last sequence of a stream, 0 where there is none.
sub last_sequence
{
	my ($self, $stream) = @_;
	my $info = $self->api("STREAM.INFO.$stream");
	return $info->{state}{last_seq} // 0;
}

# messages(STREAM): all of them, in order, as read_message() has them
sub messages
{
	my ($self, $stream) = @_;
	my $info = $self->api("STREAM.INFO.$stream");
	return [] if $info->{error} && $info->{error}{err_code} == 10059;
	my $total = $info->{state}{messages};
	my @messages;
	my $answer = $self->api("CONSUMER.CREATE.$stream", {
		stream_name => $stream,
		config => { ack_policy => 'none', deliver_policy => 'all', replay_policy => 'instant' } });
	die "no consumer: $answer->{error}{description}" if $answer->{error};
	my $name = $answer->{name};
	while (@messages < $total)
	{
		my $batch = $total - @messages;
		$batch = 500 if $batch > 500;
		my $reply = "$self->{inbox}.p" . ++$self->{requests};
		$self->send_line("PUB \$JS.API.CONSUMER.MSG.NEXT.$stream.$name $reply " . length("{\"batch\":$batch}"), "{\"batch\":$batch}");
		while ($batch-- > 0)
		{
			my $message = $self->read_message;
			die "no more messages: $message->{headers}" if $message->{headers} =~ m{^NATS/1.0 \d};
			push @messages, $message;
		}
	}
	$self->api("CONSUMER.DELETE.$stream.$name");
	return \@messages;
}

# dump(STREAM, FILE): the records, a line each
sub dump
{
	my ($self, $stream, $file) = @_;

	unlink $file;
	append_to_file($file, join('', map { "$_->{data}\n" } @{ $self->messages($stream) }));
	return $file;
}

# position(STREAM, [POSITIONS]): the members of the position stored for it, none where there is none
sub position
{
	my ($self, $stream, $positions) = @_;
	my $answer = $self->api('STREAM.MSG.GET.' . ($positions // 'cdc-positions'), { last_by_subj => "cdc-positions.$stream" });
	require MIME::Base64;
	return {} if $answer->{error};
	return $json->decode(MIME::Base64::decode_base64($answer->{message}{data}));
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
