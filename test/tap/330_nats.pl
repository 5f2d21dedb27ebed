# The NATS sink: streams, subjects, where it goes on, what it refuses.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use NatsServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = make_node('nats');
my $db = conninfo($node, 'postgres');
my $nats = NatsServer->new;
my ($code, $log);

$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE u (id int PRIMARY KEY);
	CREATE TABLE "a b.c" (id int PRIMARY KEY)');
create_slot($node, 'postgres', 's');

sub insert
{
	my ($from, $to) = @_;
	return $node->safe_psql('postgres', "INSERT INTO t SELECT g, 'v' || g FROM generate_series($from, $to) g");
}

# The ids in a stream's records, in order.
sub ids
{
	my ($stream, $subject) = @_;
	return join(' ', map { $_->{data} =~ /"after":\{"id":(\d+)/ ? $1 : '-' }
		grep { !defined $subject || $_->{subject} eq $subject } @{ $nats->messages($stream) });
}

sub confirmed
{
	my ($slot) = @_;
	return lsn_number($node->safe_psql('postgres',
		"SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '$slot'"));
}

my $slots = 0;
sub fresh_slot
{
	return create_slot($node, 'postgres', 'fresh' . ++$slots);
}

# the default stream and subjects
insert(1, 3);
$node->safe_psql('postgres', 'INSERT INTO u VALUES (7); INSERT INTO "a b.c" VALUES (8)');
($code, $log) = run_client($db, 's', $nats->uri, '--until=now');
is($code, 0, 'delivers') or diag($log);
is(ids('cdc'), '1 2 3 7 8', 'all in one stream, in order');
is(ids('cdc', 'cdc.public.t'), '1 2 3', 'a subject for each table');
is(ids('cdc', 'cdc.public.a_b_c'), '8', 'what a subject may not have is replaced');
is(confirmed('s'), lsn_number($nats->position('cdc')->{confirmed}), 'slot and position agree');
my $system = $node->safe_psql('postgres', 'SELECT system_identifier FROM pg_control_system()');
my $wrong = 0;
foreach my $message (@{ $nats->messages('cdc') })
{
	my ($lsn, $seq) = $message->{data} =~ /"commit_lsn":"([^"]+)","seq":(\d+)/;
	$wrong++ unless $message->{headers} =~ /^Nats-Msg-Id: $system:postgres:s:0:$lsn:$seq:0\r$/m;
}
is($wrong, 0, 'ids are the records\' identities');
my $info = $nats->api('STREAM.INFO.cdc');
is_deeply($info->{config}{subjects}, ['cdc.*.*'], 'the stream that was made takes what the template makes');
is("$info->{config}{storage} $info->{config}{retention}", 'file limits', 'and keeps it on disk');

($code, $log) = run_client($db, 's', $nats->uri, '--until=now');
is($code, 0, 'again') or diag($log);
unlike($log, qr/no position/, 'the position was found');
insert(4, 5);
$nats->restart;
($code, $log) = run_client($db, 's', $nats->uri, '--until=now');
is(ids('cdc', 'cdc.public.t'), '1 2 3 4 5', 'goes on, over a restart of the server');

# templates, names of streams
my $slot = fresh_slot();
insert(11, 12);
$node->safe_psql('postgres', 'DELETE FROM t WHERE id = 12');
($code, $log) = run_client($db, $slot, $nats->uri('/shop.{source}.{op}?stream=SHOP'), '--until=now');
is($code, 0, 'a template') or diag($log);
is(ids('SHOP', 'shop.postgres.insert'), '11 12', 'source and operation in the subject');
is(ids('SHOP', 'shop.postgres.delete'), '-', 'the other operation');
is_deeply($nats->api('STREAM.INFO.SHOP')->{config}{subjects}, ['shop.postgres.*'], 'the stream\'s subjects');

# a URI that is wrong
sub refused_uri
{
	my ($name, $uri, $message, $exit_code) = @_;
	my ($exit, $text) = run_client($db, 's', $uri, '--until=now');

	is($exit, $exit_code // 1, "$name: exit code " . ($exit_code // 1));
	like($text, $message, "$name: says why");
	return;
}
refused_uri('parameter', $nats->uri('/x?steam=1'), qr/no parameter "steam"; it has: stream=NAME/);
refused_uri('stream', $nats->uri('/x?stream=a.b'), qr/stream=a.b in the sink's URI is not a stream's name/);
refused_uri('positions', $nats->uri('/x?stream=a&positions=a'), qr/is the stream that holds the positions/);
refused_uri('replicas', $nats->uri('/x?replicas=9'), qr/a number from 1 to 5 is allowed/);
refused_uri('no cluster', $nats->uri('/x?positions=other&replicas=3'), qr/overlap|replicas/);
refused_uri('timeout', $nats->uri('/x?timeout=1ms'), qr/at least 1s is allowed/);
refused_uri('tls', $nats->uri('/x?tls=maybe'), qr/on or off is allowed/);
refused_uri('tls parameter', $nats->uri('/x?tls-ca=/ca.pem'), qr/need tls=on/);
refused_uri('certificates', $nats->uri('/x?tls=on&tls-ca=/no/such.pem'), qr/reading user, credentials or certificates failed/);
refused_uri('template', $nats->uri('/x.{tabel}'), qr/placeholder.*\{tabel\}/);
refused_uri('port', 'nats://localhost:99999/x', qr/not a port in the sink's URI: 99999/);
refused_uri('no TLS there', $nats->uri('/x?tls=on'), qr/secure|TLS/i);
($code, $log) = run_client($db, 's', 'nats://127.0.0.1:1/x', '--until=now', '--retry-for=0');
is($code, 3, 'no server: gives up in time');
like($log, qr/NATS at 127.0.0.1:1: connecting failed: No server available/, 'and says so');

# subjects that the stream does not take
$nats->make_stream('NARROW', ['narrow.t']);
$slot = fresh_slot();
insert(21, 22);
$node->safe_psql('postgres', 'INSERT INTO u VALUES (23)');
($code, $log) = run_client($db, $slot, $nats->uri('/narrow.{table}?stream=NARROW'), '--until=now');
is($code, 2, 'a subject that the stream does not take: exit code 2');
like($log, qr/stream "NARROW" does not take subject "narrow.u"/, 'says so');
like($log, qr/It takes "narrow.t"/, 'and what it takes');
($code, $log) = run_client($db, $slot, $nats->uri('/bad..{table}?stream=NARROW'), '--until=now');
is($code, 2, 'no subject: exit code 2');
like($log, qr/"bad..t" is not a subject/, 'says so');

# one stream, one owner
my $other = fresh_slot();
insert(31, 32);
($code, $log) = run_client($db, $other, $nats->uri, '--until=now');
is($code, 2, 'a stream of another slot: exit code 2');
like($log, qr/belongs to another source.*\n?.*slot "s", database "postgres"/, 'names the owner');
($code, $log) = run_client($db, $other, $nats->uri('?positions=elsewhere'), '--until=now');
like($log, qr/Another stream takes these subjects already/, 'another stream for positions has subjects of its own');
($code, $log) = run_client($db, $other, $nats->uri, '--until=now', '--accept=other-source');
is($code, 0, 'taken over on request') or diag($log);
is(ids('cdc', 'cdc.public.t'), '1 2 3 4 5 31 32', 'records follow');
like($nats->messages('cdc')->[-1]{headers}, qr/^Nats-Msg-Id: $system:postgres:$other:1:/m, 'as another incarnation');

# streams that are not fit
foreach my $case (
	[ 'workqueue', { retention => 'workqueue' }, qr/retention policy "workqueue": what was consumed is gone/ ],
	[ 'interest', { retention => 'interest' }, qr/retention policy "interest": what nobody consumes is gone/ ],
	[ 'no_ack', { no_ack => JSON::PP::true }, qr/acknowledges nothing/ ],
	[ 'sources', { sources => [ { name => 'SHOP' } ] }, qr/takes messages from other streams/ ])
{
	my ($name, $members, $message) = @$case;
	$nats->make_stream($name, ["$name.*"], %$members);
	($code, $log) = run_client($db, $slot, $nats->uri("/$name.{table}"), '--until=now');
	is($code, 1, "$name: exit code 1");
	like($log, $message, "$name: says so");
	is($nats->position($name)->{confirmed}, undef, "$name: nothing is stored");
}
my $fleeting = NatsServer->new;
$fleeting->make_stream('cdc-positions', ['cdc-positions.*'], max_age => 1_000_000_000);
($code, $log) = run_client($db, $slot, $fleeting->uri, '--until=now');
is($code, 1, 'positions that expire: exit code 1');
like($log, qr/"cdc-positions" is to hold the positions, but drops messages by age/, 'says so');
$fleeting->stop;

# records that are too large, for the stream and for the server
$nats->make_stream('small', ['small.*'], max_msg_size => 2000);
$slot = fresh_slot();
insert(41, 42);
$node->safe_psql('postgres', "INSERT INTO t VALUES (43, repeat('x', 3000))");
insert(44, 44);
($code, $log) = run_client($db, $slot, $nats->uri('/small.{table}'), '--until=now');
is($code, 2, 'a record too large for the stream: exit code 2');
like($log, qr/the record has \d+ bytes, with headers \d+, and stream "small" takes 2000 at most/, 'says so');
unlike(ids('small'), qr/4[34]/, 'nothing behind it is delivered');
$nats->api('STREAM.UPDATE.small', { %{ $nats->api('STREAM.INFO.small')->{config} }, max_msg_size => -1 });
($code, $log) = run_client($db, $slot, $nats->uri('/small.{table}'), '--until=now');
is(ids('small'), '41 42 43 44', 'and all of it once the stream takes it');
$node->safe_psql('postgres', "INSERT INTO t VALUES (45, repeat('x', 2000000))");
($code, $log) = run_client($db, $slot, $nats->uri('/small.{table}'), '--until=now');
like($log, qr/stream "small" takes 1048576 at most/, 'a record too large for the server');
# refused by the server while it is on its way
$nats->make_stream('shrinks', ['shrinks.*']);
$slot = fresh_slot();
my $client = start_client($db, $slot, $nats->uri('/shrinks.{table}'));
wait_log($client, qr/streaming slot/);
$nats->api('STREAM.UPDATE.shrinks', { %{ $nats->api('STREAM.INFO.shrinks')->{config} }, max_msg_size => 2000 });
$node->safe_psql('postgres', "INSERT INTO t SELECT g, repeat('x', CASE WHEN g = 53 THEN 3000 ELSE 3 END) FROM generate_series(51, 55) g");
is(wait_client($client), 2, 'a record that the server refuses: exit code 2');
like(client_log($client), qr/message size exceeds maximum|takes 2000 at most/, 'says so');
is(ids('shrinks'), '51 52', 'what was before it is there, and nothing behind it');

# a stream that is full
$nats->make_stream('full', ['full.*'], max_msgs => 3, discard => 'new');
$slot = fresh_slot();
insert(61, 65);
$client = start_client($db, $slot, $nats->uri('/full.{table}'));
wait_log($client, qr/maximum messages exceeded/, 2);
is(ids('full'), '61 62 63', 'a full stream takes no more');
$nats->api('STREAM.PURGE.full');
wait_until('the rest', sub { ids('full') eq '64 65' });
is(kill_client($client, 'TERM'), 0, 'and the rest when there is room');

# somebody else sends to the stream
$slot = fresh_slot();
$client = start_client($db, $slot, $nats->uri('/shared.{table}'));
wait_log($client, qr/streaming slot/);
insert(71, 72);
wait_until('the first', sub { ids('shared') eq '71 72' });
$nats->request('shared.t', 'what is this');
insert(73, 74);
wait_until('the others', sub { ids('shared') eq '71 72 - 73 74' });
like(client_log($client), qr/wrong last/, 'a foreign message is noticed');
$nats->request('shared.t', 'another one');
kill_client($client, 'TERM');
insert(75, 75);
($code, $log) = run_client($db, $slot, $nats->uri('/shared.{table}'), '--until=now');
is(ids('shared'), '71 72 - 73 74 - 75', 'and passed over when the last record is looked for');

# what was forgotten
$slot = fresh_slot();
insert(81, 82);
($code, $log) = run_client($db, $slot, $nats->uri('/lost.{table}'), '--until=now');
$nats->api('STREAM.DELETE.lost');
($code, $log) = run_client($db, $slot, $nats->uri('/lost.{table}'), '--until=now');
is($code, 2, 'a stream that was deleted: exit code 2');
like($log, qr/stream "lost" ends at message 0, but records were delivered up to 2/, 'says so');
ok($nats->api('STREAM.INFO.lost')->{error}, 'it is not made anew');
$slot = fresh_slot();
insert(83, 84);
($code, $log) = run_client($db, $slot, $nats->uri('/kept.{table}'), '--until=now');
my $position = $nats->api('STREAM.MSG.GET.cdc-positions', { last_by_subj => 'cdc-positions.kept' });
$nats->api('STREAM.MSG.DELETE.cdc-positions', { seq => $position->{message}{seq} });
($code, $log) = run_client($db, $slot, $nats->uri('/kept.{table}'), '--until=now');
is($code, 2, 'a position that was deleted: exit code 2');
like($log, qr/stream "kept" ends with record \S+:0, but stream "cdc-positions" has no position for it/, 'says so');
$nats->request('cdc-positions.kept', '{"a":1}');
($code, $log) = run_client($db, $slot, $nats->uri('/kept.{table}'), '--until=now');
is($code, 2, 'a position that is none: exit code 2');
like($log, qr/is not a position/, 'says so');
$slot = fresh_slot();
insert(85, 86);
$client = start_client($db, $slot, $nats->uri('/run.{table}'));
wait_until('the first', sub { ids('run') eq '85 86' && defined $nats->position('run')->{confirmed} });
$nats->api('STREAM.DELETE.run');
$nats->api('STREAM.DELETE.cdc-positions');
insert(87, 87);
is(wait_client($client), 2, 'all forgotten in the midst of a run: exit code 2');
like(client_log($client), qr/has forgotten the position of stream "run"/, 'says so');

# replay: through a slot copied before, the position reset
$slot = fresh_slot();
insert(601, 602);
$node->safe_psql('postgres', "SELECT pg_copy_logical_replication_slot('$slot', 'bookmark')");
($code, $log) = run_client($db, $slot, $nats->uri('/replay.{table}'), '--until=now');
my ($shown) = run_command([ client_binary(), 'offsets', 'show', '--json', "--dbname=$db", "--slot=$slot", '--sink=' . $nats->uri('/replay.{table}') ]);
like($shown, qr/"slot":"$slot".*"incarnation":0/, 'offsets show');
$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('$slot'); SELECT pg_copy_logical_replication_slot('bookmark', '$slot')");
my ($done, $said) = run_command([ client_binary(), 'offsets', 'reset', '--yes', "--dbname=$db", "--slot=$slot", '--sink=' . $nats->uri('/replay.{table}') ]);
is($?, 0, 'offsets reset') or diag($said);
($code, $log) = run_client($db, $slot, $nats->uri('/replay.{table}'), '--until=now');
is($code, 0, 'replay') or diag($log);
is(ids('replay'), '601 602 601 602', 'the records come again');
like($nats->messages('replay')->[-1]{headers}, qr/:1:[0-9A-F]+\/[0-9A-F]+:2:0\r/, 'under another incarnation');

# no JetStream, users, tokens
$nats->stop;
$nats = NatsServer->new(no_jetstream => 1);
($code, $log) = run_client($db, 's', $nats->uri('/x.{table}'), '--until=now', '--retry-for=0');
is($code, 1, 'a server without JetStream: exit code 1');
like($log, qr/nats-server -js/, 'says how to start it');
$nats->stop;

my $users = <<'END_CONF';
authorization {
	users = [
		{ user: boss, password: "p@ss/w:rd" }
		{ user: few, password: few, permissions: {
			publish: ["few.>", "cdc-positions.>", "$JS.API.STREAM.INFO.*", "$JS.API.STREAM.MSG.GET.*"], subscribe: ["_INBOX.>"] } }
	]
}
END_CONF
$nats = NatsServer->new(conf => $users, user => 'boss', password => 'p@ss/w:rd');
$slot = fresh_slot();
insert(91, 92);
($code, $log) = run_client($db, $slot, $nats->uri('/few.{table}', 'boss:wrong'), '--until=now');
is($code, 1, 'a wrong password: exit code 1');
like($log, qr/connecting failed: .*Authorization/i, 'says so');
unlike($log, qr/boss:wrong/, 'without the password');
($code, $log) = run_client($db, $slot, $nats->uri('/few.{table}', 'boss:p%40ss%2fw%3ard'), '--until=now');
is($code, 0, 'user and password') or diag($log);
insert(93, 93);
($code, $log) = run_client($db, $slot, $nats->uri('/few.{table}', 'few:few'), '--until=now');
is($code, 0, 'a user with few rights, streams being there') or diag($log);
is(ids('few'), '91 92 93', 'delivers');
$nats->make_stream('many', ['many.*']);
($code, $log) = run_client($db, $slot, $nats->uri('/many.{table}', 'few:few'), '--until=now');
insert(94, 94);
($code, $log) = run_client($db, $slot, $nats->uri('/many.{table}', 'few:few'), '--until=now');
is($code, 1, 'what it may not send: exit code 1');
like($log, qr/Permissions Violation for Publish to "many.t"/i, 'says so');
$nats->stop;
$nats = NatsServer->new(conf => 'authorization { token: "t0ken" }', auth_token => 't0ken');
$slot = fresh_slot();
insert(95, 95);
($code, $log) = run_client($db, $slot, $nats->uri('/x.{table}', 't0ken'), '--until=now');
is($code, 0, 'a token') or diag($log);
is(ids('x'), '95', 'delivers');

$node->stop;
$nats->stop;
done_testing();
