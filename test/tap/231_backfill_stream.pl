# Existing rows on request while a stream goes on: under load, again, with a filter, two at once, requested before the
# client was started, cancelled, killed; what was delivered, replayed, is what the tables hold.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcPostgresqlSink;
use CdcSnapshot;
use CdcStream;
use CdcTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

seed_random(20260701);
my $rows = 6000;
my $node = make_node('source');
my $db = conninfo($node, 'postgres');
my $dir = PostgreSQL::Test::Utils::tempdir();

sub request
{
	my ($relation, $filter) = @_;
	my $arguments = join(', ', map { defined $_ ? "\$q\$$_\$q\$" : () } 'all', $relation, $filter);
	return $node->safe_psql('postgres', "SELECT cdc.backfill($arguments)");
}

# state_is(REQUEST, SLOT, STATE): waited for
sub state_is
{
	my ($request, $slot, $state, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $found = $node->poll_query_until('postgres', "SELECT state FROM cdc.backfills WHERE id = $request AND slot = '$slot'", $state);

	return ok($found, $name) || diag($node->safe_psql('postgres', 'SELECT * FROM cdc.backfills'));
}

sub snapshots
{
	my ($file, $table) = @_;
	return scalar grep { /^\{"op":"snapshot",.*?"table":"$table",/ } @{ read_lines($file) };
}

make_tables($node, $rows);
$node->safe_psql('postgres', q(
	CREATE TABLE still (id int PRIMARY KEY, v text);
	INSERT INTO still SELECT g, 'v' || g FROM generate_series(1, 2500) g;
	SELECT cdc.create_pipeline('all')));

# ------------------------------------------------------------------------------------------------
# A new slot, to which nothing has been delivered of what the tables hold
# ------------------------------------------------------------------------------------------------

is(request('still'), '1', 'a request before the slot is made');
create_slot($node, 'postgres', 's');
create_slot($node, 'postgres', 'plain');
is(request('still', 'id <= 1000'), '2', 'and one after, before the client is started');
my $file = "$dir/s.ndjson";
my @args = ('--pipeline=all', '--snapshot=never');
my ($code, $log) = run_client($db, 's', "file://$file", @args, '--until=now');
is($code, 0, 'a client serves what was requested after its slot was made, and ends') or diag($log);
like($log, qr/request 2 for existing rows of public\.still: through, 1000 rows/, 'and says so');
is(snapshots($file, 'still'), 1000, 'just those rows');
is($node->safe_psql('postgres', q(SELECT id, slot, state, rows, reading FROM cdc.backfills WHERE slot = 's')), '2|s|done|1000|public.still', 'and has told the server');
($code, $log) = run_client($db, 's', "file://$file", @args, '--until=now');
is($code, 0, 'another start') or diag($log);
unlike($log, qr/request/, 'has nothing to do');

# ------------------------------------------------------------------------------------------------
# Under load: all tables, two requests at once, again, filters
# ------------------------------------------------------------------------------------------------

my $client = start_client($db, 's', "file://$file", args => [ @args, '--commit-interval=10ms' ]);
wait_log($client, qr/streaming slot/);
my $load = start_load($node, $rows);
my @requests = map { request($_) } qw(items parted by_code whole short empty keyless);
my $filtered = request('items', 'id % 2 = 0');
my $again = request('still');
state_is($again, 's', 'done', 'all of them are served');
is($node->safe_psql('postgres', "SELECT string_agg(state, ' ') FROM cdc.backfills WHERE slot = 's' AND id IN (" . join(',', @requests, $filtered) . ')'),
	join(' ', ('done') x 8), 'each');
stop_load($load);
is(kill_client($client, 'TERM'), 0, 'the client ends') or diag(client_log($client));
($code, $log) = run_client($db, 's', "file://$file", @args, '--until=now');
is($code, 0, 'what was left of the load') or diag($log);
my $counts = check_replay('replayed, it is what the tables hold', $node,
	[qw(items by_code whole short empty keyless parted_1 parted_2 still)], $file);
is(snapshots($file, 'still'), 3500, 'the same table again');
my $even = grep { /^\{"op":"snapshot",.*"table":"items",.*"after":\{"id":\d*[02468],/ } @{ read_lines($file) };
cmp_ok($even, '>', snapshots($file, 'items') - $even, 'a filter under load');
is($node->safe_psql('postgres', q(SELECT count(*) FROM cdc.backfills WHERE slot = 'plain')), '0', 'a slot without the pipeline is none of it');
($code, $log) = run_client($db, 'plain', "file://$dir/plain.ndjson", '--snapshot=never', '--until=now');
is($code, 0, 'it is streamed') or diag($log);
is(scalar(grep { /"op":"snapshot"/ } @{ read_lines("$dir/plain.ndjson") }), 0, 'and has no existing rows');

# ------------------------------------------------------------------------------------------------
# A row that changes while its chunk is read, by an update that does not carry all of its values
# ------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', q(
	CREATE TABLE held (id int PRIMARY KEY, n int, body text); ALTER TABLE held ALTER body SET STORAGE EXTERNAL;
	INSERT INTO held SELECT g, 0, repeat('b' || g, 2000) FROM generate_series(1, 50) g));
$client = start_client($db, 's', "file://$file", args => [@args]);
wait_log($client, qr/streaming slot/);
# the reading waits, behind its first watermark, for a commit that waits for a standby
$node->safe_psql('postgres', q(ALTER SYSTEM SET synchronous_standby_names = 'none_such'));
$node->reload;
$node->poll_query_until('postgres', q(SELECT setting = 'none_such' FROM pg_settings WHERE name = 'synchronous_standby_names'));
my $commit = IPC::Run::start([ $node->installed_command('psql'), '-XAtq', '-d', $node->connstr('postgres'), '-c', q(INSERT INTO held VALUES (51, 0, 'b51')) ],
	'<', \undef, '>', \my $commit_out, '2>', \my $commit_said, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
$node->poll_query_until('postgres', q(SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep')) or die 'no commit waits';
my $held = $node->safe_psql('postgres', q(SET synchronous_commit = local; SELECT cdc.backfill('all', 'held')));
$node->poll_query_until('postgres', q(SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted)) or die 'the reading does not wait';
$node->safe_psql('postgres', q(SET synchronous_commit = local; UPDATE held SET n = 1 WHERE id = 25));
$node->safe_psql('postgres', q(ALTER SYSTEM RESET synchronous_standby_names));
$node->reload;
$commit->finish;
state_is($held, 's', 'done', 'the request is served');
is(kill_client($client, 'TERM'), 0, 'the client ends') or diag(client_log($client));
my @held = grep { /"table":"held"/ && !/"op":"insert"/ } @{ read_lines($file) };
is(join(' ', map { /^\{"op":"(.).*"after":\{"id":(\d+)/ } @held), join(' ', 'u', 25, map { ('s', $_) } 1 .. 51), 'each row once, the changed one, too');
my ($before25, $lsn25, $after25) = map { lsn_number($_) } map { /"commit_lsn":"([^"]+)"/ } @held[24 .. 26];
cmp_ok($before25, '<', $lsn25, 'which was read again, with what is behind it');
cmp_ok($lsn25, '<=', $after25, 'in order');
like($held[25], qr/"after":\{"id":25,"n":1,"body":"(?:b25){2000}"\}/, 'and has the value that the update lacks');
like($held[0], qr/"unchanged":\["body"\]/, 'as that says');

# ------------------------------------------------------------------------------------------------
# Cancelled
# ------------------------------------------------------------------------------------------------

$client = start_client($db, 's', "file://$file", args => [ @args, '--max-rate=500' ]);
wait_log($client, qr/streaming slot/);
my $slow = request('items');
my $next = request('short');
my $never = request('still');
state_is($slow, 's', 'running', 'a request that takes its time');
$node->safe_psql('postgres', "SELECT cdc.cancel_backfill($never), cdc.cancel_backfill($slow)");
state_is($slow, 's', 'cancelled', 'is cancelled');
state_is($next, 's', 'done', 'the next one is served');
state_is($never, 's', 'cancelled', 'one that had not begun is not');
wait_log($client, qr/request $never for existing rows of public\.still: cancelled, 0 rows/);
like(client_log($client), qr/request $slow for existing rows of public\.items is cancelled.*request $slow for existing rows of public\.items: cancelled, \d+ rows/s, 'the log says so');
is(kill_client($client, 'TERM'), 0, 'the client ends') or diag(client_log($client));
($code, $log) = run_client($db, 's', "file://$file", @args, '--until=now');
unlike($log, qr/request/, 'none of them is begun again');

# ------------------------------------------------------------------------------------------------
# What cannot be served
# ------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', q(
	CREATE TABLE gone (id int PRIMARY KEY); INSERT INTO gone SELECT generate_series(1, 100);
	CREATE TABLE bare (id int PRIMARY KEY, v int, w int); INSERT INTO bare SELECT g, g, 0 FROM generate_series(1, 100) g;
	CREATE TABLE rekeyed (id int PRIMARY KEY, v int NOT NULL); INSERT INTO rekeyed SELECT g, g FROM generate_series(1, 5000) g));
my @failing = (request('gone'), request('bare', 'w = 0'), request('bare', '10 / w = 1'), request('rekeyed'), request('bare'));
$node->safe_psql('postgres', q(DROP TABLE gone; ALTER TABLE bare DROP COLUMN w));
$client = start_client($db, 's', "file://$file", args => [ @args, '--max-rate=1000' ]);
state_is($failing[3], 's', 'running', 'requests that do not fit any more do not hold up the others');
$node->safe_psql('postgres', q(ALTER TABLE rekeyed DROP CONSTRAINT rekeyed_pkey, ADD PRIMARY KEY (v)));
state_is($failing[4], 's', 'done', 'nor does one in the midst of which the key changes');
my $messages = $node->safe_psql('postgres', "SELECT string_agg(state || ': ' || message, E'\\n' ORDER BY id) FROM cdc.backfills WHERE slot = 's' AND id IN (" . join(',', @failing) . ')');
like($messages, qr/^failed: table public\.gone was dropped.*\nfailed: .*column "w" does not exist\nfailed: .*column "w" does not exist\nfailed: .*primary key of table "rekeyed" is not the one/,
	'each says why');
like(client_log($client), qr/request $failing[0] for existing rows of public\.gone has failed/, 'the log, too');
is(kill_client($client, 'TERM'), 0, 'the stream goes on') or diag(client_log($client));

# ------------------------------------------------------------------------------------------------
# Behind the initial snapshot, by several workers; told by the position
# ------------------------------------------------------------------------------------------------

create_slot($node, 'postgres', 'w');
my $behind = request('still');
($code, $log) = run_client($db, 'w', "file://$dir/w.ndjson", '--pipeline=all', '--snapshot=initial', '--snapshot-workers=2', '--until=now');
is($code, 0, 'a request behind the initial snapshot') or diag($log);
like($log, qr/snapshot of existing rows: through.*request $behind for existing rows of public\.still: through, 2500 rows/s, 'one after the other');
is(snapshots("$dir/w.ndjson", 'still'), 5000, 'both are delivered');
like(slurp_file("$dir/w.ndjson.cdc-position"), qr/"snapshot":\{"kind":"backfill","request":$behind,"finished":true/, 'the position remembers it');
create_slot($node, 'postgres', 'v');
($code, $log) = run_client($db, 'v', "file://$dir/w.ndjson", '--until=now', '--accept=other-source');
is($code, 0, 'what is through is not taken for what is not') or diag($log);

# ------------------------------------------------------------------------------------------------
# A request that is in the stream before it is visible
# ------------------------------------------------------------------------------------------------

$client = start_client($db, 'v', "file://$dir/v.ndjson", args => [ '--pipeline=all', '--snapshot=never', '--accept=gap' ]);
wait_log($client, qr/streaming slot/);
$node->safe_psql('postgres', q(ALTER SYSTEM SET synchronous_standby_names = 'none_such'));
$node->reload;
$node->poll_query_until('postgres', q(SELECT setting = 'none_such' FROM pg_settings WHERE name = 'synchronous_standby_names'));
my $hanging = IPC::Run::start([ $node->installed_command('psql'), '-XAtq', '-d', $node->connstr('postgres'), '-c', q(SELECT cdc.backfill('all', 'still')) ],
	'<', \undef, '>', \my $hung, '2>', \my $said, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
wait_log($client, qr/request \d+ for existing rows is not visible yet/);
$node->safe_psql('postgres', q(ALTER SYSTEM RESET synchronous_standby_names));
$node->reload;
$hanging->finish;
chomp $hung;
state_is($hung, 'v', 'done', 'is served when it is');
is(kill_client($client, 'TERM'), 0, 'the client ends') or diag(client_log($client));
is(snapshots("$dir/v.ndjson", 'still'), 2500, 'its rows');

# ------------------------------------------------------------------------------------------------
# Killed, with a sink that has transactions, and with a file
# ------------------------------------------------------------------------------------------------

my $target = sink_node('target');
create_slot($node, 'postgres', 'killed');
($code, $log) = run_client($db, 's', "file://$file", @args, '--until=now');
is($code, 0, 'what was requested in between') or diag($log);
my $sink = sink_uri($target, 'postgres');
foreach my $to ([ 's', "file://$file", 'still', 500 ], [ 'killed', $sink, 'items', 1000 ])
{
	my ($slot, $uri, $table, $rate) = @$to;
	my $number = request($table);
	my $during = 0;
	my $before = $table eq 'still' ? snapshots($file, 'still') : 0;

	# each reads a chunk of so many rows at once, and no other within a second
	for (1 .. 4)
	{
		my $killed = start_client($db, $slot, $uri, args => [ @args, "--max-rate=$rate", '--commit-interval=' . pick('0', '5ms'), '--max-in-flight=64KiB' ]);
		wait_log($killed, qr/request $number for existing rows: /);
		usleep(50_000 + int(rand(100_000)));
		kill_client($killed, 'KILL');
		$during++ if client_log($killed) =~ /request $number .*going on with/;
	}
	cmp_ok($during, '>=', 1, "$during clients were killed while they went on with $table");
	($code, $log) = run_client($db, $slot, $uri, @args, '--until=now');
	is($code, 0, "$slot: the last one ends") or diag($log);
	is($node->safe_psql('postgres', "SELECT state FROM cdc.backfills WHERE id = $number AND slot = '$slot'"), 'done', "$slot: the request is through");
	is(snapshots($file, 'still') - $before, 2500, "$slot: each row came once") if $table eq 'still';
	is($target->safe_psql('postgres', q(SELECT count(*) = count(DISTINCT key), count(*) FROM cdc_records WHERE op = 'snapshot' AND "table" = 'items')),
		't|' . $node->safe_psql('postgres', 'SELECT count(*) FROM items'), "$slot: each row came once") if $table eq 'items';
}

# the server crashes
my $crashed = request('items');
$client = start_client($db, 'killed', $sink, args => [ @args, '--max-rate=4000' ]);
state_is($crashed, 'killed', 'running', 'a request is being served');
$node->stop('immediate');
$node->start;
state_is($crashed, 'killed', 'done', 'and is through after a crash of the server');
is(kill_client($client, 'TERM'), 0, 'the client ends') or diag(client_log($client));
is($target->safe_psql('postgres', q(SELECT count(*) = 2 * count(DISTINCT key) FROM cdc_records WHERE op = 'snapshot' AND "table" = 'items')), 't', 'each row once more');

# a client that was gone when it had stored that the request is through, and before it had told the server
my $of_crashed = "request = $crashed AND slot = 'killed'";
my $told = $node->safe_psql('postgres', "SELECT state, rows FROM cdc.backfill_progress WHERE $of_crashed");
$node->safe_psql('postgres', "UPDATE cdc.backfill_progress SET state = 'running', rows = 7 WHERE $of_crashed");
($code, $log) = run_client($db, 'killed', $sink, @args, '--until=now');
is($code, 0, 'the next client ends') or diag($log);
is($node->safe_psql('postgres', "SELECT state, rows FROM cdc.backfill_progress WHERE $of_crashed"), $told, 'and has told the server what is so');
unlike($log, qr/request $crashed /, 'without serving it again');

# a sink that keeps no position: what the server was told decides
create_slot($node, 'postgres', 'out');
my $number = request('still');
foreach my $expected (2500, 0)
{
	my $out = output_file('stdout');
	open(my $handle, '>', $out) or die $!;
	is(wait_client(start_client($db, 'out', '-', stdout => $handle, args => [ @args, '--until=now' ])), 0, 'to the standard output');
	is(snapshots($out, 'still'), $expected, "$expected rows");
}

$node->stop;
$target->stop;
done_testing();
