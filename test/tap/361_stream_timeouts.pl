# --receive-timeout and wal_sender_timeout together: a server that decodes what is not selected is no dead one.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = make_node('timeouts');
my $dir = PostgreSQL::Test::Utils::tempdir();
my $db = conninfo($node, 'postgres');
my ($code, $log);

# A row filter that is slow, and true of one row only: decoding takes seconds, in which nothing is sent.
$node->safe_psql('postgres', q{
	CREATE TABLE t (id int PRIMARY KEY, v text);
	ALTER TABLE t REPLICA IDENTITY FULL;
	CREATE PUBLICATION p FOR TABLE t WHERE (v = 'yes' OR md5(repeat(v, 200000)) = '')});
create_slot($node, 'postgres', $_) foreach 's', 'fixed';
$node->safe_psql('postgres', q{
	INSERT INTO t SELECT g, 'no' FROM generate_series(1, 4000) g;
	INSERT INTO t VALUES (0, 'yes')});

my $started = time();
($code, $log) = run_client($db, 's', "file://$dir/s", '--publication_names=p', '--until=now', '--receive-timeout=1s',
	'--retry-for=0');
is($code, 0, 'a transaction of which nothing is selected, and a short --receive-timeout') or diag($log);
like(slurp_bytes("$dir/s"), qr/\A\{[^\n]*"id":0,[^\n]*\n\z/, 'what comes behind it is delivered');
cmp_ok(time() - $started, '>=', 2, 'decoding took longer than the timeout');

# where the timeout of the connection is the user's, the client bows to it
my $fixed = conninfo($node, 'postgres', options => '-c wal_sender_timeout=8s');
($code, $log) = run_client($fixed, 'fixed', "file://$dir/fixed", '--publication_names=p', '--until=now',
	'--receive-timeout=1s', '--retry-for=0');
is($code, 0, 'a wal_sender_timeout of the user\'s') or diag($log);
like($log, qr/WARNING --receive-timeout is 1\.0 s, but .*set to 8\.0 s.*taking 6\.0 s/, 'what follows is said');

$node->stop;
done_testing();
