# grpcs: the server is checked, the client can show a certificate, and what is wrong with either is said.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use Certificates;
use GrpcServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = make_node('grpcs');
my $db = conninfo($node, 'postgres');
my $certificates = make_certificates('server', 'client');
my $stranger = make_certificates('client');
my @server = ("$certificates/server.pem", "$certificates/server.key");
my $server = GrpcServer->new(tls => [@server]);
my $strict = GrpcServer->new(tls => [ @server, "$certificates/ca.pem" ]);
my $ca = "cafile=$certificates/ca.pem";

$node->safe_psql('postgres', 'CREATE TABLE t (id int)');
create_slot($node, 'postgres', 'cdc');
$node->safe_psql('postgres', 'INSERT INTO t SELECT generate_series(1, 5000)');

# stream(URI): (exit code, log)
sub stream
{
	return run_client($db, 'cdc', $_[0], '--until=now', '--retry-for=0');
}

my ($code, $log) = stream($server->url);
is($code, 2, 'an authority that is not known is refused');
like($log, qr/UNAVAILABLE: .*certificate verify failed/, 'and it is said');
like($log, qr/HINT .*cafile/, 'and the way out');
($code, $log) = stream($server->url("cafile=$certificates/nosuch.pem"));
is($code, 1, 'a file that is not there');
like($log, qr/could not open "\S+nosuch\.pem" \(cafile\)/, 'is named');
($code, $log) = stream($server->url("cafile=$certificates/san"));
is($code, 1, 'a file that is no certificate');
like($log, qr/"\S+san" \(cafile\) is not a PEM file/, 'is named too');
(my $elsewhere = $server->url($ca)) =~ s/localhost/127.0.0.1/;
($code, $log) = stream($elsewhere);
is($code, 2, 'another name than the certificate\'s is refused');
like($log, qr/127\.0\.0\.1 is not in peer certificate/, 'and which is said');
($code, $log) = stream($strict->url($ca));
isnt($code, 0, 'a server that wants a certificate');
($code, $log) = stream($strict->url("$ca&cert=$stranger/client.pem&key=$stranger/client.key"));
isnt($code, 0, 'that of another authority does not do');
is(scalar $server->dump + $strict->dump, 0, 'none of these got anything');

($code, $log) = stream($strict->url("$ca&cert=$certificates/client.pem&key=$certificates/client.key"));
is($code, 0, 'with the right one') or diag($log);
is(scalar $strict->dump, 5000, 'everything arrives');
$node->safe_psql('postgres', 'INSERT INTO t VALUES (0)');
($code, $log) = stream("$elsewhere&authority=localhost");
is($code, 0, 'under the name that the certificate has') or diag($log);
is(scalar $server->dump, 1, 'too');

$node->stop;
done_testing();
