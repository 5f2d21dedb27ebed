# The server and the commands in doc/sink-grpc.md do what the page says.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use Cwd qw(abs_path getcwd);
use GrpcServer;
use IO::Socket::INET;
use POSIX qw();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = abs_path("$FindBin::RealBin/../..");
my $page = slurp_file("$top/doc/sink-grpc.md");
my ($server) = $page =~ /^```python\n(.*?)^```$/ms;
my ($protoc, $stream, $show) = $page =~ /^```sh\n(.*?)^```$/msg;
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $folder = PostgreSQL::Test::Utils::tempdir();
my $node = make_node('grpc_page');

# The page's database, port and programs are those of this test; Ctrl-C is --until=now.
s/\b50051\b/$port/g foreach $server, $stream;
my $client = client_binary();
my $db = $node->connstr('shop');
$stream =~ s/\bcdc_client stream --dbname=shop\b/$client stream --dbname="$db" --until=now --progress=off/ or die 'no command';
$show =~ s/\bpython3\b/$GrpcServer::python/ or die 'no command';
$protoc =~ s/=client\//=$top\/client\// or die 'no command';

# in_page(COMMANDS): in the folder, as one who reads the page
sub in_page
{
	my ($script) = @_;
	my $here = getcwd();

	delete local $ENV{CDC_CLIENT};
	chdir($folder);
	my ($stdout, $stderr) = run_command([ 'sh', '-e', '-c', $script ]);
	my $status = $?;
	chdir($here);
	is($status, 0, "the page's command") or diag("$script\n$stderr");
	return $stdout;
}

append_to_file("$folder/server.py", $server);
in_page($protoc);
my $pid = fork // die "could not fork: $!";
if ($pid == 0)
{
	chdir($folder);
	open(STDOUT, '>', "$folder/log");
	open(STDERR, '>&', \*STDOUT);
	exec($GrpcServer::python, 'server.py') or POSIX::_exit(127);
}
wait_until('the server', sub { IO::Socket::INET->new("127.0.0.1:$port") }) or diag(slurp_file("$folder/log"));

$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', 'CREATE TABLE orders (id int PRIMARY KEY, total numeric)');
in_page($stream);
$node->safe_psql('shop', 'INSERT INTO orders SELECT g, g FROM generate_series(1, 1000) g');
in_page($stream);
$node->safe_psql('shop', 'DELETE FROM orders WHERE id > 500');
in_page($stream);
my @rows = split(/\n/, in_page($show));
is(scalar @rows, 1500, 'each record is there once');
like($rows[-1], qr/^public\.orders 500 \{"op":"delete","source":"shop",.*"key":\{"id":1000\}/, 'as it was sent');

kill 'KILL', $pid;
waitpid($pid, 0);
$node->stop;
done_testing();
