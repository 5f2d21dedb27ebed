# kafka:// against a real broker: topics, keys, headers, tombstones, positions, and what it refuses.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use JSON::PP ();
use KafkaBroker;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $missing = kafka_missing();
plan skip_all => $missing if $missing;

my $broker = KafkaBroker->new('auto.create.topics.enable=false');
my $node = make_node('kafka');
my $db = conninfo($node, 'postgres');
my $kafka = 'kafka://' . $broker->address;
my ($code, $log);

$broker->start;
$node->safe_psql('postgres', q(
	CREATE TABLE a (id int PRIMARY KEY, v text);
	CREATE TABLE "b c" (id int, v text);
	ALTER TABLE "b c" REPLICA IDENTITY FULL;
	CREATE TABLE big (id int PRIMARY KEY, v text);
	ALTER TABLE big ALTER v SET STORAGE EXTERNAL;));
create_slot($node, 'postgres', $_) foreach 's', 'alo', 'one', 'gone', 'large', 'keyless', 'broken';

sub sql
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

sub stream
{
	my ($slot, $uri, @args) = @_;
	($code, $log) = run_client($db, $slot, $uri, '--until=now', @args);
	return $code;
}

# "KEY HEADERS VALUE" of each, without LSNs.
sub shown
{
	my (@messages) = @_;
	return map {
		my $h = $_->{headers};
		join(' ', $_->{key} // '-', map { $h->{"cdc-$_"} // '-' } 'seq', 'part', 'op')
		  . ' ' . (!defined $_->{value} ? '-' : $_->{value} =~ /"after":(\{.*\})\}$/ ? $1 : '(old)')
	} @messages;
}

sub system_identifier
{
	return sql('SELECT system_identifier FROM pg_control_system()');
}

# The last position of a slot, as JSON.
sub position
{
	my ($slot, $topic) = @_;
	my $key = system_identifier() . "/postgres/$slot";
	my @mine = grep { $_->{key} eq $key } $broker->consume($topic // 'cdc-positions');

	return @mine ? JSON::PP::decode_json($mine[-1]{value}) : undef;
}

# Messages, their keys, headers and places
$broker->create_topic('cdc.public.a', 3);
$broker->create_topic('cdc.public.b_c', 1);
sql(q(INSERT INTO a SELECT g, 'v' || g FROM generate_series(1, 20) g));
sql(q(UPDATE a SET id = 100, v = 'moved' WHERE id = 1; DELETE FROM a WHERE id = 2));
sql(q(INSERT INTO "b c" VALUES (1, 'x')));
is(stream('s', "$kafka/cdc.{schema}.{table}?tombstones=on"), 0, 'records are streamed') or diag($log);
my @a = $broker->consume('cdc.public.a');
my %place = map { $_->{key} => $_->{partition} } @a;
is(scalar(grep { $place{ $_->{key} } != $_->{partition} } @a), 0, 'a key stays in its partition');
cmp_ok(scalar(keys %{ { reverse %place } }), '==', 3, 'keys are spread over the partitions');
is_deeply([ shown(grep { $_->{key} eq '{"id":1}' } @a) ],
	[ '{"id":1} 1 - insert {"id":1,"v":"v1"}', '{"id":1} 1 - tombstone -' ],
	'the old key of a changed one ends in a tombstone');
is_deeply([ shown(grep { $_->{key} eq '{"id":100}' } @a) ],
	[ '{"id":100} 1 - update {"id":100,"v":"moved"}' ], 'the new key has the update');
is_deeply([ shown(grep { $_->{key} eq '{"id":2}' } @a) ],
	[ '{"id":2} 2 - insert {"id":2,"v":"v2"}', '{"id":2} 1 - delete (old)', '{"id":2} 1 - tombstone -' ],
	'a deleted key ends in a tombstone');
my ($first) = grep { $_->{key} eq '{"id":7}' } @a;
like($first->{value}, qr/"commit_lsn":"\Q$first->{headers}{'cdc-commit-lsn'}\E","seq":7,/, 'headers say what the record says');
is_deeply([ shown($broker->consume('cdc.public.b_c')) ], [ '- 1 - insert {"id":1,"v":"x"}' ],
	'what a topic cannot be called becomes "_"; a record without a key has none');

# Positions
my $position = position('s');
is($position->{slot}, 's', 'the position is in its topic') or diag(explain($position));
is(lsn_number($position->{confirmed}), lsn_number(sql(q(SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 's'))),
	'the slot has been told what it says');
like($log, qr/no position for slot "s" yet/, 'the first use is said');
sql(q(INSERT INTO a VALUES (21, 'v21')));
is(stream('s', "$kafka/cdc.{schema}.{table}?tombstones=on"), 0, 'a second start goes on');
unlike($log, qr/no position/, 'from the position');
is(scalar(grep { defined $_->{value} } $broker->consume('cdc.public.a')), 23, 'nothing is delivered twice');
my ($out) = run_command([ client_binary(), 'status', '--dbname', $db, '--slot=s', "--sink=$kafka/x" ]);
like($out, qr/\Q$position->{confirmed}\E|sink/, 'status reads the position') or diag($out);
($out) = run_command([ client_binary(), 'doctor', '--dbname', $db, '--slot=s', "--sink=$kafka/x" ]);
like($out, qr/sink can be opened; it is at /, 'doctor looks at it');

# A position that was taken back, and one that is none
sub say_position
{
	my ($slot, @value) = @_;
	my $key = system_identifier() . "/postgres/$slot";
	my $file = output_file('position');

	append_to_file($file, join("\t", $key, @value) . "\n");
	IPC::Run::run([ 'kcat', '-P', '-b', $broker->address, '-t', 'cdc-positions', '-K', "\t", '-Z', '-p', '0', '-l', $file ])
	  or die 'kcat failed';
	return;
}
say_position('s', '');
is(stream('s', "$kafka/cdc.{schema}.{table}", '--require-position'), 2, 'a message without value takes the position back');
say_position('broken', '{"position":"somewhere"}');
is(stream('broken', "$kafka/cdc.{schema}.{table}"), 2, 'what is no position is refused');
like($log, qr{topic "cdc-positions" has at offset \d+ for \d+/postgres/broken is no position}, 'and named') or diag($log);

# The topic of positions must be compacted, and nothing else
$broker->create_topic('deleting', 1, 'cleanup.policy' => 'delete');
$broker->create_topic('both', 1, 'cleanup.policy' => 'compact,delete');
foreach my $topic ('deleting', 'both')
{
	is(stream('s', "$kafka/x?positions=$topic"), 2, "positions=$topic is refused");
	like($log, qr/topic "$topic" cannot hold positions: its cleanup.policy is "(delete|compact,delete)".*cleanup\.policy=compact/s,
		'with the reason, and the way out') or diag($log);
}

# At least once, everything into one topic
$broker->create_topic('all', 1);
is(stream('alo', "$kafka/all?delivery=at-least-once&positions=alo-positions&compression.type=zstd&linger.ms=1"), 0,
	'delivery=at-least-once') or diag($log);
is_deeply([ map { $_->{headers}{'cdc-seq'} } $broker->consume('all') ], [ 1 .. 20, 1, 1, 1, 1 ],
	'each record, in the order of commits');
is(scalar(grep { !defined $_->{value} } $broker->consume('all')), 0, 'no tombstones unless they are asked for');
is(lsn_number(position('alo', 'alo-positions')->{confirmed}),
	lsn_number(sql(q(SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'alo'))), 'its position is stored, and confirmed');
sql(q(INSERT INTO a VALUES (22, 'v22')));
stream('alo', "$kafka/all?delivery=at-least-once&positions=alo-positions");
is(scalar(my @all = $broker->consume('all')), 25, 'a clean restart doubles nothing');

# A topic that is missing
is(stream('gone', "$kafka/no.such.topic?topic.metadata.propagation.max.ms=1000"), 2, 'a missing topic stops the client');
like($log, qr/topic "no\.such\.topic".*\(UNKNOWN_TOPIC_OR_PART\).*Create the topic/s, 'and says which, and what to do') or diag($log);
is(stream('gone', "$kafka/{schema}-{table}-" . 'x' x 240), 2, 'a name that is too long');
like($log, qr/cannot be a topic of Kafka/, 'is refused');

# Records too large: for the sink, for the topic; and batches too large for the topic
$broker->create_topic('small', 1, 'max.message.bytes' => 20_000);
$broker->create_topic('batches', 1, 'max.message.bytes' => 20_000);
sql(q(SELECT pg_drop_replication_slot('large')));
create_slot($node, 'postgres', 'large');
sql(q(SELECT pg_copy_logical_replication_slot('large', 'large2')));
sql(q(INSERT INTO big SELECT g, repeat('x', 1000) FROM generate_series(1, 200) g));
sql(q(SELECT pg_copy_logical_replication_slot('large', 'large3'), pg_copy_logical_replication_slot('large', 'large4')));
is(stream('large3', "$kafka/batches"), 0, 'requests that are too large for a topic become smaller') or diag($log);
like($log, qr/going on with one record each.*batch\.size=\d{5,6} in the sink's URI/s, 'and it says how to have them so at once') or diag($log);
is(join(' ', map { $_->{headers}{'cdc-seq'} } $broker->consume('batches')), join(' ', 1 .. 200), 'each record once, in order');
$broker->create_topic('batched', 1, 'max.message.bytes' => 20_000);
is(stream('large4', "$kafka/batched?batch.size=15000"), 0, 'batch.size as small as the topic wants it') or diag($log);
unlike($log, qr/trying again/, 'needs no detour');
is(join(' ', map { $_->{headers}{'cdc-seq'} } $broker->consume('batched')), join(' ', 1 .. 200), 'and brings the same');
sql(q(INSERT INTO big VALUES (201, repeat('x', 30000)); INSERT INTO big VALUES (202, 'small')));
is(stream('large', "$kafka/small"), 2, 'a record too large for the topic');
like($log, qr/topic "small", record [0-9A-F\/]+ seq 1: .*\(MSG_SIZE_TOO_LARGE\)/, 'is named') or diag($log);
my $letters = PostgreSQL::Test::Utils::tempdir() . '/letters.ndjson';
is(stream('large', "$kafka/small", "--on-error=dead-letter:file://$letters"), 0, 'or is set aside') or diag($log);
my @letters = @{ read_lines($letters) };
is(scalar @letters, 1, 'that one alone');
like($letters[0], qr/MSG_SIZE_TOO_LARGE.*"id":201/, 'with the answer');
is(join(' ', map { $_->{key} =~ /(\d+)/ } $broker->consume('small')), join(' ', 1 .. 200, 202), 'all others are delivered');
is(stream('large2', "$kafka/small?message.max.bytes=10000"), 2, 'a record too large for the sink');
like($log, qr/larger than message\.max\.bytes of the sink/, 'is refused at once') or diag($log);

# Schema records
$broker->create_topic('schemas', 1, 'cleanup.policy' => 'compact');
create_slot($node, 'postgres', 'schemas');
sql(q(INSERT INTO a VALUES (23, 'v23')));
is(stream('schemas', "$kafka/schemas", '--option=schemas=on'), 0, 'schema records are taken') or diag($log);
is_deeply([ map { ($_->{key} =~ s/:[0-9a-f]{16}$/:VERSION/r) . ' ' . join(',', map { $_->{value} =~ /"op":"(\w+)"/ } $_) . " $_->{headers}{'cdc-op'}" } $broker->consume('schemas') ],
	[ 'schema:public.a:VERSION schema schema', '{"id":23} insert insert' ], 'with a key of relation and version, and without an identity');

# A compacted topic takes no record without a key
$broker->create_topic('compacted', 1, 'cleanup.policy' => 'compact');
sql(q(INSERT INTO "b c" VALUES (2, 'y')));
is(stream('keyless', "$kafka/compacted"), 2, 'a record without a key for a compacted topic');
like($log, qr/INVALID_RECORD.*A compacted topic takes no record without a key/s, 'is refused, with the reason') or diag($log);

$node->stop;
$broker->stop;
done_testing();
