# GrpcServer: a gRPC server that takes records, misbehaves as it is told, and keeps what it got in SQLite
# (test/e2e/grpc_server.py).
package GrpcServer;

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use JSON::PP ();
use POSIX qw();
use PostgreSQL::Test::Utils;

use CdcStream;
use CdcTest;

my $top = abs_path(dirname(abs_path(__FILE__)) . '/../../..');

# Debian's own: that is where its Python modules are.
our $python = '/usr/bin/python3';

# new([tls => [CERT, KEY, CLIENTS-CA], path => '/{table}']): started
sub new
{
	my ($class, %options) = @_;
	my $self = bless { folder => PostgreSQL::Test::Utils::tempdir(), port => 0, path => '', tls => [], %options }, $class;

	my ($stdout, $stderr) = run_command(
		[ 'protoc', "--proto_path=$top/client/grpc", "--python_out=$self->{folder}", 'cdc_sink.proto' ]);
	die "protoc failed: $stderr" if $?;
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
		exec($python, "$top/test/e2e/grpc_server.py", 'serve', $folder, $self->{port}, @{ $self->{tls} })
		  or POSIX::_exit(127);
	}
	$self->{pid} = $pid;
	wait_until('the server to listen', sub { -e "$folder/port" || waitpid($pid, POSIX::WNOHANG) > 0 });
	die slurp_file("$folder/log") unless -e "$folder/port";
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
	my ($scheme, $host) = @{ $self->{tls} } ? ('grpcs', 'localhost') : ('grpc', '127.0.0.1');

	return "$scheme://$host:$self->{port}$self->{path}" . (defined $query ? "?$query" : '');
}

# behave(NAME => VALUE...): from now on, also in streams that are open
sub behave
{
	my ($self, %behaviour) = @_;
	my $file = "$self->{folder}/behaviour";

	unlink "$file.new";
	append_to_file("$file.new", JSON::PP::encode_json(\%behaviour));
	rename("$file.new", $file) or die "could not rename: $!";
	return;
}

# dump([COLUMN...]): of all records in the order of their arrival, a line each; their value without columns
sub dump
{
	my ($self, @columns) = @_;
	my ($stdout, $stderr) = run_command(
		[ $python, "$top/test/e2e/grpc_server.py", 'dump', $self->{folder}, join(',', @columns) || 'value' ]);

	die "dump failed: $stderr" if $?;
	return split(/\n/, $stdout);
}

# schemas(COLUMN...): the same of the schema records
sub schemas
{
	my ($self, @columns) = @_;
	my ($stdout, $stderr) = run_command([
		$python, "$top/test/e2e/grpc_server.py", 'dump', $self->{folder}, join(',', @columns), 'schemas' ]);

	die "dump failed: $stderr" if $?;
	return split(/\n/, $stdout);
}

# The streams there were: a hash each.
sub streams
{
	my ($self) = @_;
	my $file = "$self->{folder}/streams";

	return -e $file ? map { JSON::PP::decode_json($_) } @{ read_lines($file) } : ();
}

sub DESTROY
{
	my ($self) = @_;
	local $?;
	$self->stop;
	return;
}

1;
