# What the connection is told and how it is waited for: positions, large messages, outputs that hang up,
# several servers, and what a signal ends.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcProxy;
use CdcStream;
use CdcTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket qw(AF_UNIX PF_UNSPEC SOCK_STREAM);
use Test::More;
use Time::HiRes qw(time);

my $node = make_node('connection');
my $dir = PostgreSQL::Test::Utils::tempdir();
my $db = conninfo($node, 'postgres');
my ($code, $log, $client, $walsender);

$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY, v text)');
create_slot($node, 'postgres', 's');

sub reported
{
	my ($condition) = @_;
	return "SELECT $condition FROM pg_stat_replication WHERE pid = $walsender";
}

# Written is what was received, and not what the server has besides.
$node->safe_psql('postgres', "INSERT INTO t SELECT g, repeat('v', 100) FROM generate_series(1, 100000) g");
my $end = $node->safe_psql('postgres', 'INSERT INTO t VALUES (0); SELECT pg_current_wal_insert_lsn()');
pipe(my $reader, my $writer);
$client = start_client($db, 's', '-', stdout => $writer);
close($writer);
my $seen = read_piece($reader, 100);
$walsender = walsender_pid($node, 'postgres', 's');
ok($node->poll_query_until('postgres', reported('write_lsn IS NOT NULL')), 'a reader that stops: the server is told');
is($node->safe_psql('postgres', reported("write_lsn < '$end'")), 't', 'no more is told as written than was received');
until ($seen =~ /"id":0,/)
{
	my $piece = read_piece($reader, 1_000_000);
	last if $piece eq '';
	$seen = substr($seen, -20) . $piece;
}
ok($node->poll_query_until('postgres', reported("write_lsn >= '$end' AND flush_lsn >= '$end'")),
	'and all of it, when it was read');
# nothing of this is for the client, but written it has in the end all the same
$end = $node->safe_psql('postgres', 'CREATE TABLE nothing (); SELECT pg_current_wal_insert_lsn()');
ok($node->poll_query_until('postgres', reported("write_lsn >= '$end'")), 'an idle stream moves on');
is(kill_client($client, 'TERM'), 0, 'ends on request');
close($reader);

# A message may take longer than the timeout, if only its bytes keep coming.
my $proxy = CdcProxy->new($node);
my $slow = conninfo($node, 'postgres', host => $proxy->{host});
$node->safe_psql('postgres', "INSERT INTO t VALUES (-1, repeat('large', 1000000))");
$client = start_client($slow, 's', "file://$dir/large", args => [ '--until=now', '--receive-timeout=1s', '--retry-for=20s' ]);
wait_log($client, qr/streaming slot/);
$proxy->command('slow');
is(wait_client($client), 0, 'a message that takes longer than --receive-timeout arrives');
unlike(client_log($client), qr/nothing has come/, 'without being taken for silence');
like(slurp_bytes("$dir/large"), qr/"id":-1,"v":"large/, 'it is delivered');
$proxy->command('pass');

# Of several servers, one must not stream while another one says how far the slot is.
my $other = make_node('other');
create_slot($other, 'postgres', 's');
my @servers = ($proxy->{host} . ',' . $other->host, $node->port . ',' . $other->port);
$proxy->command('one');
($code, $log) = run_client("host=$servers[0] port=$servers[1] dbname=postgres", 's', "file://$dir/large",
	'--until=now', '--retry-for=0');
is($code, 3, 'a second connection that leads to another server: exit code 3');
like($log, qr/ERROR .*slot "s" is streamed from one server, but is not in use on the one .*HINT .*--dbname names several/s,
	'and said to be');
$proxy->stop;
$other->stop;

# An output that is a socket hangs up: noticed while idle, and not by spinning.
create_slot($node, 'postgres', 'socket'); # of its own: an idle client moves its slot on
socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die "socketpair failed: $!";
$client = start_client($db, 'socket', '-', stdout => $theirs);
close($theirs);
wait_log($client, qr/streaming slot/);
close($ours);
is(wait_client($client), 0, 'a socket whose reader goes away is the end');
like(client_log($client), qr/whoever read from the standard output has gone/, 'and said to be');

# A closed standard error must not become a connection's or a file's descriptor.
$node->safe_psql('postgres', 'INSERT INTO t VALUES (-2)');
$client = start_client($db, 's', "file://$dir/large", args => ['--until=now'], prefix => [ 'sh', '-c', 'exec "$@" 2>&-', 'sh' ]);
is(wait_client($client), 0, 'a closed standard error');
like(slurp_bytes("$dir/large"), qr/\A\{"op":"insert".*"id":-2[^\n]*\}\n\z/s, 'nothing but records is in the file');
$client = start_client($db, 's', '-', args => ['--until=now'], prefix => [ 'sh', '-c', 'exec "$@" >&-', 'sh' ]);
is(wait_client($client), 1, 'a closed standard output: exit code 1');
like(client_log($client), qr/the standard output is closed/, 'and said');

# A signal while a slot is being created: nothing is wrong that would need a person.
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; CREATE TABLE held (); SELECT 1');
$client = start_client($db, 'late', "file://$dir/late", args => ['--create-slot']);
wait_log($client, qr/creation of the slot has been waiting/);
is(kill_client($client, 'TERM'), 0, 'a signal while --create-slot waits: exit code 0');
like(client_log($client), qr/interrupted; no slot was created/, 'and said');
$holder->quit;

# A signal, and then the server goes away, while the sink has not taken what it was given: that is said.
pipe($reader, $writer);
$node->safe_psql('postgres', "INSERT INTO t SELECT g, repeat('v', 100) FROM generate_series(100001, 110000) g");
$client = start_client($db, 's', '-', stdout => $writer, args => ['--status-interval=100ms']);
close($writer);
# The pipe is full: the sink holds more than it can write.  (A user with many pipes gets small ones.)
my $capacity = fcntl($reader, 1032, 0) or die "F_GETPIPE_SZ failed: $!"; # linux/fcntl.h
wait_until('a full pipe', sub {
	my $waiting = pack('i', 0);
	ioctl($reader, 0x541B, $waiting) or die "FIONREAD failed: $!"; # asm-generic/ioctls.h
	return unpack('i', $waiting) > $capacity - 4096;
});
kill 'TERM', $client->{pid};
$node->stop('immediate');
is(wait_client($client), 3, 'the server gone and the sink stuck after a signal: exit code 3');
close($reader);

done_testing();
