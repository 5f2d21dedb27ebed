# What an HTTP endpoint sees: bodies, headers, signatures, compression, where requests go; and what the client
# makes of each kind of answer.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use Digest::SHA qw(sha256_hex);
use HttpReceiver;
use List::Util qw(uniq);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = make_node('http');
my $db = conninfo($node, 'postgres');
my $receiver = HttpReceiver->new;
my $system = $node->safe_psql('postgres', 'SELECT system_identifier FROM pg_control_system()');
my $next = 1;

$node->safe_psql('postgres', 'CREATE TABLE orders (id int PRIMARY KEY, note text); CREATE TABLE "a/../b" (id int PRIMARY KEY)');
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
	return run_client($db, 'cdc', $receiver->url($query), '--until=now', '--commit-interval=1s', @args);
}

# delivers(NAME, QUERY, [args...]): what is new arrives, byte by byte
my $seen = 0;
our $source = 'postgres';

sub delivers
{
	my ($name, $query, @args) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	$receiver->clear;
	my ($code, $log) = stream($query, @args);
	is($code, 0, $name) or diag($log);
	my $truth = read_lines(decode($node, 'postgres', 'truth', options => { source => $source }));
	is_deeply([ $receiver->records ], [ @$truth[ $seen .. $#$truth ] ], "$name: each record, once, in order");
	$seen = @$truth;
	return $log;
}

# stops(NAME, CODE, PATTERN...): nothing helps but a person, and the log says what
sub stops
{
	my ($name, $expected, @patterns) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	my ($code, $log) = stream();
	is($code, $expected, $name);
	like($log, $_, "$name: it is said") foreach @patterns;
	$receiver->behave;
	return;
}

# ------------------------------------------------------------------------------------------------
# Requests
# ------------------------------------------------------------------------------------------------

insert(100);
my $log = delivers('lines', undef);
like($log, qr/the sink keeps no position: starting at the confirmed position/, 'what a start means is said');
my ($request) = $receiver->requests;
my $headers = $request->{headers};
my ($lsn) = ($receiver->records)[0] =~ /"commit_lsn":"([^"]+)"/;
is($headers->{'content-type'}, 'application/x-ndjson', 'they are NDJSON');
is($headers->{'idempotency-key'}, "$system:postgres:cdc:0:$lsn-1-0..$lsn-100-0", 'the key is source and records');
is($headers->{'cdc-source'}, "$system:postgres:cdc", 'the source');
is($headers->{'cdc-first-record'}, "$lsn-1-0", 'the first record');
is($headers->{'cdc-last-record'}, "$lsn-100-0", 'the last record');
is($headers->{'cdc-record-count'}, 100, 'how many');
is($headers->{'cdc-timeline'}, 1, 'the timeline');
is($headers->{'cdc-incarnation'}, 0, 'the incarnation');
ok(!exists $headers->{expect}, 'no question whether the body may come');

insert(1000);
delivers('an array', 'cdc.batch=array&cdc.batch-records=300');
my @requests = $receiver->requests;
is(join(' ', map { $_->{records} } @requests), '300 300 300 100', 'batches of so many records');
is($requests[0]{headers}{'content-type'}, 'application/json', 'they are JSON');
is(scalar(uniq(map { $_->{peer} } @requests)), 1, 'one connection is kept');

insert(3);
delivers('one by one', 'cdc.batch=single');
@requests = $receiver->requests;
is(join(' ', map { "$_->{records} $_->{headers}{'content-type'}" } @requests), join(' ', ('1 application/json') x 3), 'a record is a body');

# CloudEvents, in the modes of their HTTP binding
foreach my $mode ([ 'cdc.batch=array', 'application/cloudevents-batch+json', 1 ],
	[ 'cdc.batch=single', 'application/cloudevents+json', 4 ], [ undef, 'application/x-ndjson', 1 ])
{
	my ($query, $type, $number) = @$mode;
	my $slot = 'events' . ($query // '') =~ s/\W/_/gr;

	create_slot($node, 'postgres', $_) foreach $slot, "${slot}_truth";
	insert(4);
	$receiver->clear;
	my ($exit, $said) = run_client($db, $slot, $receiver->url($query), '--until=now', '--format=cloudevents', '--commit-interval=1s');
	is($exit, 0, "events: $type") or diag($said);
	is_deeply([ $receiver->records ], read_lines(decode($node, 'postgres', "${slot}_truth", options => { format => 'cloudevents' })), 'each of them');
	is(join(' ', map { $_->{headers}{'content-type'} } $receiver->requests), join(' ', ($type) x $number), 'by its type');
}

insert(2000);
delivers('batches by size', 'cdc.batch-bytes=10KiB');
@requests = $receiver->requests;
ok(!(grep { $_->{length} > 10240 } @requests), 'none is larger');
cmp_ok(scalar @requests, '<', 60, 'and they are full');

foreach my $coding ('gzip', 'zstd')
{
	insert(3000);
	delivers($coding, "cdc.compress=$coding");
	($request) = $receiver->requests;
	is($request->{headers}{'content-encoding'}, $coding, 'it is named');
	cmp_ok($request->{length}, '<', $request->{records} * 30, 'the body is smaller');
}

my $secret = PostgreSQL::Test::Utils::tempdir() . '/secret';
append_to_file($secret, "a secret\n");
insert(10);
$receiver->behave(secret => 'a secret');
delivers('signed by a file\'s secret', "cdc.secret-file=$secret&cdc.compress=gzip");
ok((grep { $_->{signed} } $receiver->requests), 'the signature is good');
{
	local $ENV{HOOK_SECRET} = 'a secret';
	insert(10);
	delivers('signed by a variable\'s secret', 'cdc.secret-env=HOOK_SECRET');
	ok((grep { $_->{signed} } $receiver->requests), 'the signature is good');
}
$receiver->behave;

my $more = PostgreSQL::Test::Utils::tempdir() . '/headers';
append_to_file($more, "# who we are\nAuthorization: Bearer t0ken\nX-Tenant: shop\n");
insert(10);
delivers('more headers and a query', "key=a%26b&cdc.headers-file=$more&flag");
($request) = $receiver->requests;
is($request->{headers}{authorization}, 'Bearer t0ken', 'headers of the file');
is($request->{headers}{'x-tenant'}, 'shop', 'all of them');
is($request->{path}, '/cdc?key=a%26b&flag', 'the query is the endpoint\'s, as it stands');

{
	local $receiver->{path} = '/{source}/{schema}.{table}';
	insert(1);
	$node->safe_psql('postgres', 'INSERT INTO "a/../b" VALUES (1)');
	insert(1);
	local $source = 'web';
	delivers('an address for each table', 'k=v', '-o', 'source=web');
	is(join(' ', map { $_->{path} } $receiver->requests),
		'/web/public.orders?k=v /web/public.a____b?k=v /web/public.orders?k=v', 'no name leads elsewhere');
}

# ------------------------------------------------------------------------------------------------
# Answers that pass
# ------------------------------------------------------------------------------------------------

foreach my $case (
	[ 'a server that fails', { status => 500 } ],
	[ 'a server that is busy', { status => 503 } ],
	[ 'too many requests', { status => 429, headers => { 'Retry-After' => '1' } } ],
	[ 'a conflict', { status => 409 } ],
	[ 'a timeout of the server\'s', { status => 408 } ],
	[ 'a connection closed before the answer', { status => 200, cut => 'before', take => 0 } ],
	[ 'a connection closed within the answer', { status => 200, cut => 'within', take => 0 } ])
{
	my ($name, $answer) = @$case;
	insert(5);
	$receiver->behave(answers => [ $answer, $answer ]);
	delivers($name, undef);
	@requests = $receiver->requests;
	is(scalar @requests, 3, "$name: three requests");
	is(scalar(uniq(map { "$_->{digest} $_->{headers}{'idempotency-key'}" } @requests)), 1, "$name: the same bytes, the same key");
	cmp_ok($requests[1]{time} - $requests[0]{time}, '>=', 1, "$name: it waits as long as it is asked to")
	  if $answer->{headers};
}

# Longer than is waited in silence: the log says so, and the wait holds over the session's end.  The date is
# of whole seconds, so a little may be missing.
insert(5);
my $until = time() + 6;
$receiver->behave(answers =>
	  [ { status => 503, body => 'closed for lunch', headers => { 'Retry-After' => POSIX::strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime($until)) } } ]);
$log = delivers('a date to come again at', undef);
like($log, qr{WARNING POST http://127\.0\.0\.1:\d+/cdc \(records \S+-1-0 to \S+-5-0\) was answered with 503: closed for lunch}, 'the log says why it waits');
like($log, qr/It asks to be left alone for \d s/, 'and how long');
@requests = $receiver->requests;
is(scalar @requests, 2, 'two requests');
cmp_ok($requests[1]{time}, '>=', $until - 1, 'the second when it was asked for');
is($requests[0]{headers}{'idempotency-key'}, $requests[1]{headers}{'idempotency-key'}, 'with the key of the first');

insert(5);
$receiver->behave(delay => 2);
$receiver->clear;
my ($code) = stream('cdc.timeout=500ms', '--retry-for=0');
is($code, 3, 'an endpoint that does not answer in time');
$receiver->behave;
delivers('it gets the same again', undef);

insert(200);
$receiver->behave(answers => [ { status => 307, headers => { Location => '/moved?x=1' } } ]);
delivers('a redirection on the same host', undef);
is(join(' ', map { $_->{path} } $receiver->requests), '/cdc /moved?x=1', 'it is followed, with the body');
is(scalar(uniq(map { $_->{digest} } $receiver->requests)), 1, 'the same one');

insert(2000);
$receiver->behave(max_body => 20_000);
delivers('requests that are too large', undef);
@requests = $receiver->requests;
cmp_ok(scalar(grep { $_->{status} == 413 } @requests), '<', 12, 'it learns how large they may be');

# ------------------------------------------------------------------------------------------------
# Answers that do not
# ------------------------------------------------------------------------------------------------

insert(1);
foreach my $case (
	[ 401, qr/ERROR .*POST \S+ \(record \S+\) was answered with 401: who\?/, qr/HINT .*cdc\.headers-file/ ],
	[ 403, qr/answered with 403: who\?/, qr/HINT .*cdc\.secret-file/ ],
	[ 404, qr/answered with 404: who\?/, qr/HINT .*path in the sink's URI/ ],
	[ 405, qr/answered with 405: who\?/, qr/HINT .*takes no POST/ ])
{
	my ($status, @patterns) = @$case;
	$receiver->behave(answers => [ { status => $status, body => "who?\n" } ]);
	stops("status $status", 2, @patterns);
}
$receiver->behave(answers => [ { status => 301, headers => { Location => "http://127.0.0.1:$receiver->{port}/x" } } ]);
stops('a redirection that drops the body', 2, qr/answered with 301/, qr{DETAIL .*http://127\.0\.0\.1:\d+/x});
$receiver->behave(answers => [ { status => 307, headers => { Location => 'http://example.com/x?key=1' } } ]);
stops('a redirection to another host', 2, qr{DETAIL .*http://example\.com/x\.}, qr/HINT .*To another host/);
$receiver->behave(answers => [ map { +{ status => 307, headers => { Location => '/again' } } } 1 .. 6 ]);
stops('redirections without end', 2, qr/HINT .*redirected too often/);
delivers('nothing is lost by any of these', undef);

# One record that is refused: found in its batch, all before it is delivered, and nothing behind it.
insert(1000);
my $bad = $next - 300;
$receiver->behave(refuse => "\"note $bad\"");
$receiver->clear;
($code, $log) = stream();
is($code, 2, 'a refused record stops');
like($log, qr/ERROR .*record \S+ seq 701 of public\.orders was refused by sink "http": POST \S+ \(record \S+-701-0\) was answered with 422: one of these is not wanted/,
	'it is named, with the answer');
my @records = $receiver->records;
is(scalar @records, 700, 'all before it are delivered, once, and none behind it');
cmp_ok(scalar($receiver->requests), '<', 25, 'it is found by halves');
$receiver->behave;
$receiver->clear;
($code) = stream();
is($code, 0, 'accepted at last');
$seen += 1000;
is(scalar(grep { /"note $bad"/ } $receiver->records), 1, 'it is delivered');

# Several, in one batch, set aside: everything else arrives, once.
my $dead = PostgreSQL::Test::Utils::tempdir() . '/dead.ndjson';
insert(500);
my @bad = ($next - 500, $next - 320, $next - 319, $next - 1);
$receiver->behave(refuse => '"note (' . join('|', @bad) . ')"');
$receiver->clear;
($code, $log) = stream(undef, "--on-error=dead-letter:file://$dead");
is($code, 0, 'records that are refused are set aside') or diag($log);
@records = $receiver->records;
is(scalar @records, 496, 'all others are delivered, once');
my @letters = @{ read_lines($dead) };
is(join(' ', map { /"note":"note (\d+)"/ } @letters), join(' ', @bad), 'and these are where they were to go');
like($letters[0], qr/answered with 422: one of these is not wanted/, 'with the answer');
$seen += 500;
$receiver->behave;
insert(1);
delivers('and the stream goes on', undef);

# ------------------------------------------------------------------------------------------------
# What is given wrongly
# ------------------------------------------------------------------------------------------------

foreach my $case (
	[ 'cdc.batsh=array', qr/no parameter "cdc\.batsh"/, qr/HINT .*cdc\.batch=lines\|array/ ],
	[ 'compress=gzip', qr/"compress" .* looks like one of cdc_client's/, qr/HINT .*%63ompress/ ],
	[ 'cdc_compress=gzip', qr/"cdc_compress" .* looks like one/ ],
	[ 'cdc.batch', qr/cdc\.batch in the sink's URI has no value/ ],
	[ 'cdc.batch=csv', qr/cdc\.batch=csv .* none of "lines", "array" and "single"/ ],
	[ 'cdc.batch=single&cdc.batch-records=2', qr/cdc\.batch=single, and cdc\.batch-records=2/ ],
	[ 'cdc.batch=array&cdc.batch=array', qr/cdc\.batch is in the sink's URI twice/ ],
	[ 'cdc.batch-bytes=1', qr/"1" is not between 1KiB and 64MiB/ ],
	[ 'cdc.batch-records=x', qr/cdc\.batch-records=x .* from 1 to 100000/ ],
	[ 'cdc.timeout=0', qr/"0" is not between 100ms and 1h/ ],
	[ 'cdc.compress=lz4', qr/none of "none", "gzip" and "zstd"/ ],
	[ 'cdc.cafile=/x', qr/cdc\.cafile .* for https:\/\/ only/ ],
	[ 'cdc.key=/x', qr/cdc\.key, but no cdc\.cert/ ],
	[ 'cdc.secret-file=/nonexistent', qr/could not open "\/nonexistent" \(cdc\.secret-file\): No such file/ ],
	[ 'cdc.secret-env=NOSUCH', qr/variable "NOSUCH" \(cdc\.secret-env\) is not set/ ],
	[ "cdc.headers-file=$secret", qr/line 1 of "\Q$secret\E" \(cdc\.headers-file\): a header is wanted/, qr/HINT .*Name: value/ ],
	[ '#part', qr/has a fragment/ ])
{
	my ($query, @patterns) = @$case;
	($code, $log) = stream($query);
	is($code, 1, "$query is refused");
	like($log, $_, 'and why is said') foreach @patterns;
	unlike($log, qr/a secret/, 'without what is in the file') if $query =~ /headers-file/;
}
append_to_file($more, "Idempotency-Key: 1\n");
($code, $log) = stream("cdc.headers-file=$more");
is($code, 1, 'a header that is ours is refused');
like($log, qr/line 4 of .*: sets Idempotency-Key, which the client sets itself/, 'and which is said');
($code, $log) = stream(undef, '--require-position');
is($code, 1, '--require-position cannot be met');
like($log, qr/keeps no position/, 'and why is said');

# A password is nobody's business, whatever fails.
$receiver->stop;
($code, $log) = run_client($db, 'other', "http://me:s3cret\@127.0.0.1:$receiver->{port}/x?key=hidden", '--until=now', '--retry-for=0');
is($code, 3, 'nobody listens');
like($log, qr{POST http://127\.0\.0\.1:\d+/x \(records? .*failed: Failed to connect}, 'which is said');
unlike($log, qr/s3cret|hidden/, 'without the password and the query');

$node->stop;
done_testing();
