# cdc.backfill() and cdc_client backfill: what may be requested, and by whom; what a stream is told of it; what the
# extension's table and view say.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcAdmin qw(client_ok client_fails hold_transaction);
use CdcFrames;
use CdcTest;
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = make_node('requests');

$node->safe_psql('postgres', q(
	CREATE EXTENSION cdc_decoder;
	CREATE TABLE t (id int PRIMARY KEY, v text, at timestamptz);
	CREATE TABLE parted (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
	CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
	CREATE TABLE hollow (id int PRIMARY KEY) PARTITION BY RANGE (id);
	CREATE TABLE other (id int PRIMARY KEY);
	CREATE UNLOGGED TABLE fast (id int PRIMARY KEY);
	CREATE TABLE box (id int PRIMARY KEY, aggregate_type text, aggregate_id text, payload jsonb);
	CREATE VIEW seen AS SELECT * FROM t;
	CREATE PUBLICATION p FOR TABLE t, parted, hollow, box;
	SELECT cdc.create_pipeline('shop', ARRAY['p']);
	SELECT cdc.create_pipeline('copy', ARRAY['p']);
	SELECT cdc.set_outbox('shop', 'box');
	CREATE FUNCTION called(int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true';
	CREATE TABLE calls (by name);
	CREATE FUNCTION trap(int) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.calls VALUES (current_user); RETURN true; END$$;
	CREATE ROLE reader; CREATE ROLE owner; CREATE ROLE streamer REPLICATION; CREATE ROLE nobody;
	GRANT USAGE ON SCHEMA public TO reader, owner, streamer, nobody;
	GRANT EXECUTE ON FUNCTION cdc.create_pipeline(name, name[], jsonb) TO owner;
	GRANT SELECT ON t TO reader;
	SET ROLE owner; SELECT cdc.create_pipeline('owned', ARRAY['p'])));
create_slot($node, 'postgres', 's');

sub refused
{
	my ($name, $pattern, $sql) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($code, undef, $stderr) = $node->psql('postgres', $sql);

	ok($code != 0 && $stderr =~ $pattern, $name) or diag("code $code: $stderr");
	return;
}

# ------------------------------------------------------------------------------------------------
# What may be requested
# ------------------------------------------------------------------------------------------------

is($node->safe_psql('postgres', q(SELECT cdc.backfill('shop', 't'))), '1', 'the first request');
is($node->safe_psql('postgres', q(SELECT cdc.backfill('shop', 't', 'id > 5 AND lower(v) = ''a'''))), '2', 'with a filter');
is($node->safe_psql('postgres', q(SELECT cdc.backfill('shop', 'parted'))), '3', 'a partitioned table');
is($node->safe_psql('postgres', q(SELECT cdc.backfill('shop', 'parted_1', 'v IS NOT NULL'))), '4', 'a partition');
is($node->safe_psql('postgres', q(SELECT id, pipeline, relation, filter, slot, state, rows FROM cdc.backfills ORDER BY 1)),
	"1|shop|public.t|||pending|0\n2|shop|public.t|((id > 5) AND (lower(v) = 'a'::text))||pending|0\n"
	  . "3|shop|public.parted|||pending|0\n4|shop|public.parted_1|(v IS NOT NULL)||pending|0", 'the view');

refused('no such pipeline', qr/pipeline "none" does not exist.*HINT/s, q(SELECT cdc.backfill('none', 't')));
refused('no such table', qr/relation "none" does not exist/, q(SELECT cdc.backfill('shop', 'none')));
refused('NULL', qr/must not be NULL/, q(SELECT cdc.backfill('shop', NULL)));
refused('NULL pipeline', qr/must not be NULL/, q(SELECT cdc.backfill(NULL, 't')));
refused('a view', qr/"seen" is not a table.*HINT/s, q(SELECT cdc.backfill('shop', 'seen')));
refused('a catalog', qr/"pg_class" is a system catalog/, q(SELECT cdc.backfill('shop', 'pg_class')));
refused('one of the extension\'s', qr/does not select the rows of table "rule"/, q(SELECT cdc.backfill('shop', 'cdc.rule')));
refused('an unlogged table', qr/unlogged or temporary.*HINT.*SET LOGGED/s, q(SELECT cdc.backfill('shop', 'fast')));
refused('an outbox', qr/outbox table, whose rows are no state.*HINT/s, q(SELECT cdc.backfill('shop', 'box')));
refused('a table that is not selected', qr/pipeline "shop" does not select the rows of table "other".*HINT.*ADD TABLE/s,
	q(SELECT cdc.backfill('shop', 'other')));
refused('no partitions', qr/"hollow" has no partitions/, q(SELECT cdc.backfill('shop', 'hollow')));

# hostile and wrong filters
refused('a filter of somebody\'s function', qr/function called\(\) may not be used/, q(SELECT cdc.backfill('shop', 't', 'called(id)')));
refused('one that would be called', qr/function trap\(\) may not be used/, q(SELECT cdc.backfill('shop', 't', 'trap(id)')));
refused('no condition', qr/the filter is not a condition, but of type integer.*HINT/s, q(SELECT cdc.backfill('shop', 't', 'id')));
refused('no column', qr/column "x" does not exist/, q(SELECT cdc.backfill('shop', 't', 'x > 1')));
refused('a subquery', qr/may not use a subquery/, q(SELECT cdc.backfill('shop', 't', 'id IN (SELECT 1)')));
refused('another command', qr/not a single SQL expression/, q(SELECT cdc.backfill('shop', 't', 'true; DROP TABLE t')));
refused('a clause', qr/not a single SQL expression/, q(SELECT cdc.backfill('shop', 't', 'true FROM t')));
refused('the time', qr/may not use the time/, q(SELECT cdc.backfill('shop', 't', 'at > current_timestamp')));
refused('nothing', qr/syntax error|not a single SQL expression/, q(SELECT cdc.backfill('shop', 't', '')));
refused('too long', qr/filter is too long/, q(SELECT cdc.backfill('shop', 't', 'v = ' || quote_literal(repeat('x', 8000)))));
refused('past what is checked first', qr/function trap\(\) may not be used/, q(SELECT cdc.request_backfill('shop', 't', 'public.trap(id)')));
is($node->safe_psql('postgres', 'SELECT count(*) FROM calls'), '0', 'nobody\'s function was called');

# ------------------------------------------------------------------------------------------------
# By whom
# ------------------------------------------------------------------------------------------------

refused('nobody', qr/permission denied.*HINT.*owner/s, q(SET ROLE nobody; SELECT cdc.backfill('shop', 't')));
refused('who may read the table only', qr/permission denied/, q(SET ROLE reader; SELECT cdc.backfill('shop', 't')));
refused('who owns another pipeline', qr/permission denied/, q(SET ROLE owner; SELECT cdc.backfill('shop', 't')));
refused('who owns the pipeline, but may not read', qr/permission denied for table t/, q(SET ROLE owner; SELECT cdc.backfill('owned', 't')));
$node->safe_psql('postgres', 'GRANT SELECT ON t TO owner');
is($node->safe_psql('postgres', q(SET ROLE owner; SELECT cdc.backfill('owned', 't') > 4)), 't', 'who owns the pipeline and may read');
is($node->safe_psql('postgres', q(SET ROLE streamer; SELECT cdc.backfill('owned', 't') > 4)), 't', 'who may replicate');
$node->safe_psql('postgres', q(ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON t USING (id < 10)));
refused('policies', qr/row-level security policies hold for table t/, q(SET ROLE owner; SELECT cdc.backfill('owned', 't')));
$node->safe_psql('postgres', q(ALTER TABLE t DISABLE ROW LEVEL SECURITY));
is($node->safe_psql('postgres', q(SET ROLE owner; SELECT count(*), min(requested_by), max(requested_by) FROM cdc.backfills)), '2|owner|streamer',
	'who sees what: the owner, those of the pipeline');
is($node->safe_psql('postgres', q(SET ROLE nobody; SELECT count(*) FROM cdc.backfills)), '0', 'and nobody nothing');
refused('nobody cancels', qr/permission denied/, q(SET ROLE nobody; SELECT cdc.cancel_backfill(1)));
refused('nobody reports', qr/permission denied/, q(SET ROLE nobody; SELECT cdc.report_backfill(1, 's', 'done', 0, NULL, NULL)));
refused('nobody asks', qr/permission denied/, q(SET ROLE nobody; SELECT cdc.pending_backfills('shop', 's', '0/0', 0)));
refused('nobody rings', qr/permission denied/, q(SET ROLE nobody; SELECT cdc.ring_backfill(1, 'shop')));
refused('nobody writes', qr/permission denied/, q(SET ROLE nobody; INSERT INTO cdc.backfill_slot VALUES ('shop', 's', 100)));
refused('what is not there is not cancelled', qr/there is no backfill request 999.*HINT/s, q(SELECT cdc.cancel_backfill(999)));
refused('nor NULL', qr/there is no backfill request NULL/, q(SELECT cdc.cancel_backfill(NULL)));
# an index's expression that a superuser's command runs has the superuser's name, not their rights
$node->safe_psql('postgres', q(
	CREATE SCHEMA mine AUTHORIZATION nobody;
	SET ROLE nobody;
	CREATE TABLE mine.bait (id int);
	INSERT INTO mine.bait VALUES (1);
	CREATE FUNCTION mine.bite(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';
	CREATE INDEX hook ON mine.bait (mine.bite(id));
	CREATE OR REPLACE FUNCTION mine.bite(int) RETURNS int IMMUTABLE LANGUAGE plpgsql
		AS 'BEGIN PERFORM cdc.backfill(''shop'', ''public.t''); RETURN 1; END'));
refused('not by an index', qr/security-restricted operation/, 'REINDEX INDEX mine.hook');

# ------------------------------------------------------------------------------------------------
# What a stream is told
# ------------------------------------------------------------------------------------------------

# the bells in a stream, "number" or "number with a record"
sub bells
{
	my (%options) = @_;
	my $file = decode($node, 'postgres', 's', options => { framing => 'frames', protocol_version => 1, %options });

	return join(' ', map {
		my @frames = @{ $_->{frames} };
		my ($bell) = grep { $_->{kind} eq 'W' && $_->{op} eq 'B' } @frames;
		my $others = grep { $_->{kind} eq 'D' } @frames;
		die 'the transaction does not end' if $frames[-1]{kind} ne 'C' || !$_->{transactional};
		$bell ? $bell->{seq} . ($others ? '+' . $others : '') : ();
	} @{ read_frames($file) });
}

$node->safe_psql('postgres', q(INSERT INTO t VALUES (1, 'x'); SELECT cdc.cancel_backfill(2); SELECT cdc.cancel_backfill(2)));
$node->safe_psql('postgres', q(BEGIN; INSERT INTO t VALUES (2, 'x'); SELECT cdc.backfill('shop', 't'); SELECT cdc.backfill('shop', 't'); COMMIT;));
$node->safe_psql('postgres', q(BEGIN; SELECT cdc.backfill('shop', 't'); ROLLBACK;));
$node->safe_psql('postgres', q(SELECT pg_logical_emit_message(true, 'cdc_decoder.backfill', m) FROM unnest(ARRAY['', 'x shop', '5shop',
	' shop', '99999999999999999999999 shop', '7 sho', '7 shopp', '-1 shop']) m;
	SELECT pg_logical_emit_message(false, 'cdc_decoder.backfill', '9 shop')));
my ($last) = $node->safe_psql('postgres', q(SELECT max(id) FROM cdc.backfills));
my $cancel = $node->safe_psql('postgres', q(SELECT cancelled_by FROM cdc.backfill_request WHERE id = 2));
is(bells(pipeline => 'shop', watermarks => 'w'), "1 2 3 4 $cancel $last+1", 'the requests of its pipeline, once for each transaction that commits');
is(bells(pipeline => 'shop', watermarks => 'w', transaction_records => 'on'), "1 2 3 4 $cancel $last+2",
	'of a transaction with nothing else to tell, no begin and commit');
is(bells(pipeline => 'copy', watermarks => 'w'), '', 'no others');
is(bells(pipeline => 'shop'), '', 'who does not deliver existing rows is not told');
is(bells(watermarks => 'w'), '', 'nor who has no pipeline');
my @lines = @{ read_lines(decode($node, 'postgres', 's', options => { pipeline => 'shop', messages => 'on' })) };
is(scalar(grep { /backfill/ } @lines), 0, 'in records they do not occur');
is(scalar(grep { /"table":"backfill/ } @{ read_lines(decode($node, 'postgres', 's')) }), 0, 'nor do the extension\'s tables');

# ------------------------------------------------------------------------------------------------
# What a client asks
# ------------------------------------------------------------------------------------------------

sub pending
{
	my ($slot, $lsn, $also) = @_;
	return $node->safe_psql('postgres', "SELECT known, given, (SELECT string_agg((r->>'id') || CASE WHEN (r->>'cancelled')::bool THEN 'c' ELSE '' END, ' ')"
		. " FROM json_array_elements(requests) r) FROM cdc.pending_backfills('shop', '$slot', '$lsn', @{[ $also // 0 ]})");
}

my $lsn_2 = $node->safe_psql('postgres', 'SELECT requested_lsn FROM cdc.backfill_request WHERE id = 2');
my $given = $node->safe_psql('postgres', q(SELECT last_value FROM cdc.backfill_request_id_seq));
my $before_last = $last - 1;
cmp_ok($given, '>', $last, 'a number was given away in vain');
is(pending('all', '0/1'), "$last|$given|1 2c 3 4 $before_last $last", 'a slot that was there before all of them');
is(pending('later', $lsn_2), "$last|$given|3 4 $before_last $last", 'one that was made after some');
is(pending('later', '0/1'), "$last|$given|3 4 $before_last $last", 'that is settled once');
is(pending('later', '0/1', 1), "$last|$given|1 3 4 $before_last $last", 'one more, of its position');
is($node->safe_psql('postgres', q(SELECT cdc.report_backfill(3, 'later', 'running', 5, 'public.parted_1', NULL))), 'f', 'a report');
is($node->safe_psql('postgres', q(SELECT cdc.report_backfill(4, 'later', 'done', 7, 'public.parted_1', NULL))), 'f', 'and another');
is($node->safe_psql('postgres', q(SELECT cdc.report_backfill(2, 'all', 'running', 7, 'public.t', NULL))), 't', 'it was cancelled');
is(pending('later', '0/1'), "$last|$given|3 $before_last $last", 'what is through is not pending');
create_slot($node, 'postgres', 'later');
is($node->safe_psql('postgres', q(SELECT id, slot, state, rows, reading FROM cdc.backfills WHERE pipeline = 'shop' AND id <= 4 ORDER BY id)),
	"1||pending|0|\n2||cancelled|0|\n3|later|running|5|public.parted_1\n4|later|done|7|public.parted_1",
	'slots that are there, and what they said');
my ($waiting, undef, $commit) = hold_transaction($node, q(SELECT cdc.backfill('shop', 't')));
refused('numbers rise in the order of commit', qr/lock timeout/, q(SET lock_timeout = '200ms'; SELECT cdc.backfill('shop', 't')));
like($node->safe_psql('postgres', q(SET lock_timeout = '5s'; SELECT cdc.backfill('copy', 't'))), qr/^\d+$/, 'of a pipeline');
$commit->();
$node->safe_psql('postgres', q(SELECT cdc.drop_pipeline('copy')));
is($node->safe_psql('postgres', q(SELECT DISTINCT state FROM cdc.backfills WHERE pipeline = 'copy')), 'cancelled', 'a pipeline that is dropped has none left');

# ------------------------------------------------------------------------------------------------
# The command
# ------------------------------------------------------------------------------------------------

my ($out, $err) = client_ok($node, [ 'backfill', '--pipeline=shop', '--relation=public.t', '--where=id > 7' ], 'a request');
like($out, qr/^\d+\n\z/, 'its number is written');
like($err, qr/no client streams through pipeline "shop" now/, 'nobody serves it now');
chomp(my $number = $out);
($out, $err) = client_ok($node, [ 'backfill', '--pipeline=owned', '--relation=public.t' ], 'another');
like($err, qr/no slot's client has streamed through pipeline "owned" yet.*HINT.*--snapshot=initial/s, 'and nobody will, as far as is known');
my $status = client_ok($node, [ 'backfill', '--status', '--pipeline=shop' ], 'what was requested');
like($status, qr/^request $number of pipeline shop: public\.t where \(id > 7\)\n  requested +\d.* by \w+\n  slot later +pending$/m, 'one of them');
like($status, qr/^request 3 .*\n.*\n  slot later +running, 5 rows, reading public\.parted_1, since \d/m, 'one that is served');
like($status, qr/^request 4 .*\n.*\n  slot later +done, 7 rows, at \d/m, 'and one that was');
unlike($status, qr/owned/, 'no other pipeline\'s');
client_ok($node, [ 'backfill', "--cancel=$number" ], 'cancelling it');
my $json = JSON::PP->new->decode(scalar client_ok($node, [ 'backfill', '--status', '--json' ], 'as JSON'));
my ($cancelled) = grep { $_->{id} == $number } @$json;
is("$cancelled->{relation} $cancelled->{filter} $cancelled->{slots}[0]{slot} $cancelled->{slots}[0]{state}", 'public.t (id > 7) later cancelled', 'it is told');
ok((grep { $_->{pipeline} eq 'owned' && !@{ $_->{slots} } && $_->{state} eq 'pending' } @$json), 'all pipelines\', also those without a slot');
client_fails($node, ['backfill'], 1, [qr/"backfill" needs option "relation"/], 'nothing asked for');
client_fails($node, [ 'backfill', '--relation=t' ], 1, [qr/"backfill" needs option "pipeline"/], 'no pipeline');
client_fails($node, [ 'backfill', '--relation=t', '--status' ], 1, [qr/exclude each other/], 'two things at once');
client_fails($node, [ 'backfill', '--status', '--cancel=1' ], 1, [qr/exclude each other/], 'another two');
client_fails($node, [ 'backfill', '--cancel=0' ], 1, [qr/cancel/], 'no number');
client_fails($node, [ 'backfill', '--cancel=12345' ], 1, [ qr/there is no backfill request 12345/, qr/HINT/ ], 'one that is not there');
client_fails($node, [ 'backfill', '--pipeline=shop', '--relation=public.t', '--json' ], 1, [ qr/--json/, qr/--status --json/ ], 'JSON of a number');
client_fails($node, [ 'backfill', '--pipeline=shop', '--relation=t' ], 1, [ qr/relation "t" does not exist/, qr/have their schema/ ], 'no schema');
client_fails($node, [ 'backfill', '--pipeline=none', '--relation=public.t' ], 1, [qr/pipeline "none" does not exist/], 'no such pipeline');
client_fails($node, [ 'backfill', '--pipeline=shop', '--relation=public.t', '--where=called(id)' ], 1, [qr/called/], 'a filter that may not be');
$node->safe_psql('postgres', 'CREATE DATABASE bare');
client_fails($node, [ 'backfill', '--dbname=' . $node->connstr('bare'), '--status' ], 1, [qr/has no extension/], 'without the extension');

$node->stop;
done_testing();
