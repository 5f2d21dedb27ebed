# The Redis sink: streams, ids, where it goes on, what it refuses.
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

my $node = make_node('redis');
my $db = conninfo($node, 'postgres');
my $redis = RedisServer->new;
my ($code, $log);

$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE u (id int PRIMARY KEY)');
create_slot($node, 'postgres', 's');

sub insert
{
	my ($from, $to) = @_;
	return $node->safe_psql('postgres', "INSERT INTO t SELECT g, 'v' || g FROM generate_series($from, $to) g");
}

# The ids in a stream's records, in order.
sub ids
{
	my ($stream, $server) = @_;
	return join(' ', map { $_->[1] =~ /"after":\{"id":(\d+)/ } @{ ($server // $redis)->entries($stream) });
}

sub confirmed
{
	my ($slot) = @_;
	return lsn_number($node->safe_psql('postgres',
		"SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '$slot'"));
}

# a fresh slot, whose records begin here
my $slots = 0;
sub fresh_slot
{
	return create_slot($node, 'postgres', 'fresh' . ++$slots);
}

# the default streams
insert(1, 3);
$node->safe_psql('postgres', 'INSERT INTO u VALUES (7)');
($code, $log) = run_client($db, 's', $redis->uri, '--until=now');
is($code, 0, 'delivers') or diag($log);
is(ids('{cdc}:public.t'), '1 2 3', 'a stream for each table');
is(ids('{cdc}:public.u'), '7', 'and another');
my $key = '{cdc}:{schema}.{table}:cdc-position';
is(confirmed('s'), lsn_number($redis->position($key)->{confirmed}), 'slot and position agree');
is($redis->command('GET', '{cdc}:public.t:cdc-owner'), $key, 'the stream says whose it is');

# ids are made of the identity
my $wrong = 0;
foreach my $entry (@{ $redis->entries('{cdc}:public.t') })
{
	my ($lsn, $seq) = $entry->[1] =~ /"commit_lsn":"([^"]+)","seq":(\d+)/;
	$wrong++ unless $entry->[0] eq lsn_number($lsn) . '-' . $seq * 65536;
}
is($wrong, 0, 'ids are commit_lsn and seq');

($code, $log) = run_client($db, 's', $redis->uri, '--until=now');
is($code, 0, 'again') or diag($log);
unlike($log, qr/no position/, 'the position was found');
insert(4, 5);
$redis->restart;
($code, $log) = run_client($db, 's', $redis->uri, '--until=now');
is(ids('{cdc}:public.t'), '1 2 3 4 5', 'goes on, over a restart of the server');

# templates, maxlen, database, password
$redis->command('CONFIG', 'SET', 'requirepass', 'p@ss/w:rd');
$redis->command('AUTH', 'p@ss/w:rd');
my $slot = fresh_slot();
insert(11, 12);
($code, $log) = run_client($db, $slot, $redis->uri('/events?db=3', ':p%40ss%2fw%3Ard'), '--until=now');
is($code, 0, 'password and database') or diag($log);
unlike($log, qr/p\@ss|p%40ss/, 'the password is not in the log');
$redis->command('SELECT', 3);
is(ids('events'), '11 12', 'one stream');
ok($redis->position('{events}:cdc-position')->{confirmed}, 'its position shares its slot in a cluster');
$redis->command('SELECT', 0);
foreach my $case ([ '', 'NOAUTH' ], [ ':wrong', 'WRONGPASS' ], [ 'nobody:wrong', 'WRONGPASS' ])
{
	($code, $log) = run_client($db, $slot, $redis->uri('/events', $case->[0] eq '' ? undef : $case->[0]), '--until=now');
	is($code, 1, "$case->[1]: exit code 1");
	like($log, qr/Redis at 127.0.0.1:\d+: [\w ]+ failed: $case->[1]/, "$case->[1]: says so");
	unlike($log, qr/:wrong/, "$case->[1]: no password in the log");
}
$redis->command('CONFIG', 'SET', 'requirepass', '');

$slot = fresh_slot();
insert(1001, 2000);
($code, $log) = run_client($db, $slot, $redis->uri('/short:{op}?maxlen=100'), '--until=now');
is($code, 0, 'maxlen') or diag($log);
my $length = $redis->command('XLEN', 'short:insert');
ok($length >= 100 && $length < 300, "keeps about so many: $length");
like(ids('short:insert'), qr/ 2000$/, 'the last ones');

# a URI that is wrong
sub refused_uri
{
	my ($name, $uri, $message) = @_;
	my ($exit, $text) = run_client($db, 's', $uri, '--until=now');

	is($exit, 1, "$name: exit code 1");
	like($text, $message, "$name: says why");
	return;
}
refused_uri('parameter', $redis->uri('/x?maxln=1'), qr/no parameter "maxln"; it has: maxlen=N, db=N/);
refused_uri('maxlen', $redis->uri('/x?maxlen=0'), qr/maxlen=0 in the sink's URI: a whole number from 1/);
refused_uri('timeout', $redis->uri('/x?timeout=10ms'), qr/at least 1s is allowed/);
refused_uri('template', $redis->uri('/x{tabel}'), qr/placeholder.*\{tabel\}/);
refused_uri('port', 'redis://localhost:0/x', qr/not a port in the sink's URI: 0/);
refused_uri('two servers', 'redis://a,b/x', qr/names 2 servers; one is allowed/);
refused_uri('database', $redis->uri('/x?db=99'), qr/SELECT failed: ERR DB index is out of range/);
refused_uri('tls parameter', $redis->uri('/x?tls-ca=/ca.pem'), qr/for rediss:\/\/ only/);
($code, $log) = run_client($db, 's', 'redis://127.0.0.1:1/x', '--until=now', '--retry-for=0');
is($code, 3, 'no server: gives up in time');
like($log, qr/the connection to Redis at 127.0.0.1:1 failed: Connection refused/, 'and says so');

# one stream, one owner: the same names by another slot
my $other = fresh_slot();
insert(201, 202);
($code, $log) = run_client($db, $other, $redis->uri, '--until=now');
is($code, 2, 'the sink of another slot: exit code 2');
like($log, qr/belongs to another source.*\n?.*slot "s", database "postgres"/, 'names the owner');
($code, $log) = run_client($db, $other, $redis->uri('/{{cdc}:public.t'), '--until=now');
is($code, 2, 'a stream of another sink: exit code 2');
like($log, qr/stream "\{cdc\}:public.t" belongs to another sink, whose position is in key "\Q$key\E"/, 'names the sink');
like($log, qr/Slot "s" of database "postgres"/, 'and its slot');
is(ids('{cdc}:public.t'), '1 2 3 4 5', 'nothing is added to it');
($code, $log) = run_client($db, $other, $redis->uri, '--until=now', '--accept=other-source');
is($code, 0, 'taken over on request') or diag($log);
is(ids('{cdc}:public.t'), '1 2 3 4 5 201 202', 'records follow, under ids that rise');
is($redis->position($key)->{incarnation}, 1, 'as another incarnation');
like($redis->entries('{cdc}:public.t')->[-1][0], qr/^720575940\d{8,}-131072$/, 'which is in the ids');

# what is no stream, and what somebody else has filled
$slot = fresh_slot();
insert(301, 301);
$redis->command('SET', 'plain', 'x');
$redis->command('XADD', 'foreign', '*', 'a', 'b');
$redis->command('XGROUP', 'CREATE', 'empty', 'readers', '$', 'MKSTREAM');
($code, $log) = run_client($db, $slot, $redis->uri('/plain'), '--until=now');
is($code, 2, 'a key of another kind: exit code 2');
like($log, qr/key "plain" is a string, not a stream/, 'says so');
($code, $log) = run_client($db, $slot, $redis->uri('/foreign'), '--until=now');
is($code, 2, 'a stream of somebody else: exit code 2');
like($log, qr/stream "foreign" has 1 entries, and key "\{foreign\}:cdc-owner" does not say whose/, 'says so');
is($redis->command('XLEN', 'foreign'), 1, 'and is left alone');
($code, $log) = run_client($db, $slot, $redis->uri('/empty'), '--until=now');
is($code, 0, 'a stream that was made for its readers') or diag($log);
my $read = $redis->command('XREADGROUP', 'GROUP', 'readers', 'me', 'COUNT', 10, 'STREAMS', 'empty', '>');
like($read->[0][1][0][1][1], qr/"id":301,/, 'a consumer group reads it');
insert(302, 302);
$redis->command('XADD', 'empty', '18000000000000000000-1', 'a', 'b');
$redis->command('XDEL', 'empty', '18000000000000000000-1');
my $before = $redis->position('{empty}:cdc-position');
($code, $log) = run_client($db, $slot, $redis->uri('/empty'), '--until=now');
is($code, 2, 'ids that somebody else used up, exit code 2');
like($log, qr/ends at 18000000000000000000-1, at or behind the next record's id/, 'says so');
is_deeply($redis->position('{empty}:cdc-position'), $before, 'the position does not pass what was not added');

# servers that would lose records, or take none
$slot = fresh_slot();
insert(401, 410);
$redis->command('CONFIG', 'SET', 'maxmemory', '200mb');
$redis->command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
($code, $log) = run_client($db, $slot, $redis->uri('/mem'), '--until=now');
is($code, 1, 'a server that evicts: exit code 1');
like($log, qr/evicts keys when memory is short \(maxmemory-policy allkeys-lru\)/, 'says so');
$redis->command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
my $client = start_client($db, $slot, $redis->uri('/mem'));
wait_log($client, qr/streaming slot/);
wait_until('the first records', sub { ids('mem') =~ /410$/ });
$redis->command('CONFIG', 'SET', 'maxmemory', '1');
insert(411, 420);
wait_log($client, qr/OOM command not allowed/);
is(ids('mem'), join(' ', 401 .. 410), 'no memory: nothing is added');
$redis->command('CONFIG', 'SET', 'maxmemory', '0');
wait_until('the rest', sub { ids('mem') =~ /420$/ });
is(ids('mem'), join(' ', 401 .. 420), 'and when there is memory, all of it once');

# a replica takes nothing
$redis->command('REPLICAOF', '127.0.0.1', '1');
insert(421, 422);
wait_log($client, qr/READONLY/);
$redis->command('REPLICAOF', 'NO', 'ONE');
wait_until('the rest', sub { ids('mem') =~ /422$/ });
is(ids('mem'), join(' ', 401 .. 422), 'a replica that was promoted: all of it once');

# scripts flushed, connections killed
$redis->command('SCRIPT', 'FLUSH');
insert(423, 423);
wait_until('the rest', sub { ids('mem') =~ /423$/ });
$redis->command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
insert(424, 424);
wait_until('the rest', sub { ids('mem') =~ /424$/ });
is(ids('mem'), join(' ', 401 .. 424), 'scripts flushed, connection killed: all of it once');

# a record that the server cannot take
$redis->command('CONFIG', 'SET', 'proto-max-bulk-len', '1mb');
kill_client($client, 'TERM');
insert(425, 425);
$node->safe_psql('postgres', "INSERT INTO t VALUES (426, repeat('x', 2000000))");
insert(427, 427);
($code, $log) = run_client($db, $slot, $redis->uri('/mem'), '--until=now');
is($code, 2, 'a record too large: exit code 2') or diag($log);
like($log, qr/the record has \d+ bytes, and Redis at 127.0.0.1:\d+ takes \d+ at most/, 'says so');
like(ids('mem'), qr/ 42[45]$/, 'and nothing behind it is delivered');
$redis->command('CONFIG', 'SET', 'proto-max-bulk-len', '512mb');
($code, $log) = run_client($db, $slot, $redis->uri('/mem'), '--until=now');
is(ids('mem'), join(' ', 401 .. 427), 'and the rest once the server takes it');

# replay: through a slot copied before, the position reset
$slot = fresh_slot();
insert(601, 602);
$node->safe_psql('postgres', "SELECT pg_copy_logical_replication_slot('$slot', 'bookmark')");
($code, $log) = run_client($db, $slot, $redis->uri('/replay'), '--until=now');
my ($shown) = run_command([ client_binary(), 'offsets', 'show', '--json', "--dbname=$db", "--slot=$slot", '--sink=' . $redis->uri('/replay') ]);
like($shown, qr/"slot":"$slot".*"incarnation":0/, 'offsets show');
$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('$slot'); SELECT pg_copy_logical_replication_slot('bookmark', '$slot')");
my ($done, $said) = run_command([ client_binary(), 'offsets', 'reset', '--yes', "--dbname=$db", "--slot=$slot", '--sink=' . $redis->uri('/replay') ]);
is($?, 0, 'offsets reset') or diag($said);
($code, $log) = run_client($db, $slot, $redis->uri('/replay'), '--until=now');
is($code, 0, 'replay') or diag($log);
is(ids('replay'), '601 602 601 602', 'the records come again');
like($redis->entries('replay')->[-1][0], qr/^7205759\d+-/, 'under ids that rise');

# a user with just the commands that are needed
$redis->command('ACL', 'SETUSER', 'cdc', 'on', '>secret', '~acl*', '~{acl*', '+watch', '+multi', '+exec',
	'+evalsha', '+script|load', '+hget', '+hset', '+hincrby', '+get', '+set', '+xadd', '+type', '+xinfo');
$slot = fresh_slot();
insert(501, 502);
($code, $log) = run_client($db, $slot, $redis->uri('/acl', 'cdc:secret'), '--until=now');
is($code, 0, 'a user with few rights') or diag($log);
is(ids('acl'), '501 502', 'delivers');
($code, $log) = run_client($db, $slot, $redis->uri('/elsewhere', 'cdc:secret'), '--until=now');
is($code, 1, 'and on other keys: exit code 1');
like($log, qr/NOPERM/, 'says so');

$node->stop;
$redis->stop;
done_testing();
