# --on-error: records that a sink can never take stop the stream, or are set aside; each is in one of the two
# places once, whatever dies in between.  What the source is called comes from the pipeline.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RedisServer;
use Test::More;
use Time::HiRes qw(usleep);

my $node = make_node('errors');
# the least that Redis allows: what is larger is refused
my $redis = RedisServer->new('proto-max-bulk-len' => '1mb');
my $dir = PostgreSQL::Test::Utils::tempdir();
my $dead = "$dir/dead";
my $db = conninfo($node, 'postgres');
my $sink = $redis->uri('/cdc:{source}:{table}');
my ($code, $log);

seed_random(20261122);
$node->safe_psql('postgres', q{
	CREATE EXTENSION cdc_decoder;
	CREATE TABLE orders (id int PRIMARY KEY, note text);
	SELECT cdc.create_pipeline('shop', options => '{"source": "postgres_main"}')});
create_slot($node, 'postgres', 's');

sub insert
{
	my ($from, $to, @large) = @_;
	my $large = join(',', @large, 0);
	$node->safe_psql('postgres', "INSERT INTO orders SELECT g,
		CASE WHEN g IN ($large) THEN repeat('x', 1048576) ELSE 'small' END FROM generate_series($from, $to) g");
	return;
}

sub stream
{
	my (@args) = @_;
	return run_client($db, 's', $sink, '--pipeline=shop', '--until=now', @args);
}

sub taken
{
	my $entries = $redis->command('XRANGE', 'cdc:postgres_main:orders', '-', '+');
	return map { my %fields = @{ $_->[1] }; (join(' ', values %fields) =~ /"after":\{"id":(\d+)/) } @$entries;
}

sub letters
{
	return -e $dead ? @{ read_lines($dead) } : ();
}

# stop: everything before it is delivered
insert(1, 5, 4);
($code, $log) = stream();
is($code, 2, 'stop: exit code 2');
like($log, qr/ERROR +record [0-9A-F]+\/[0-9A-F]+ seq 4 of public\.orders was refused by sink "redis": the record has \d+ bytes/,
	'names record, table, sink and its answer');
like($log, qr/DETAIL .*All that was committed before it is durable.*HINT .*--on-error=dead-letter:/s, 'and the ways out');
is(join(' ', taken()), '1 2 3', 'what came before is delivered, to the source that the pipeline names');
like($log, qr/streaming slot "s" of database "postgres", source "postgres_main", from/, 'as the log says');
($code, $log) = stream();
is($code, 2, 'and again at the next start');
is(join(' ', taken()), '1 2 3', 'nothing comes twice');

# a dead-letter sink that cannot be used: nothing passes the record
foreach my $case (
	[ "file://$dir/none/dead", 1, qr/ERROR .*dead-letter sink: .*\Q$dir\E\/none/, 'one that cannot be reached' ],
	[ $redis->uri('/dead:{table}'), 2, qr/ERROR .*dead-letter sink refuses record \S+ seq 4 too.*HINT .*takes anything/s, 'one that refuses it too' ],
	[ $sink, 1, qr/ERROR .*leads to the sink that refuses records/, 'the very same' ],
	[ 'file://', 1, qr/names no file/, 'one that is none' ])
{
	($code, $log) = stream("--on-error=dead-letter:$case->[0]", '--retry-for=0');
	is($code, $case->[1], "a dead-letter sink, $case->[3]: exit code $case->[1]");
	like($log, $case->[2], "a dead-letter sink, $case->[3]: said");
}
is(join(' ', taken()), '1 2 3', 'nothing was passed over');

my @dead_letter = ("--on-error=dead-letter:file://$dead");
($code, $log) = stream(@dead_letter);
is($code, 0, 'dead-letter: goes on') or diag($log);
like($log, qr/WARNING +record \S+ seq 4 of public\.orders was refused and is in the dead-letter sink \(1 since the start\)/, 'says so');
like($log, qr/INFO +reached the end asked for: 1 records, \d+ bytes delivered, 1 dead letters/, 'and counts');
is(join(' ', taken()), '1 2 3 5', 'what comes behind is delivered');
my ($letter) = map { JSON::PP::decode_json($_) } letters();
is($letter->{source}, 'postgres_main', 'the letter: source');
is($letter->{slot}, 's', 'slot');
is("$letter->{schema}.$letter->{table} $letter->{op} $letter->{seq}", 'public.orders insert 4', 'record');
is($letter->{key}{id}, 4, 'key');
like($letter->{reason}, qr/^refused by sink "redis"$/, 'reason');
like($letter->{answer}, qr/^the record has \d+ bytes/, 'answer');
is($letter->{record}{commit_lsn}, $letter->{commit_lsn}, 'the record itself, as JSON');
is(length $letter->{record}{after}{note}, 1048576, 'all of it');
like($letter->{time}, qr/^20\d\d-\d\d-\d\dT[\d:]+\.\d{6}Z$/, 'time');
($code, $log) = stream(@dead_letter);
is(scalar letters(), 1, 'the next start does not write it again');

# killed at any moment, in the midst of a transaction with many: each record is in one of the two, once
my @large = map { 100 + 12 * $_ } 0 .. 24;
insert(100, 400, @large);
for my $round (1 .. 8)
{
	my $from = -e $dead ? -s $dead : 0;
	my $client = start_client($db, 's', $sink,
		args => [ '--pipeline=shop', '--until=now', '--commit-interval=0', '--max-in-flight=64KiB', @dead_letter ]);

	wait_log($client, qr/streaming slot/);
	# at some point of a letter's way: before it is there, or just after
	wait_until('another letter, or the end',
		sub { -s $dead > $from || client_log($client) =~ /reached the end/ }) unless chance(3);
	usleep(between(0, 30_000));
	kill_client($client, 'KILL');
}
($code, $log) = stream(@dead_letter);
is($code, 0, 'to the end') or diag($log);
my %is_large = map { $_ => 1 } @large;
is(join(' ', taken()), join(' ', 1, 2, 3, 5, grep { !$is_large{$_} } 100 .. 400), 'all others are in the sink, once and in order');
is(join(' ', map { /"key":\{"id":(\d+)\},"record":\{/ } letters()), join(' ', 4, @large), 'those refused are letters, once and in order');

# into a pipe, at least once
insert(501, 503, 502);
my $client = start_client($db, 's', $sink, args => [ '--pipeline=shop', '--until=now', '--on-error=dead-letter:-', '--log-format=json' ]);
is(wait_client($client), 0, 'letters to the standard output');
like(slurp_bytes("$client->{log}.stdout"), qr/\A\{[^\n]*"seq":2,[^\n]*\}\n\z/, 'one is there');

$redis->signal('TERM');
$node->stop;
done_testing();
