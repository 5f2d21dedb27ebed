# A gRPC server in another language than ours: what it sees, how it says its own speed, and what the client makes
# of each way in which it can end a stream.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use GrpcServer;
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = make_node('grpc');
my $db = conninfo($node, 'postgres');
my $server = GrpcServer->new;
my $next = 1;

$node->safe_psql('postgres', 'CREATE TABLE orders (id int PRIMARY KEY, note text)');
create_slot($node, 'postgres', $_) foreach qw(cdc truth other);

# insert(N): so many rows in one transaction
sub insert
{
	my ($rows) = @_;
	my $from = $next;

	$next += $rows;
	$node->safe_psql('postgres',
		"INSERT INTO orders SELECT g, 'note ' || g FROM generate_series($from, $next - 1) g");
	return;
}

# A batch ends when it is full, and at the end: a loaded machine cuts none by the clock.
# stream([URI's query], [args...]): until all is delivered, or it fails; (exit code, log)
sub stream
{
	my ($query, @args) = @_;
	return run_client($db, 'cdc', $server->url($query), '--until=now', '--commit-interval=1s', @args);
}

# whole(NAME): the server has each record that there is, once, in order, byte by byte
sub whole
{
	my ($name) = @_;
	my $truth = read_lines(decode($node, 'postgres', 'truth'));
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is_deeply([ $server->dump ], $truth, $name);
	return;
}

# delivers(NAME, QUERY, [args...]): what is new arrives
sub delivers
{
	my ($name, $query, @args) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	my ($code, $log) = stream($query, @args);
	is($code, 0, $name) or diag($log);
	whole("$name: each record, once, in order");
	return $log;
}

# ------------------------------------------------------------------------------------------------
# What the server sees
# ------------------------------------------------------------------------------------------------

insert(100);
like(delivers('a first stream', undef), qr/the sink has no position for slot "cdc" yet/, 'the server has no position');
my ($hello) = $server->streams;
my $system = $node->safe_psql('postgres', 'SELECT system_identifier FROM pg_control_system()');
is($hello->{source}, "$system/postgres/cdc", 'hello says whose records they are');
is($hello->{name}, 'postgres', 'and what they call their source');
like($hello->{agent}, qr/^cdc_client\//, 'and who calls');
$node->safe_psql('postgres', q(
	UPDATE orders SET id = 1001 WHERE id = 1;
	DELETE FROM orders WHERE id = 1001;
	TRUNCATE orders;
	SELECT pg_logical_emit_message(true, 'p', 'content');
));
delivers('other kinds of records', undef);
my @rows = map { [ split(/\t/) ] } $server->dump(qw(op relation target key old_key seq));
is(join('|', @{ $rows[0] }), 'OP_INSERT|public.orders|public.orders|{"id":1}||1', 'an insert');
is(join('|', @{ $rows[100] }[ 0 .. 4 ]), 'OP_UPDATE|public.orders|public.orders|{"id":1001}|{"id":1}', 'an update of the key');
is(join('|', @{ $rows[101] }[ 0 .. 3 ]), 'OP_DELETE|public.orders|public.orders|{"id":1001}', 'a delete');
is($rows[102][0], 'OP_TRUNCATE', 'a truncate');
is(join('|', @{ $rows[103] }[ 0 .. 2 ]), 'OP_MESSAGE|.|cdc.messages', 'a message');
like(delivers('nothing new', undef, '--require-position'), qr/reached the end/, 'the position is read back');
$next = 1;
insert(3000);
delivers('batches by number', 'batch-records=300');
my %batches;
$batches{$_}++ foreach ($server->dump('batch'))[ 104 .. 3103 ];
is(join(' ', map { $batches{$_} } sort { $a <=> $b } keys %batches), '300 300 300 300 300 300 300 300 300 300', 'so many records each');
{
	local $server->{path} = '/{source}.{table}';
	insert(1);
	delivers('a target', undef);
	is(($server->dump('target'))[-1], 'postgres.orders', 'as the URI says');
}

# doctor, status and offsets look without fencing
insert(1);
my $running = start_client($db, 'cdc', $server->url);
wait_until('the record', sub { ($server->dump)[-1] =~ /"id":3002/ });
my ($stdout, $stderr) = run_command([ client_binary(), 'status', '--json', "--dbname=$db", '--slot=cdc', '--sink=' . $server->url ]);
my $status = JSON::PP::decode_json($stdout);
is($status->[0]{sink}{position}{slot}, 'cdc', 'status shows the position') or diag("$stdout$stderr");
like($status->[0]{sink}{position}{commit_lsn}, qr{^[0-9A-F]+/[0-9A-F]+$}, 'of the last record');
ok(($server->streams)[-1]{look}, 'it was a look');
insert(1);
wait_until('another record', sub { ($server->dump)[-1] =~ /"id":3003/ });
is(kill_client($running, 'INT'), 0, 'who streams is not disturbed') or diag(client_log($running));
unlike(client_log($running), qr/WARNING/, 'at all');

# offsets set stores a position as any other: here the newest, so that nothing comes again
my $end = endpos($node);
foreach my $command ([ 'set', "--lsn=$end", '--yes' ], ['show'])
{
	($stdout, $stderr) = run_command([ client_binary(), 'offsets', @$command, "--dbname=$db", '--slot=cdc', '--sink=' . $server->url ]);
	is($?, 0, "offsets $command->[0]") or diag("$stdout$stderr");
}
my ($shown) = $stdout =~ m{^last record +([0-9A-F]+/[0-9A-F]+) }m;
is(lsn_number($shown // '0/0'), lsn_number($end), 'the position is what was set') or diag("$stdout$stderr");
delivers('and what comes next is delivered', undef);

# ------------------------------------------------------------------------------------------------
# Its speed
# ------------------------------------------------------------------------------------------------

insert(2000);
$server->behave(window => { records => 50 }, delay => 0.002);
my $before = $server->dump;
delivers('a window of records', undef);
%batches = ();
$batches{$_}++ foreach ($server->dump('batch'))[ $before .. $before + 1999 ];
ok(!(grep { $_ > 50 } values %batches), 'no more at a time');
insert(2000);
$server->behave(window => { bytes => 8192 });
$before = $server->dump;
delivers('a window of bytes', undef);
cmp_ok(scalar(do { my %seen; grep { !$seen{$_}++ } ($server->dump('batch'))[ $before .. $before + 1999 ] }), '>=', 50, 'batches are smaller');

insert(5000);
$server->behave(window => { paused => 1 });
$before = $server->dump;
$running = start_client($db, 'cdc', $server->url('ack-timeout=100ms'), args => ['--until=now']);
wait_log($running, qr/streaming slot/);
insert(1);
PostgreSQL::Test::Utils::system_or_bail('sleep', '1'); # that nothing happens is what is tested
is(scalar($server->dump), $before, 'paused: nothing is sent');
unlike(client_log($running), qr/WARNING/, 'and nothing is wrong with that');
$server->behave(window => {});
is(wait_client($running), 0, 'and goes on') or diag(client_log($running));
$server->behave(skip_acks => 3);
insert(3000);
my ($code, $log) = stream('batch-records=100', '--max-in-flight=64KiB');
is($code, 0, 'answers left out') or diag($log);
$server->behave;
delivers('nothing is missing after all this', undef);

# ------------------------------------------------------------------------------------------------
# Ends of streams
# ------------------------------------------------------------------------------------------------

insert(1);
foreach my $case (
	[ 'UNIMPLEMENTED', 2, qr/ERROR .*server 127\.0\.0\.1:\d+ ended the stream with UNIMPLEMENTED: because/, qr/HINT .*cdc_sink\.proto/ ],
	[ 'PERMISSION_DENIED', 2, qr/with PERMISSION_DENIED: because/, qr/HINT .*metadata-file/ ],
	[ 'FAILED_PRECONDITION', 2, qr/with FAILED_PRECONDITION: because/ ],
	[ 'UNAVAILABLE', 3, qr/with UNAVAILABLE: because/ ],
	[ 'ABORTED', 3, qr/with ABORTED: because/ ],
	[ 'RESOURCE_EXHAUSTED', 3, qr/with RESOURCE_EXHAUSTED: because/ ],
	[ 'INVALID_ARGUMENT', 2, qr/with INVALID_ARGUMENT: because/ ])
{
	my ($name, $expected, @patterns) = @$case;
	foreach my $after (0, 1)
	{
		insert(2);
		$server->behave(end => { code => $name, text => "because\nof it" }, end_after => $after);
		($code, $log) = stream('batch-records=1', '--retry-for=0');
		is($code, $name eq 'INVALID_ARGUMENT' && $after ? 2 : $expected, "$name after $after batches") or diag($log);
		like($log, $_, 'and it is said') foreach @patterns;
	}
}
$server->behave(silent => 1);
($code, $log) = stream('timeout=500ms', '--retry-for=0');
is($code, 3, 'no answer to hello');
like($log, qr/server \S+ has not answered in 0\.5 s/, 'is said');
$server->behave(delay => 3);
($code, $log) = stream('ack-timeout=500ms', '--retry-for=0');
is($code, 3, 'no acknowledgement');
like($log, qr/has acknowledged nothing for 0\.5 s, with \d+ batches on their way/, 'is said');
$server->behave(wrong_position => 1);
($code, $log) = stream();
is($code, 2, 'a position that is none');
like($log, qr/acknowledged a position that is none of a batch's: commit_lsn/, 'is said');
$server->behave(token => 'Bearer t0ken');
($code, $log) = stream();
is($code, 2, 'no credentials');
like($log, qr/UNAUTHENTICATED: who are you\?/, 'is said');
my $metadata = PostgreSQL::Test::Utils::tempdir() . '/metadata';
append_to_file($metadata, "Authorization: Bearer t0ken\n");
$server->behave(token => 'Bearer t0ken');
delivers('credentials of a file', "metadata-file=$metadata");
$server->behave;

# ------------------------------------------------------------------------------------------------
# Records that are refused
# ------------------------------------------------------------------------------------------------

insert(1000);
my $bad = $next - 300;
$server->behave(refuse => "\"note $bad\"");
($code, $log) = stream('batch-records=64');
is($code, 2, 'a refused record stops');
like($log, qr/ERROR .*record \S+ seq 701 of public\.orders was refused by sink "grpc": server \S+ refused it: it is not wanted/, 'it is named, with the reason');
unlike(join("\n", $server->dump), qr/"note $bad"/, 'it is not there');
is(($server->dump)[-1] =~ /"note (\d+)"/ ? $1 : '', $bad - 1, 'all before it is');
my $dead = PostgreSQL::Test::Utils::tempdir() . '/dead.ndjson';
($code, $log) = stream('batch-records=64', "--on-error=dead-letter:file://$dead");
is($code, 0, 'it is set aside') or diag($log);
is(scalar @{ read_lines($dead) }, 1, 'alone');
is(($server->dump)[-1] =~ /"note (\d+)"/ ? $1 : '', $next - 1, 'and all others arrive');

# A server that goes on behind a record that it refused has lost it: at least that is said.
insert(1000);
$bad = $next - 500;
$server->behave(refuse => "\"note $bad\"", go_on => 1);
($code, $log) = stream('batch-records=10');
is($code, 2, 'a server that goes on behind a refused record');
like($log, qr/refused record \S+ seq 501, and has then stored a position behind it/, 'is found out');
$server->behave;

# Larger than the server takes: gRPC itself refuses, and does not say which message.
$node->safe_psql('postgres', "INSERT INTO orders VALUES (-1, 'small'), (-2, repeat('x', 6000000)), (-3, 'small')");
($code, $log) = stream(undef, '--retry-for=0');
is($code, 2, 'a record that is too large stops');
like($log, qr/record \S+ seq 2 of public\.orders was refused .*RESOURCE_EXHAUSTED: \S* ?[Rr]eceived message larger than max/, 'it is named');
($code, $log) = stream(undef, "--on-error=dead-letter:file://$dead");
is($code, 0, 'it is set aside') or diag($log);
is(join(' ', map { /"id":(-\d)/ } ($server->dump)[ -2, -1 ]), '-1 -3', 'and the others arrive');
# a status that says nothing of which record: found where there is only one
insert(1);
$bad = $next - 1;
$server->behave(refuse => "\"note $bad\"", refuse_by => 'INVALID_ARGUMENT');
($code, $log) = stream();
is($code, 2, 'a status in place of a refusal');
like($log, qr/record \S+ seq 1 of public\.orders was refused .*INVALID_ARGUMENT: one of these is not wanted/, 'of the only record');
$server->behave;

# ------------------------------------------------------------------------------------------------
# What is given wrongly
# ------------------------------------------------------------------------------------------------

foreach my $case (
	[ "grpc://127.0.0.1", qr/"127\.0\.0\.1" in the sink's URI is not a host and a port/ ],
	[ "grpc://127.0.0.1:0", qr/is not a host and a port/ ],
	[ "grpc://me:s3cret\@127.0.0.1:1", qr/the sink's URI has a user, which gRPC has no place for/ ],
	[ $server->url('batsh-bytes=1'), qr/no parameter "batsh-bytes"/, qr/HINT .*batch-bytes=SIZE/ ],
	[ $server->url('batch-bytes=1'), qr/"1" is not between 1KiB and 64MiB/ ],
	[ $server->url('timeout=1d'), qr/"1d" is not between 100ms and 1h/ ],
	[ $server->url('cafile=/x'), qr/cafile in the sink's URI means something for grpcs/ ],
	[ $server->url('metadata-file=/nonexistent'), qr/could not open "\/nonexistent" \(metadata-file\)/ ],
	[ "grpcs://127.0.0.1:1?cert=/x", qr/has cert, but no key/ ],
	[ "grpc://127.0.0.1:1/{tabel}", qr/\{tabel\}/ ])
{
	my ($uri, @patterns) = @$case;
	($code, $log) = run_client($db, 'other', $uri, '--until=now', '--retry-for=0');
	is($code, 1, "$uri is refused");
	like($log, $_, 'and why is said') foreach @patterns;
	unlike($log, qr/s3cret/, 'without the password');
}
append_to_file($metadata, "grpc-timeout: 1\n");
($code, $log) = run_client($db, 'other', $server->url("metadata-file=$metadata"), '--until=now', '--retry-for=0');
is($code, 1, 'metadata that is gRPC\'s own is refused');
like($log, qr/line 2 of .* \(metadata-file\): sets grpc-timeout, which is gRPC's own/, 'and which is said');

$server->stop;
($code, $log) = stream(undef, '--retry-for=0');
is($code, 3, 'nobody listens');
like($log, qr/ended the stream with UNAVAILABLE: .*[Cc]onnection refused/, 'is said');
unlike($log, qr/^E\d{4}/m, 'in our words only');

$node->stop;
done_testing();
