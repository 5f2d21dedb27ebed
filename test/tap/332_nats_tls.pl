# The NATS sink over TLS; records that no server takes, beside the stream; several servers; and what
# doc/sink-nats.md says to type.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use Certificates;
use NatsServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = make_node('nats_tls', 'wal_sender_timeout = 2s');
my $db = conninfo($node, 'postgres', options => '-c wal_sender_timeout=2s');
my ($code, $log);

$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY, v text)');
create_slot($node, 'postgres', 's');
$node->safe_psql('postgres', 'INSERT INTO t SELECT g FROM generate_series(1, 2000) g');

my $certificates = make_certificates('server', 'client');
my $stranger = make_certificates('client');
my $tls = NatsServer->new(no_client => 1, conf => <<"END_CONF");
tls {
	cert_file: "$certificates/server.pem"
	key_file: "$certificates/server.key"
	ca_file: "$certificates/ca.pem"
	verify: true
}
END_CONF
# the certificate is of localhost
my $host = "nats://localhost:$tls->{port}";
my $own = "tls-cert=$certificates/client.pem&tls-key=$certificates/client.key";
my $ca = "tls-ca=$certificates/ca.pem";
foreach my $case (
	[ 'TLS that the server wants, without its authority', '', qr/SSL/ ],
	[ 'an authority that is not known', "?tls=on&$own", qr/SSL/ ],
	[ 'another authority', "?tls=on&$own&tls-ca=$stranger/ca.pem", qr/SSL/ ],
	[ 'a key without its certificate', "?tls=on&$ca&tls-key=$certificates/client.key", qr/given together/ ])
{
	my ($name, $query, $message) = @$case;
	($code, $log) = run_client($db, 's', "$host/cdc.{table}$query", '--until=now', '--retry-for=0');
	is($code, 1, "$name: exit code 1") or diag($log);
	like($log, $message, "$name: says so");
}
($code, $log) = run_client($db, 's', "$host/cdc.{table}?tls=on&$ca", '--until=now', '--retry-for=0');
isnt($code, 0, 'no certificate of its own: refused by the server');
($code, $log) = run_client($db, 's', "nats://127.0.0.1:$tls->{port}/cdc.{table}?tls=on&$ca&$own", '--until=now', '--retry-for=0');
is($code, 1, 'a host that is not in the certificate: exit code 1');
($code, $log) = run_client($db, 's', "$host/cdc.{table}?tls=on&$ca&$own", '--until=now');
is($code, 0, 'delivers over TLS') or diag($log);
like($log, qr/2000 records/, 'all of it');
$node->safe_psql('postgres', 'INSERT INTO t SELECT g FROM generate_series(2001, 2003) g');
($code, $log) = run_client($db, 's', "$host/cdc.{table}?tls=on&$ca&$own", '--until=now');
like($log, qr/3 records/, 'and goes on');
($code, $log) = run_client($db, 's', "$host/cdc.{table}?credentials=/no/such.creds&tls=on&$ca&$own", '--until=now', '--retry-for=0');
isnt($code, 0, 'credentials that are not there');
like($log, qr{/no/such.creds|credentials}, 'are named');

# a server that stops in the midst of it: the library waits where TLS is concerned, but not the client
create_slot($node, 'postgres', 'stops');
$node->safe_psql('postgres', "INSERT INTO t SELECT g, repeat('v', 200) FROM generate_series(10001, 70000) g");
my $streaming = start_client($db, 'stops', "$host/stops.{table}?tls=on&$ca&$own", args => ['--max-in-flight=4MiB']);
wait_log($streaming, qr/streaming slot/);
usleep(100_000);
$tls->signal('STOP');
my $pid = walsender_pid($node, 'postgres', 'stops');
ok($node->poll_query_until('postgres',
		"SELECT backend_start < now() - interval '3 s' AND reply_time > now() - interval '1 s'
		 FROM pg_stat_replication WHERE pid = $pid"),
	'a stopped server: PostgreSQL hears from the client all the same');
$tls->signal('CONT');
$node->safe_psql('postgres', 'INSERT INTO t VALUES (80000)');
my $end = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
ok($node->poll_query_until('postgres',
		"SELECT confirmed_flush_lsn >= '$end' FROM pg_replication_slots WHERE slot_name = 'stops'"),
	'everything is delivered when it goes on');
is(walsender_pid($node, 'postgres', 'stops'), $pid, 'and the connection is the same');
is(kill_client($streaming, 'TERM'), 0, 'ends on request');
like(client_log($streaming), qr/: 60001 records/, 'with each record once');
$tls->stop;

# a server of several, and a record that goes beside
my $nats = NatsServer->new;
my $file = PostgreSQL::Test::Utils::tempdir() . '/refused.ndjson';
my $sink = "nats://127.0.0.1:1,127.0.0.1:$nats->{port},localhost:2/beside.{table}";
create_slot($node, 'postgres', 'beside');
$node->safe_psql('postgres', "INSERT INTO t SELECT g, repeat('x', CASE g WHEN 3002 THEN 2000000 ELSE 2 END) FROM generate_series(3001, 3003) g");
($code, $log) = run_client($db, 'beside', $sink, '--until=now');
is($code, 2, 'a record too large: exit code 2');
like($log, qr/with headers \d+, and stream "beside" takes 1048576 at most/, 'says why');
($code, $log) = run_client($db, 'beside', $sink, '--until=now', "--on-error=dead-letter:file://$file");
is($code, 0, '--on-error=dead-letter, by the one of three servers that is there') or diag($log);
is(join(' ', map { $_->{data} =~ /"after":\{"id":(\d+)/ } @{ $nats->messages('beside') }), '3001 3003', 'the others are delivered');
like(slurp_file($file), qr/takes 1048576 at most/, 'and that one lies beside');

# refused only by the server, in the midst of others: told one by one which it was
$nats->make_stream('shrinks', ['shrinks.*']);
create_slot($node, 'postgres', 'shrinks');
my $other = "$file.2";
my $client = start_client($db, 'shrinks', $nats->uri('/shrinks.{table}'), args => ["--on-error=dead-letter:file://$other"]);
wait_log($client, qr/streaming slot/);
$nats->api('STREAM.UPDATE.shrinks', { %{ $nats->api('STREAM.INFO.shrinks')->{config} }, max_msg_size => 2000 });
$node->safe_psql('postgres', "INSERT INTO t SELECT g, repeat('x', CASE WHEN g = 4203 THEN 3000 ELSE 3 END) FROM generate_series(4001, 4500) g");
wait_until('the last of them', sub { $nats->last_sequence('shrinks') == 499 });
is(kill_client($client, 'TERM'), 0, 'ends on request');
is(join(' ', map { $_->{data} =~ /"after":\{"id":(\d+)/ } @{ $nats->messages('shrinks') }),
	join(' ', 4001 .. 4202, 4204 .. 4500), 'one of many refused by the server: the others are delivered');
like(slurp_file($other), qr/"id":4203/, 'and that one lies beside');

# the page
my @commands = slurp_file("$FindBin::RealBin/../../doc/sink-nats.md") =~ /^```sh\n(.*?)^```$/msg;
my $program = client_binary();
my $shop = $node->connstr('shop');
is(scalar @commands, 1, 'the page has a command');
$commands[0] =~ s{\bcdc_client stream --dbname=shop\b}{$program stream --dbname="$shop" --until=now --progress=off} or die 'no command';
$commands[0] =~ s{nats://localhost/}{$nats->uri('/')}e or die 'no URI';
$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', 'CREATE TABLE orders (id int PRIMARY KEY, total numeric)');
foreach my $round (1 .. 2)
{
	delete local $ENV{CDC_CLIENT};
	my ($stdout, $stderr) = run_command([ 'sh', '-e', '-c', $commands[0] ]);
	is($?, 0, 'the page\'s command') or diag($stderr);
	$node->safe_psql('shop', 'INSERT INTO orders VALUES (1, 9.50), (2, 8)') if $round == 1;
}
my $info = $nats->api('STREAM.INFO.cdc');
is("@{ $info->{config}{subjects} } $info->{config}{storage} $info->{state}{messages}", 'cdc.*.* file 2', 'makes the stream that the page says');
like($nats->messages('cdc')->[0]{data}, qr/"table":"orders",.*"after":\{"id":1,"total":"9.50"\}\}$/, 'delivers');
is($nats->position('cdc')->{slot}, 'shop_nats', 'and keeps the position where the page says');

$node->stop;
$nats->stop;
done_testing();
