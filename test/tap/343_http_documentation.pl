# The receiver and the commands in doc/sink-http.md do what the page says.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use Cwd qw(getcwd);
use HttpReceiver;
use IO::Socket::INET;
use POSIX qw();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $page = slurp_file("$FindBin::RealBin/../../doc/sink-http.md");
my ($receiver) = $page =~ /^```python\n(.*?)^```$/ms;
my @commands = $page =~ /^```sh\n(.*?)^```$/msg;
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $folder = PostgreSQL::Test::Utils::tempdir();
my $node = make_node('http_page');

# The page's database, port and program are those of this test; Ctrl-C is --until=now.
s/\b8080\b/$port/g foreach $receiver, @commands;
my $client = client_binary();
my $db = $node->connstr('shop');
$commands[0] =~ s/\bcdc_client stream --dbname=shop\b/$client stream --dbname="$db" --until=now --progress=off/ or die 'no command';
$commands[1] =~ s/\bpython3\b/$HttpReceiver::python/ or die 'no command';

append_to_file("$folder/receiver.py", $receiver);
my $pid = fork // die "could not fork: $!";
if ($pid == 0)
{
	chdir($folder);
	open(STDOUT, '>', "$folder/log");
	open(STDERR, '>&', \*STDOUT);
	exec($HttpReceiver::python, 'receiver.py') or POSIX::_exit(127);
}
wait_until('the receiver', sub { IO::Socket::INET->new("127.0.0.1:$port") }) or diag(slurp_file("$folder/log"));

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

$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', 'CREATE TABLE orders (id int PRIMARY KEY, total numeric)');
in_page($commands[0]);
$node->safe_psql('shop', 'INSERT INTO orders SELECT g, g FROM generate_series(1, 1000) g');
$node->safe_psql('shop', "SELECT pg_copy_logical_replication_slot('shop_web', 'again')");
in_page($commands[0]);
# the same once more, as after a crash: the slot goes back to where it was
$node->safe_psql('shop', "SELECT pg_drop_replication_slot('shop_web'); SELECT pg_copy_logical_replication_slot('again', 'shop_web')");
in_page($commands[0]);
my @rows = split(/\n/, in_page($commands[1]));
is(scalar @rows, 1000, 'each record is there once');
like($rows[-1], qr/^\S+ 1000 \{"op":"insert","source":"shop",.*"after":\{"id":1000,"total":"1000"\}\}$/, 'with its identity');

# Without the secret the receiver refuses.
my ($code) = run_client($db, 'again', "http://127.0.0.1:$port/cdc", '--until=now');
is($code, 2, 'unsigned requests are refused');

kill 'KILL', $pid;
waitpid($pid, 0);
$node->stop;
done_testing();
