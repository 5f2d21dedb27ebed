# KafkaBroker: a real Kafka broker of one node for tests, and kcat to read what it holds.
#
# script/kafka-broker runs it, with the jars in CDC_KAFKA_JARS or where "kafka-broker fetch" puts them.  A broker
# lives in a folder of its own, listens on 127.0.0.1, and ends with the test.
package KafkaBroker;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use IO::Socket::INET;
use IPC::Run ();
use POSIX qw(:sys_wait_h);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(kafka_missing);

my $top = abs_path(dirname(abs_path(__FILE__)) . '/../../..');
my $timeout = $PostgreSQL::Test::Utils::timeout_default;
my $count = 0;
my %running; # pid => 1

# Why there can be no broker here; undef: there can.
sub kafka_missing
{
	return $ENV{CDC_KAFKA_MISSING} if $ENV{CDC_KAFKA_MISSING};
	foreach my $program ('java', 'kcat')
	{
		return "needs a Kafka broker, and there is no $program"
		  unless grep { -x "$_/$program" } split(/:/, $ENV{PATH});
	}
	my ($jars) = jars();
	return undef if $jars;
	return 'needs a Kafka broker: script/kafka-broker fetch has not been run';
}

sub jars
{
	my $home = (getpwuid($<))[7];
	return grep { -f "$_/kafka-clients-3.9.1.jar" } grep { defined } $ENV{CDC_KAFKA_JARS},
	  '/opt/cdc_decoder/kafka/3.9.1/jars', "$home/.cache/cdc_decoder/kafka/3.9.1/jars";
}

# new(NAME=VALUE...): properties of the broker; not started yet
sub new
{
	my ($class, @properties) = @_;
	my $self = bless {
		folder => sprintf('%s/kafka_%d_%d', $PostgreSQL::Test::Utils::tmp_check, $$, ++$count),
		port => PostgreSQL::Test::Cluster::get_free_port(),
		controller => PostgreSQL::Test::Cluster::get_free_port(),
		properties => \@properties,
	}, $class;

	return $self;
}

# add_properties(NAME=VALUE...): for the next start()
sub add_properties
{
	my ($self, @properties) = @_;
	push @{ $self->{properties} }, @properties;
	return;
}

sub address
{
	my ($self) = @_;
	return "127.0.0.1:$self->{port}";
}

sub pid
{
	my ($self) = @_;
	return $self->{pid};
}

# Starts it, also again after stop() or kill9(): its data are still there.
sub start
{
	my ($self) = @_;
	my ($jars) = jars();
	my $pid = fork // die "could not fork: $!";

	if ($pid == 0)
	{
		$ENV{CDC_KAFKA_JARS} = $jars;
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>>', "$self->{folder}.log");
		open(STDERR, '>&', \*STDOUT);
		exec("$top/script/kafka-broker", 'run', $self->{folder}, $self->{port}, $self->{controller},
			@{ $self->{properties} }) or POSIX::_exit(127);
	}
	$running{$pid} = 1;
	$self->{pid} = $pid;
	my $deadline = time() + $timeout;
	until ($self->answers)
	{
		die "the Kafka broker did not start, see $self->{folder}.log"
		  if time() > $deadline || waitpid($pid, WNOHANG) == $pid;
		usleep(100_000);
	}
	return $self;
}

# Whether it knows itself as a broker that can be asked: metadata with one broker in it.
sub answers
{
	my ($self) = @_;
	my $answer = eval { $self->request(3, 1, pack('N', 0)) } or return 0;

	return unpack('x4N', $answer) == 1; # correlation id, number of brokers
}

sub stop
{
	my ($self) = @_;
	return $self->end('TERM');
}

sub kill9
{
	my ($self) = @_;
	return $self->end('KILL');
}

sub end
{
	my ($self, $signal) = @_;
	my $pid = delete $self->{pid} // return;
	my $deadline = time() + 30;

	kill $signal, $pid;
	until (waitpid($pid, WNOHANG) == $pid)
	{
		kill 'KILL', $pid if time() > $deadline;
		usleep(20_000);
	}
	delete $running{$pid};
	return;
}

END
{
	local $?;
	foreach my $pid (keys %running)
	{
		kill 'KILL', $pid;
		waitpid($pid, 0);
	}
}

# ------------------------------------------------------------------------------------------------
# Asking it: Kafka's protocol, in versions that are simple
# ------------------------------------------------------------------------------------------------

# request(API KEY, VERSION, BODY): the answer, from its correlation id on
sub request
{
	my ($self, $api, $version, $body) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => $self->address, Timeout => 5) or die "no broker: $!";
	my $message = pack('nnN n/a*', $api, $version, 1, 'test') . $body;
	my ($length, $answer) = ('', '');

	local $SIG{ALRM} = sub { die "no answer from the broker\n" };
	alarm 20;
	print $socket pack('N/a*', $message);
	$socket->flush;
	read($socket, $length, 4) == 4 or die 'the broker hung up';
	read($socket, $answer, unpack('N', $length)) == unpack('N', $length) or die 'the broker hung up';
	alarm 0;
	return $answer;
}

# create_topic(NAME, PARTITIONS, [CONFIG => VALUE...])
sub create_topic
{
	my ($self, $name, $partitions, %config) = @_;
	my $configs = join('', map { pack('n/a* n/a*', $_, $config{$_}) } sort keys %config);
	# CreateTopics version 2: one topic, replication factor 1, no assignments
	my $topic = pack('n/a* N n N', $name, $partitions, 1, 0) . pack('N', scalar keys %config) . $configs;
	my $answer = $self->request(19, 2, pack('N', 1) . $topic . pack('N C', 10_000, 0));
	my (undef, $error) = unpack('x4 x4 x4 n/a* n', $answer); # correlation id, throttle time, count

	die "topic $name was not created: error $error" if $error != 0;
	return;
}

# ------------------------------------------------------------------------------------------------
# Reading
# ------------------------------------------------------------------------------------------------

# end_offset(TOPIC): of partition 0, what is not committed included
sub end_offset
{
	my ($self, $topic) = @_;
	my ($stdout, $stderr) = ('', '');

	IPC::Run::run([ 'kcat', '-Q', '-b', $self->address, '-t', "$topic:0:-1" ],
		'<', \undef, '>', \$stdout, '2>', \$stderr, IPC::Run::timeout($timeout))
	  or die "kcat failed: $stderr";
	$stdout =~ /offset (\d+)/ or die "kcat says: $stdout";
	return $1;
}

# consume(TOPIC, [isolation => read_uncommitted]): all messages that are there, partition by partition: hashes of
# partition, offset, key, value (undef for none) and headers.  A topic that is missing has none.
sub consume
{
	my ($self, $topic, %options) = @_;
	my ($stdout, $stderr) = ('', '');
	my $isolation = $options{isolation} // 'read_committed';
	my @messages;

	IPC::Run::run(
		[ 'kcat', '-C', '-q', '-e', '-b', $self->address, '-t', $topic, '-o', 'beginning',
		  '-X', "isolation.level=$isolation", '-X', 'fetch.wait.max.ms=50',
		  '-f', '%p %o %K %S %h\n%k%s\n' ],
		'<', \undef, '>', \$stdout, '2>', \$stderr, IPC::Run::timeout($timeout))
	  or $stderr =~ /Unknown topic/ or die "kcat failed: $stderr";
	while ($stdout =~ /\G(\d+) (\d+) (-?\d+) (-?\d+) (.*)\n/gc)
	{
		my ($partition, $offset, $key_length, $length, $headers) = ($1, $2, $3, $4, $5);
		my %message = (
			partition => $partition, offset => $offset,
			headers => { map { split(/=/, $_, 2) } split(/,/, $headers) });
		my $at = pos $stdout;

		$message{key} = substr($stdout, $at, $key_length) if $key_length >= 0;
		$at += $key_length if $key_length > 0;
		$message{value} = substr($stdout, $at, $length) if $length >= 0;
		$at += $length if $length > 0;
		pos($stdout) = $at + 1;
		push @messages, \%message;
	}
	die 'what kcat printed ends oddly' unless pos($stdout) // 0 == length $stdout || $stdout eq '';
	return sort { $a->{partition} <=> $b->{partition} || $a->{offset} <=> $b->{offset} } @messages;
}

1;
