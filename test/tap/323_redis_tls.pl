# rediss://: the server is checked, the client can show a certificate, and records arrive once over lost
# connections as they do without TLS.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use Certificates;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RedisServer;
use Test::More;

my $node = make_node('redis_tls');
my $db = conninfo($node, 'postgres');
my $certificates = make_certificates('server', 'client');
my $stranger = make_certificates('client');
my $port = PostgreSQL::Test::Cluster::get_free_port();
# the plain port is the test's own
my $redis = RedisServer->new(
	'tls-port' => $port, 'tls-cert-file' => "$certificates/server.pem", 'tls-key-file' => "$certificates/server.key",
	'tls-ca-cert-file' => "$certificates/ca.pem", 'tls-auth-clients' => 'yes');
$redis->command('CONFIG', 'SET', 'requirepass', 'se@cret');
$redis->command('AUTH', 'se@cret');

$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY, v text)');
create_slot($node, 'postgres', 's');
$node->safe_psql('postgres', 'INSERT INTO t SELECT g FROM generate_series(1, 2000) g');

# uri(QUERY, [HOST])
sub uri
{
	my ($query, $host) = @_;
	return 'rediss://:se%40cret@' . ($host // 'localhost') . ":$port/orders?$query";
}

my $ca = "tls-ca=$certificates/ca.pem";
my $own = "tls-cert=$certificates/client.pem&tls-key=$certificates/client.key";
# with TLS 1.3 the server says so behind the handshake, and may be gone before that is read
my $refused = qr/TLS with Redis at localhost:\d+ failed.*HINT .*tls-cert and tls-key|Redis at localhost:\d+ (?:failed|has closed)/s;
foreach my $case (
	[ 'an authority that is not known', 1, uri($own), qr/certificate of Redis at localhost:\d+ is not trusted: .*HINT .*tls-ca=FILE/s ],
	[ 'another authority', 1, uri("tls-ca=$stranger/ca.pem&$own"), qr/is not trusted/ ],
	[ 'an address that is not in the certificate', 1, uri("$ca&$own", '127.0.0.1'), qr/127\.0\.0\.1:\d+ is not trusted: .*mismatch/i ],
	[ 'no certificate of ours', 3, uri($ca), $refused ],
	[ 'one of another authority', 3, uri("$ca&tls-cert=$stranger/client.pem&tls-key=$stranger/client.key"), $refused ],
	[ 'a file that is not there', 1, uri("tls-ca=$certificates/nosuch.pem"), qr/tls-ca ".*nosuch\.pem" in the sink's URI cannot be used/ ],
	[ 'a key that is not the certificate\'s', 1, uri("$ca&tls-cert=$certificates/client.pem&tls-key=$stranger/client.key"),
		qr/tls-key ".*client\.key" in the sink's URI cannot be used: key values mismatch/ ],
	[ 'a port without TLS', 3, "rediss://localhost:$redis->{port}/orders?$ca", qr/has not answered for 10 s.*HINT .*may have no TLS on this port/s ])
{
	my ($name, $expected, $uri, $message) = @$case;
	my ($code, $log) = run_client($db, 's', $uri, '--until=now', '--retry-for=0');

	is($code, $expected, "$name: exit code $expected") or diag($log);
	like($log, $message, "$name: says so");
	unlike($log, qr/se(%40|@)cret/, "$name: no password");
}
is($redis->command('EXISTS', 'orders'), 0, 'none of these wrote anything');

sub ids
{
	return join(' ', map { $_->[1] =~ /"after":\{"id":(\d+)/ } @{ $redis->entries('orders') });
}

my ($code, $log) = run_client($db, 's', uri("$ca&$own"), '--until=now');
is($code, 0, 'over TLS') or diag($log);
is(ids(), join(' ', 1 .. 2000), 'everything arrives, in order');

# more than a socket takes at once, and a record of many TLS records
$node->safe_psql('postgres', "INSERT INTO t SELECT g, repeat(md5(g::text), 100) FROM generate_series(2001, 6000) g");
$node->safe_psql('postgres', "INSERT INTO t VALUES (6001, repeat('x', 5000000))");
my $client = start_client($db, 's', uri("$ca&$own"), args => [ '--commit-interval=0' ]);
wait_until('in the middle', sub { $redis->command('XLEN', 'orders') > 2500 });
$redis->command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
wait_until('it goes on after a lost connection', sub { $redis->command('XLEN', 'orders') > 3000 });
kill_client($client, 'KILL');
($code, $log) = run_client($db, 's', uri("$ca&$own"), '--until=now');
is($code, 0, 'and after kill -9') or diag($log);
is(ids(), join(' ', 1 .. 6001), 'each record once, in order');
is(length(($redis->entries('orders')->[-1][1] =~ /"v":"(x+)"/)[0]), 5000000, 'a large one too');
$node->safe_psql('postgres', 'INSERT INTO t VALUES (6002)');
my ($stdout, $stderr) = run_command([ client_binary(), 'status', "--dbname=$db", '--slot=s', '--sink=' . uri("$ca&$own") ]);
like($stdout, qr/confirmed/, 'status looks over TLS') or diag($stderr);
$node->stop;
done_testing();
