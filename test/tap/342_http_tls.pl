# https: the endpoint is checked, the client can show a certificate, and what is wrong with either is said.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use Certificates;
use HttpReceiver;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = make_node('https');
my $db = conninfo($node, 'postgres');
my $certificates = make_certificates('server', 'client');
my $stranger = make_certificates('client');
my @server = ("$certificates/server.pem", "$certificates/server.key");
my $receiver = HttpReceiver->new(tls => [@server]);
my $strict = HttpReceiver->new(tls => [ @server, "$certificates/ca.pem" ]);
my $ca = "cdc.cafile=$certificates/ca.pem";

$node->safe_psql('postgres', 'CREATE TABLE t (id int)');
create_slot($node, 'postgres', 'cdc');
$node->safe_psql('postgres', 'INSERT INTO t SELECT generate_series(1, 5000)');

# stream(URI): (exit code, log)
sub stream
{
	return run_client($db, 'cdc', $_[0], '--until=now', '--retry-for=0');
}

my ($code, $log) = stream($receiver->url);
is($code, 2, 'an authority that is not known');
like($log, qr{ERROR .*POST https://localhost:\d+/cdc .*failed: .*certificate}, 'is refused');
like($log, qr/HINT .*cdc\.cafile/, 'and the way out said');
($code, $log) = stream($receiver->url("cdc.cafile=$certificates/nosuch.pem"));
is($code, 1, 'a file that is not there');
like($log, qr/HINT .*cdc\.cafile/, 'is named');
(my $elsewhere = $receiver->url($ca)) =~ s/localhost/127.0.0.1/;
($code, $log) = stream($elsewhere);
is($code, 2, 'another name than the certificate\'s is refused');
like($log, qr/failed: .*127\.0\.0\.1/, 'and which is said');
($code, $log) = stream($strict->url($ca));
isnt($code, 0, 'an endpoint that wants a certificate');
($code, $log) = stream($strict->url("$ca&cdc.cert=$stranger/client.pem&cdc.key=$stranger/client.key"));
isnt($code, 0, 'that of another authority does not do');
($code, $log) = stream($strict->url("$ca&cdc.cert=$certificates/client.pem&cdc.key=$certificates/nosuch.key"));
is($code, 1, 'a key that is not there');
like($log, qr/HINT .*cdc\.key/, 'is named');
is(scalar $receiver->records + $strict->records, 0, 'none of these got anything');

($code, $log) = stream($strict->url("$ca&cdc.cert=$certificates/client.pem&cdc.key=$certificates/client.key"));
is($code, 0, 'with the right one') or diag($log);
is(scalar $strict->records, 5000, 'everything arrives');
$node->safe_psql('postgres', 'INSERT INTO t VALUES (0)');
($code, $log) = stream($receiver->url($ca));
is($code, 0, 'and where none is wanted') or diag($log);
is(scalar $receiver->records, 1, 'too');
is(join(' ', map { $_->{alpn} } $receiver->requests), 'http/1.1', 'HTTP/1.1 is asked for, also where HTTP/2 could be had');

$node->stop;
done_testing();
