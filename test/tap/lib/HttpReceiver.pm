# HttpReceiver: an HTTP endpoint that takes records, misbehaves as it is told, and writes down what it got
# (test/e2e/http_receiver.py).
package HttpReceiver;

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use HTTP::Tiny ();
use JSON::PP ();
use POSIX qw();
use PostgreSQL::Test::Utils;

use CdcStream;
use CdcTest;

my $top = abs_path(dirname(abs_path(__FILE__)) . '/../../..');

# Debian's own: that is where its Python modules are.
our $python = '/usr/bin/python3';

# new([tls => [CERT, KEY, CLIENTS-CA], path => '/cdc']): started
sub new
{
	my ($class, %options) = @_;
	my $self = bless {
		folder => PostgreSQL::Test::Utils::tempdir(), port => 0, path => '/cdc', tls => [], %options }, $class;

	$self->start;
	return $self;
}

# Starts it (again), on the port that it had.
sub start
{
	my ($self) = @_;
	my $folder = $self->{folder};

	unlink "$folder/port";
	my $pid = fork // die "could not fork: $!";
	if ($pid == 0)
	{
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>>', "$folder/log");
		open(STDERR, '>&', \*STDOUT);
		exec($python, "$top/test/e2e/http_receiver.py", $folder, $self->{port}, @{ $self->{tls} })
		  or POSIX::_exit(127);
	}
	$self->{pid} = $pid;
	wait_until('the receiver to listen', sub { -e "$folder/port" }) or die slurp_file("$folder/log");
	$self->{port} = slurp_file("$folder/port");
	return;
}

# stop([SIGNAL]): ends it, by SIGKILL if nothing else is said
sub stop
{
	my ($self, $signal) = @_;
	my $pid = delete $self->{pid} // return;

	kill $signal // 'KILL', $pid;
	waitpid($pid, 0);
	return;
}

sub url
{
	my ($self, $query) = @_;
	my ($scheme, $host) = @{ $self->{tls} } ? ('https', 'localhost') : ('http', '127.0.0.1');

	return "$scheme://$host:$self->{port}$self->{path}" . (defined $query ? "?$query" : '');
}

# behave(NAME => VALUE...): from now on
sub behave
{
	my ($self, %behaviour) = @_;
	my $answer = HTTP::Tiny->new(no_proxy => ['127.0.0.1'])->put("http://127.0.0.1:$self->{port}/control",
		{ content => JSON::PP::encode_json(\%behaviour) });

	die "the receiver does not behave: $answer->{content}" unless $answer->{success};
	return;
}

# The file of all that was taken, a record a line.
sub records_file
{
	my ($self) = @_;
	my $file = "$self->{folder}/records";

	append_to_file($file, '') unless -e $file;
	return $file;
}

sub records
{
	my ($self) = @_;
	return @{ read_lines($self->records_file) };
}

sub requests
{
	my ($self) = @_;
	my $file = "$self->{folder}/requests";

	return -e $file ? map { JSON::PP::decode_json($_) } @{ read_lines($file) } : ();
}

# Forgets what came so far.
sub clear
{
	my ($self) = @_;
	unlink map { "$self->{folder}/$_" } qw(records requests);
	return;
}

sub DESTROY
{
	my ($self) = @_;
	local $?;
	$self->stop;
	return;
}

1;
