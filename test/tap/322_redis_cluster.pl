# The Redis sink in a cluster; records that no server takes, beside the stream; and what doc/sink-redis.md says
# to type.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RedisServer;
use Test::More;

my $node = make_node('redis_cluster');
my $db = conninfo($node, 'postgres');
my ($code, $log);

$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE u (id int PRIMARY KEY)');
create_slot($node, 'postgres', 's');
create_slot($node, 'postgres', 'across');

# two nodes, each with half of the slots
my %conf = ('cluster-enabled' => 'yes', 'cluster-config-file' => 'nodes.conf', 'cluster-node-timeout' => 1000);
my @nodes = map { RedisServer->new(%conf) } 1 .. 2;
$nodes[0]->command('CLUSTER', 'ADDSLOTSRANGE', 0, 8191);
$nodes[1]->command('CLUSTER', 'ADDSLOTSRANGE', 8192, 16383);
$nodes[0]->command('CLUSTER', 'MEET', '127.0.0.1', $nodes[1]{port}, $nodes[1]{conf}{'cluster-port'});
foreach my $redis (@nodes)
{
	wait_until('the cluster', sub { $redis->command('CLUSTER', 'INFO') =~ /cluster_state:ok/ })
	  or BAIL_OUT('no cluster');
}
my $slot = $nodes[0]->command('CLUSTER', 'KEYSLOT', '{cdc}');
my ($home, $away) = $slot < 8192 ? @nodes : reverse @nodes;

$node->safe_psql('postgres', 'INSERT INTO t VALUES (1), (2); INSERT INTO u VALUES (3)');
($code, $log) = run_client($db, 's', $away->uri, '--until=now');
is($code, 0, 'named a node that does not have the keys') or diag($log);
is($home->command('XLEN', '{cdc}:public.t'), 2, 'goes where they are');
$node->safe_psql('postgres', 'INSERT INTO t VALUES (4)');
($code, $log) = run_client($db, 's', $home->uri, '--until=now');
is($code, 0, 'named the other') or diag($log);
is($home->command('XLEN', '{cdc}:public.t'), 3, 'goes on there');
$node->safe_psql('postgres', 'INSERT INTO t VALUES (5)');
($code, $log) = run_client($db, 'across', $home->uri('/cdc:{schema}.{table}'), '--until=now');
is($code, 1, 'keys in several slots: exit code 1');
like($log, qr/CROSSSLOT/, 'says so');
like($log, qr/HINT .*one hash tag/, 'and what to do');
$node->safe_psql('postgres', 'INSERT INTO t VALUES (6)');
($code, $log) = run_client($db, 'across', $away->uri('/one'), '--until=now');
is($code, 0, 'one stream needs no tag') or diag($log);
is(($nodes[0]->command('CLUSTER', 'KEYSLOT', 'one') < 8192 ? $nodes[0] : $nodes[1])->command('XLEN', 'one'), 6, 'delivered');
$_->stop foreach @nodes;

# a record that the server does not take goes beside
my $redis = RedisServer->new('proto-max-bulk-len' => '1mb');
my $file = PostgreSQL::Test::Utils::tempdir() . '/refused.ndjson';
create_slot($node, 'postgres', 'beside');
$node->safe_psql('postgres', "INSERT INTO t SELECT g, repeat('x', CASE g WHEN 12 THEN 2000000 ELSE 2 END) FROM generate_series(11, 13) g");
($code, $log) = run_client($db, 'beside', $redis->uri('/x'), '--until=now');
is($code, 2, 'a record too large: exit code 2');
like($log, qr/the record has \d+ bytes, and Redis at \S+ takes 1048576 at most/, 'says why');
($code, $log) = run_client($db, 'beside', $redis->uri('/x'), '--until=now', "--on-error=dead-letter:file://$file");
is($code, 0, '--on-error=dead-letter') or diag($log);
is(join(' ', map { $_->[1] =~ /"after":\{"id":(\d+)/ } @{ $redis->entries('x') }), '11 13', 'the others are delivered');
like(slurp_file($file), qr/takes 1048576 at most/, 'and that one lies beside');
$redis->stop;

# the page
$redis = RedisServer->new;
my @commands = slurp_file("$FindBin::RealBin/../../doc/sink-redis.md") =~ /^```sh\n(.*?)^```$/msg;
my $client = client_binary();
my $shop = $node->connstr('shop');
is(scalar @commands, 3, 'the page has three commands');
$commands[0] =~ s{\bcdc_client stream --dbname=shop\b}{$client stream --dbname="$shop" --until=now --progress=off} or die 'no command';
$commands[0] =~ s{redis://localhost/}{$redis->uri('/')}e or die 'no URI';
s/\bredis-cli\b/redis-cli -p $redis->{port}/ foreach @commands;

sub run_command_of_page
{
	my ($command) = @_;

	delete local $ENV{CDC_CLIENT};
	my ($stdout, $stderr) = run_command([ 'sh', '-e', '-c', $command ]);
	is($?, 0, 'the page\'s command') or diag("$command\n$stderr");
	return $stdout;
}

$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', 'CREATE TABLE orders (id int PRIMARY KEY, total numeric)');
run_command_of_page($commands[0]);
$node->safe_psql('shop', 'INSERT INTO orders VALUES (1, 9.50), (2, 8)');
run_command_of_page($commands[0]);
my @lines = split(/\n/, run_command_of_page($commands[1]));
like($lines[2], qr/^\{"op":"insert","source":"shop","schema":"public","table":"orders",.*"after":\{"id":1,"total":"9.50"\}\}$/, 'shows what arrived');
is(scalar @lines, 6, 'two entries of one field');
like(run_command_of_page($commands[2]), qr/"database":"shop","slot":"shop_redis"/, 'shows how far it is');

$node->stop;
$redis->stop;
done_testing();
