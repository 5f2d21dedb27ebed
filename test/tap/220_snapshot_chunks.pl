# Chunks of existing rows, by SQL: what is between two watermarks, and that a chunk sees all that precedes the
# first of them, also a transaction that waits for a synchronous standby.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcFrames;
use CdcTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = make_node('chunks');
my $chunk = 0;

$node->safe_psql('postgres', q(
	CREATE EXTENSION cdc_decoder;
	CREATE TABLE t (id int PRIMARY KEY, v text);
	INSERT INTO t SELECT g, 'old' FROM generate_series(1, 20) g));
create_slot($node, 'postgres', 's');

# ------------------------------------------------------------------------------------------------
# Keys, bounds, filters
# ------------------------------------------------------------------------------------------------

# read_chunk's arguments from the relation on; returns the columns asked for
sub chunk_sql
{
	my ($columns, $relation, %args) = @_;
	my $array = sub { defined $_[0] ? "'{" . join(',', map { "\"$_\"" } @{ $_[0] }) . "}'" : 'NULL' };

	$chunk++;
	return sprintf("SELECT %s FROM cdc.read_chunk('{%s}', '%s'::regclass, %s, %s, %s, %s, %d, %d, '%s 0 %d', NULL)",
		$columns, $args{options} // '', $relation, $array->($args{key}), $array->($args{after}), $array->($args{upto}),
		defined $args{filter} ? "\$\$$args{filter}\$\$" : 'NULL', $args{max_rows} // 0, $args{max_bytes} // 0,
		$args{token} // 'test', $chunk);
}

sub chunk
{
	return $node->safe_psql('postgres', chunk_sql(@_));
}

# The records of a chunk, without what differs each time.
sub records_of
{
	my (@arguments) = @_;
	my $file = output_file('chunk');
	my $hex = chunk(q(encode(records, 'hex')), @arguments);

	append_to_file($file, pack('H*', $hex) . "\n");
	return [ map { $_->{payload} } grep { $_->{kind} eq 'D' } @{ read_frames($file)->[0]{frames} } ];
}

is(chunk('rows, scanned, last, done', 't', max_rows => 7), '7|7|{7}|f', 'the first rows, in the order of the key');
is(chunk('rows, scanned, last, done', 't', key => ['id'], after => [7], max_rows => 7), '7|7|{14}|f', 'those behind them');
is(chunk('rows, scanned, last, done', 't', after => [14], max_rows => 7), '6|6|{20}|t', 'the last ones');
is(chunk('rows, scanned, last, done', 't', after => [20]), '0|0||t', 'behind the last one');
is(chunk('rows, scanned, last, done', 't', after => [3], upto => [9]), '6|6|{9}|t', 'up to a key');
is(chunk('rows, scanned, last, done', 't', filter => 'id % 5 = 0'), '4|20|{20}|t', 'a filter');
is(chunk('rows < 20 AND NOT done', 't', max_bytes => 300), 't', 'a limit of bytes');
# what little room they take on disk must not matter: records have them decompressed
$node->safe_psql('postgres', q(
	CREATE TABLE dense (id int PRIMARY KEY, body text);
	INSERT INTO dense SELECT g, repeat('x', CASE WHEN g > 10 THEN 1000000 ELSE 100000 END) FROM generate_series(1, 20) g));
is(chunk('rows, last, done', 'dense', max_bytes => 299_000), '3|{3}|f', 'which counts compressed values as they will be');
is(chunk('rows, last, done', 'dense', after => [10], max_bytes => 2_999_000), '3|{13}|f', 'out of line, too');
$node->safe_psql('postgres', 'DROP TABLE dense');
is(chunk("low < (SELECT begins FROM cdc.write_watermark('t'::regclass, 'test 0 ' || $chunk, true))", 't'), 't',
	'the watermarks enclose it');
my ($record) = @{ records_of('t', max_rows => 1) };
like($record,
	qr/^\{"op":"snapshot","source":"postgres","schema":"public","table":"t","commit_lsn":"[0-9A-F\/]+","seq":1,"ts":"[^"]+","key":\{"id":1\},"after":\{"id":1,"v":"old"\}\}$/,
	'a record');

$node->safe_psql('postgres', q(
	CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad');
	CREATE TABLE wide (a text COLLATE "C", m mood, n numeric, d timestamptz, x int, PRIMARY KEY (a, m, n, d));
	INSERT INTO wide SELECT chr(97 + g / 40), (enum_range(NULL::mood))[g / 10 % 3 + 1], g % 10 / 4.0,
		timestamptz '2026-03-01 00:00Z' + (g % 4) * interval '1 hour', g FROM generate_series(0, 199) g;
	CREATE TABLE keyless (x int); INSERT INTO keyless SELECT generate_series(1, 5000);
	CREATE TABLE by_identity (x int NOT NULL); CREATE UNIQUE INDEX by_identity_x ON by_identity (x);
	ALTER TABLE by_identity REPLICA IDENTITY USING INDEX by_identity_x;
	INSERT INTO by_identity SELECT generate_series(1, 9);
	CREATE TABLE deferred (x int PRIMARY KEY DEFERRABLE); INSERT INTO deferred SELECT generate_series(1, 9);
	CREATE TABLE parts (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
	CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
	CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (20);
	CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY);
	CREATE PUBLICATION roots FOR TABLE parts WITH (publish_via_partition_root);
	CREATE PUBLICATION evens FOR TABLE t WHERE (id % 2 = 0)));

# several columns of many types, by chunks of 7 rows; a session's settings must not matter
my ($after, @found);
my $settings = q(SET DateStyle = 'SQL, DMY'; SET TimeZone = 'Asia/Tokyo';);
while (1)
{
	my ($last, $done) = split /\|/, $node->safe_psql('postgres',
		$settings . chunk_sql(q(array_to_string(last, ';'), done), 'wide', max_rows => 7,
			$after ? (key => [qw(a m n d)], after => $after) : ()));
	last if $last eq '';
	$after = [ split /;/, $last ];
	push @found, $last;
	last if $done eq 't';
}
my $expected = $node->safe_psql('postgres', q(
	SET TimeZone = 'UTC';
	SELECT concat_ws(';', a, m, n, to_char(d, 'YYYY-MM-DD HH24:MI:SS"+00"')) FROM (
		SELECT *, row_number() OVER (ORDER BY a, m, n, d) AS i FROM wide) w WHERE i % 7 = 0 OR i = 200 ORDER BY i));
is(join("\n", @found), $expected, 'chunks by four columns');

is(chunk('rows, last, done', 'keyless'), '5000||t', 'a table without a key, as a whole');
is(chunk('rows, last, done', 'by_identity', max_rows => 4), '4|{4}|f', 'by the replica identity');
is(chunk('rows, last, done', 'deferred', max_rows => 4), '4|{4}|f', 'by a deferrable primary key');
is(scalar(@{ records_of('t', options => 'publication_names,evens') }), 10, 'a row filter');
is($node->safe_psql('postgres', q(
		SELECT string_agg(name || coalesce(array_to_string(key, ','), '-') || has_identity, ' ' ORDER BY name)
		FROM cdc.snapshot_relations('{}') WHERE schema = 'public')),
	'by_identityxtrue deferredxfalse keyless-false parts_1idtrue parts_2idtrue tidtrue widea,m,n,dtrue',
	'the tables there are');
is($node->safe_psql('postgres', q(SELECT string_agg(name, ' ' ORDER BY name) FROM cdc.snapshot_relations('{publication_names,roots}'))),
	'parts_1 parts_2', 'those of a publication');
is($node->safe_psql('postgres', q(SELECT count(*) FROM cdc.snapshot_relations('{}', 'parts'::regclass))), '2', 'those of one table');
$node->safe_psql('postgres', q(INSERT INTO parts VALUES (1, 'a'), (11, 'b')));
like(records_of('parts_2', options => 'publication_names,roots')->[0], qr/"table":"parts",/, 'a partition under the name of the whole');

foreach my $bad (
	[ qr/has no primary key, so its rows can only be read all at once/, 'keyless', max_bytes => 1000 ],
	[ qr/a key of "t" has 1 values, not 2/, 't', after => [ 1, 2 ] ],
	[ qr/invalid input syntax for type integer: "x"/, 't', after => ['x'] ],
	[ qr/is not the one that its rows were read by so far/, 't', key => ['v'], after => [1] ],
	[ qr/no longer has a primary key/, 'keyless', after => [1] ],
	[ qr/"parts" is not a table whose changes are decoded/, 'parts' ],
	[ qr/"unlogged" is not a table whose changes are decoded/, 'unlogged' ],
	[ qr/max_rows must not be negative/, 't', max_rows => -1 ],
	[ qr/options must be pairs/, 't', options => 'format' ],
	[ qr/pipeline "none" does not exist/, 't', options => 'pipeline,none' ],
	[ qr/column "nothing" does not exist/, 't', filter => 'nothing = 1' ])
{
	my ($error, @arguments) = @$bad;
	my (undef, undef, $stderr) = $node->psql('postgres', chunk_sql('rows', @arguments));
	like($stderr, $error, "refused: $error");
}

# Where a table can be divided for several workers
$node->safe_psql('postgres', q(
	CREATE TABLE sparse (a text COLLATE "C", b int, v int, PRIMARY KEY (b, a)) WITH (fillfactor = 10);
	INSERT INTO sparse SELECT 'k' || g % 7, (g * 7919) % 30011, g FROM generate_series(1, 30000) g;
	DELETE FROM sparse WHERE b < 3000;
	CREATE TABLE sparse_empty (id int PRIMARY KEY)));
sub bounds
{
	my ($relation, $key, $after, $upto, $parts) = @_;
	return "FROM cdc.key_bounds('$relation'::regclass, $key, $after, $upto, $parts)";
}
is($node->safe_psql('postgres', 'WITH bounds AS (SELECT n, bound[2] AS a, bound[1]::int AS b '
		  . bounds('sparse', q('{b,a}'), 'NULL', 'NULL', 8)
		  . q~) SELECT count(*), min(n), max(n), count(*) FILTER (WHERE NOT EXISTS (SELECT FROM sparse s WHERE (s.b, s.a) = (x.b, x.a))),
			bool_and((SELECT count(*) FROM sparse s WHERE (s.b, s.a) <= (x.b, x.a)
				AND NOT EXISTS (SELECT FROM bounds p WHERE p.n = x.n - 1 AND (s.b, s.a) <= (p.b, p.a))) BETWEEN 500 AND 10000)
			FROM bounds x~),
	'7|1|7|0|t', 'bounds are keys of rows in their order, and parts are about equal');
is($node->safe_psql('postgres', q~SELECT count(*) > 1 AND bool_and(bound[1]::int > 10000 AND bound[1]::int <= 20000) ~
	  . bounds('sparse', q('{b,a}'), q('{10000,zzz}'), q('{20000,zzz}'), 8)), 't', 'within a range');
is($node->safe_psql('postgres', 'SELECT count(*) ' . bounds('sparse', q('{b,a}'), q('{10000,x}'), q('{10001,x}'), 8)),
	'0', 'a small range is not worth it');
is($node->safe_psql('postgres', "SELECT count(*) " . bounds($_, 'NULL', 'NULL', 'NULL', 8)), '0', "$_ is not divided")
  foreach qw(t keyless sparse_empty);
foreach my $bad (
	[ qr/is not the one that its rows were read by so far/, 'sparse', q('{a,b}'), 'NULL', 'NULL', 8 ],
	[ qr/a key of "sparse" has 2 values, not 1/, 'sparse', q('{b,a}'), q('{1}'), 'NULL', 8 ],
	[ qr/parts must be from 1 to 1024, not 0/, 'sparse', 'NULL', 'NULL', 'NULL', 0 ],
	[ qr/parts must be from 1 to 1024, not 1025/, 'sparse', 'NULL', 'NULL', 'NULL', 1025 ],
	[ qr/relation and parts must not be NULL/, 'sparse', 'NULL', 'NULL', 'NULL', 'NULL' ],
	[ qr/"parts" is not a table whose changes are decoded/, 'parts', 'NULL', 'NULL', 'NULL', 8 ])
{
	my ($error, @arguments) = @$bad;
	my (undef, undef, $stderr) = $node->psql('postgres', 'SELECT * ' . bounds(@arguments));
	like($stderr, $error, "refused: $error");
}

# Who may read
$node->safe_psql('postgres', q(
	CREATE ROLE nobody LOGIN; CREATE ROLE reader LOGIN; CREATE ROLE streamer LOGIN REPLICATION;
	GRANT SELECT ON t TO reader));
foreach my $role ([ 'nobody', 0 ], [ 'reader', 1 ], [ 'streamer', 1 ])
{
	my (undef, $stdout, $stderr) = $node->psql('postgres', "SET ROLE $role->[0];" . chunk_sql('rows', 't'));
	is($stdout, $role->[1] ? '20' : '', "$role->[0]") or diag($stderr);
	(undef, $stdout, $stderr) = $node->psql('postgres', "SET ROLE $role->[0]; SELECT count(*) " . bounds('t', 'NULL', 'NULL', 'NULL', 8));
	is($stdout, $role->[1] ? '0' : '', "$role->[0], where it can be divided") or diag($stderr);
}
$node->safe_psql('postgres', 'ALTER TABLE t ENABLE ROW LEVEL SECURITY');
my (undef, undef, $denied) = $node->psql('postgres', 'SET ROLE reader;' . chunk_sql('rows', 't'));
like($denied, qr/row-level security policies hold/, 'policies are not gone round');
$node->safe_psql('postgres', 'ALTER TABLE t DISABLE ROW LEVEL SECURITY');

# What a pipeline makes of rows is not for everyone who may read them
$node->safe_psql('postgres', q(
	CREATE ROLE maker LOGIN; CREATE ROLE owner LOGIN;
	GRANT CREATE ON SCHEMA public TO maker, owner;
	GRANT EXECUTE ON FUNCTION cdc.create_pipeline(name, name[], jsonb) TO maker;
	SET ROLE owner;
	CREATE TABLE secrets (id int PRIMARY KEY, word text); INSERT INTO secrets VALUES (1, 'sesame');
	CREATE TABLE doors (id int PRIMARY KEY, secret int); INSERT INTO doors VALUES (1, 1);
	GRANT SELECT ON doors TO reader, maker;
	SET ROLE maker;
	SELECT cdc.create_pipeline('looks');
	SELECT cdc.create_pipeline('plain');
	SET ROLE owner;
	SELECT cdc.add_lookup('looks', 'doors', '{secret}', 'secrets', '{id}', '{"word": "word"}')));
foreach my $case (
	[ 'reader', 'plain', qr/permission denied for pipeline plain/ ],
	[ 'reader', 'looks', qr/permission denied for pipeline looks/ ],
	[ 'owner',  'looks', qr/permission denied for pipeline looks/ ],
	[ 'maker',  'plain', undef ],
	[ 'maker',  'looks', qr/permission denied for what is looked up for table doors/ ],
	[ 'streamer', 'looks', undef ])
{
	my ($role, $pipeline, $error) = @$case;
	my (undef, $stdout, $stderr) =
	  $node->psql('postgres', "SET ROLE $role;" . chunk_sql('rows', 'doors', options => "pipeline,$pipeline"));
	is($stdout, $error ? '' : '1', "$role, pipeline $pipeline") or diag($stderr);
	like($stderr, $error, 'and why') if $error;
}
my (undef, undef, $unlisted) =
  $node->psql('postgres', q(SET ROLE maker; SELECT * FROM cdc.snapshot_relations('{pipeline,looks}', 'doors'::regclass)));
is($unlisted, '', 'what tables there are is known by SELECT');
like(records_of('doors', options => 'pipeline,looks')->[0], qr/"word":"sesame"/, 'what is looked up');
$node->safe_psql('postgres', q(SELECT cdc.drop_pipeline('looks'); SELECT cdc.drop_pipeline('plain'); DROP TABLE doors));

# Rules that are committed while a chunk waits for the table
$node->safe_psql('postgres', q(SELECT cdc.create_pipeline('late')));
my $locker = $node->background_psql('postgres', on_error_stop => 0);
$locker->query(q(BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE));
my $waits = $node->background_psql('postgres', on_error_stop => 0);
$waits->query_until(qr/begun/, "\\echo begun\n"
	  . chunk_sql(q('records=' || encode(records, 'hex') AS r), 't', max_rows => 1, options => 'pipeline,late') . ";\n\\echo finished\n");
$node->poll_query_until('postgres', q(
	SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%read_chunk%' AND wait_event = 'relation'))
  or die 'the chunk does not wait for the table';
$locker->query(q(SELECT cdc.drop_column('late', 't', 'v'); COMMIT));
my ($late) = $waits->query_until(qr/finished/, '') =~ /records=([0-9a-f]+)/ or die 'no chunk';
$waits->quit;
$locker->quit;
like(pack('H*', $late), qr/"after":\{"id":1\}/, 'a rule that precedes the low watermark holds');
$node->safe_psql('postgres', q(SELECT cdc.drop_pipeline('late')));

# ------------------------------------------------------------------------------------------------
# The window, and what precedes it
# ------------------------------------------------------------------------------------------------

my $marker = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
$node->safe_psql('postgres', q(SELECT pg_replication_slot_advance('s', pg_current_wal_insert_lsn())));
$node->append_conf('postgresql.conf', q(synchronous_standby_names = 'never'));
$node->reload;
$node->poll_query_until('postgres', q(SELECT current_setting('synchronous_standby_names') = 'never'));

# committed in the WAL, and waiting for a standby that does not exist
my $waiting = $node->background_psql('postgres', on_error_stop => 0);
$waiting->query_until(qr/begun/, "\\echo begun\nUPDATE t SET v = 'waits' WHERE id = 1;\n");
$node->poll_query_until('postgres', q(SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'))
  or die 'no commit waits for a standby';
is($node->safe_psql('postgres', 'SELECT v FROM t WHERE id = 1'), 'old', 'snapshots do not see what waits for a standby');
like(slurp_bytes(decode_by_sql($node, 'postgres', 's')), qr/"v":"waits"/, 'but it has been decoded');

# the chunk's low watermark comes behind it, so the chunk has to wait for it
my $reader = $node->background_psql('postgres', on_error_stop => 0);
$reader->query_until(qr/begun/, "\\echo begun\nSET lock_timeout = 0;\n"
	  . chunk_sql(q('rows=' || rows || ' ' || encode(records, 'hex') AS r), 't') . ";\n"
	  . "SELECT cdc.write_watermark('t'::regclass, 'test 0 $chunk', true);\n\\echo finished\n");
ok($node->poll_query_until('postgres', q(
	SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%read_chunk%' AND wait_event = 'transactionid')),
	'a chunk waits for it');
my (undef, undef, $timeout) = $node->psql('postgres', q(SET lock_timeout = '100ms';) . chunk_sql('rows', 't', token => 'other'));
like($timeout, qr/canceling statement due to lock timeout/, 'lock_timeout is honoured');

# in the window
$node->safe_psql('postgres', q(
	SET synchronous_commit = local;
	UPDATE t SET v = 'window' WHERE id = 2;
	UPDATE t SET id = 103 WHERE id = 3;
	DELETE FROM t WHERE id = 4;
	INSERT INTO t VALUES (105, 'window');
	BEGIN; UPDATE t SET v = 'rolled back' WHERE id = 6; ROLLBACK;
	UPDATE wide SET x = 0 WHERE a = 'a'));
$node->append_conf('postgresql.conf', q(synchronous_standby_names = ''));
$node->reload;
$waiting->quit;
my $printed = $reader->query_until(qr/finished/, '');
$reader->quit;
my ($rows, $hex) = $printed =~ /rows=(\d+) ([0-9a-f]+)/ or die "no chunk: $printed";
my $file = output_file('chunk');
append_to_file($file, pack('H*', $hex) . "\n");
my %seen = map { $_->{payload} =~ /"after":\{"id":(\d+),"v":"(\w+)"/ ? ($1 => $2) : () } @{ read_frames($file)->[0]{frames} };
is($seen{1}, 'waits', 'it then sees what was committed before the low watermark');

# what the stream of that session is told
my $frames = read_frames(decode($node, 'postgres', 's', options => { framing => 'frames', watermarks => 'test' }));
my ($inside, %marks);
foreach my $message (@$frames)
{
	foreach my $frame (@{ $message->{frames} })
	{
		next unless $frame->{kind} eq 'W';
		$inside = $frame->{op} eq 'L' if $frame->{op} =~ /[LHV]/;
		$marks{ $frame->{op} }++;
		$marks{keys} .= $frame->{payload} if $frame->{op} eq 'K';
		is($message->{frames}[-1]{kind}, 'C', "a watermark's message ends with a commit frame") if $frame->{op} =~ /[LHV]/;
	}
}
# the high watermark may be void: a decoder that has just begun learns of what it depends on in between
$marks{H} = ($marks{H} // 0) + (delete $marks{V} // 0);
is_deeply([ map { $marks{$_} // 0 } qw(H K P U T) ], [ 1, 4, 0, 0, 0 ], 'watermarks, and one row for each record in between');
is(length($marks{keys}) / 16, 5, 'an update of the key names both');
my %known_by = reverse %{ key_hashes() };
my @changed = map { $known_by{$_} // 'gone' } unpack('(a16)*', $marks{keys});
is(join(' ', sort @changed), '103 105 2 gone gone', 'they are known as in chunks');

# Rows by what they are known by: id => 16 bytes
sub key_hashes
{
	my $bytes = pack('H*', chunk(q(encode(keys, 'hex')), 't'));
	my %hashes;
	while (length $bytes)
	{
		my ($hash, $text, $rest) = unpack('a16 N/a a*', $bytes);
		$hashes{$text} = $hash;
		$bytes = $rest;
	}
	return \%hashes;
}

foreach my $other ({}, { framing => 'frames' }, { framing => 'frames', watermarks => 'another' })
{
	my $bytes = slurp_bytes(decode($node, 'postgres', 's', options => $other));
	unlike($bytes, qr/watermark/, 'other sessions see no watermarks');
}
unlike(slurp_bytes(decode_by_sql($node, 'postgres', 's')), qr/watermark/, 'nor do the SQL functions');

# ------------------------------------------------------------------------------------------------
# Where rows cannot be told apart
# ------------------------------------------------------------------------------------------------

# in_window(SQL, RELATION): the ops of frames between the watermarks of a chunk during which SQL was committed
sub in_window
{
	my ($sql, $relation, @options) = @_;
	$node->safe_psql('postgres', q(SELECT pg_replication_slot_advance('s', pg_current_wal_insert_lsn())));
	my $low = sub { my $mark = shift; return "SELECT pg_logical_emit_message(false, 'cdc_decoder.watermark', 'test 0 9 ' || '$relation'::regclass::oid || ' $mark');"; };
	$node->safe_psql('postgres', $low->('low') . $sql . ';' . $low->('high'));
	my $read = read_frames(decode($node, 'postgres', 's', options => { framing => 'frames', watermarks => 'test', @options }));
	return join('', map { $_->{op} } grep { $_->{kind} eq 'W' } map { @{ $_->{frames} } } @$read);
}

$node->safe_psql('postgres', q(
	CREATE TABLE toasted (id int PRIMARY KEY, v int, body text);
	ALTER TABLE toasted ALTER body SET STORAGE EXTERNAL;
	INSERT INTO toasted VALUES (1, 1, repeat('x', 5000));
	CREATE TABLE full_identity (id int PRIMARY KEY, v int); ALTER TABLE full_identity REPLICA IDENTITY FULL;
	INSERT INTO full_identity VALUES (1, 1)));
is(in_window('UPDATE toasted SET v = 2', 'toasted'), 'LPH', 'a record without values that did not change');
is(in_window('UPDATE toasted SET body = repeat($$y$$, 6000)', 'toasted'), 'LKH', 'and one with them');
is(in_window('INSERT INTO keyless VALUES (1)', 'keyless'), 'LUH', 'a row without a key');
is(in_window('UPDATE full_identity SET id = 2', 'full_identity'), 'LKH', 'REPLICA IDENTITY FULL');
# keys that are passed by reference, of fixed length
$node->safe_psql('postgres', q(
	CREATE TABLE named (id uuid, name name, v int, PRIMARY KEY (id, name));
	INSERT INTO named VALUES ('00000000-0000-0000-0000-000000000001', 'one', 1), ('00000000-0000-0000-0000-000000000002', 'two', 1)));
is(in_window('UPDATE named SET v = 2', 'named'), 'LKKH', 'a uuid and a name as key');
is(chunk('rows, last, done', 'named', key => [qw(id name)], after => [ '00000000-0000-0000-0000-000000000001', 'one' ]),
	'1|{00000000-0000-0000-0000-000000000002,two}|t', 'read behind the first one');
is(in_window('TRUNCATE toasted', 'toasted'), 'LTV', 'a truncation');
$node->safe_psql('postgres', q(
	SELECT cdc.create_pipeline('p');
	SELECT cdc.set_column('p', 't', 'v', 'upper(v)')));
is(in_window(q(SELECT cdc.drop_column('p', 't', 'v')), 't', pipeline => 'p'), 'LV', 'rules that change, and nothing else');
is(in_window(q(SELECT cdc.drop_column('p', 't', 'v')), 't'), 'LV', 'and where this stream has none of its own');
is(in_window('SELECT 1', 't', pipeline => 'p'), 'LH', 'rules that stay');
like(in_window('TRUNCATE parts', 'parts_1'), qr/^LT[HV]$/, 'a truncation of the whole that it is a part of');
is(in_window('UPDATE t SET v = v', 'wide'), 'LH', 'another table');

# no lock keeps the table as it is from when its rows are read until the second watermark is written
is(in_window('ALTER TABLE toasted ADD added int', 'toasted'), 'LV', 'a table that is altered');
is(in_window('ALTER TABLE toasted ADD other int', 'wide'), 'LH', 'another one that is');
is(in_window('BEGIN; ALTER TABLE wide ADD added int; ROLLBACK', 'wide'), 'LH', 'a table that is not altered after all');

# watermarks that somebody else forged
my $forged = sub { my $said = shift; return "SELECT pg_logical_emit_message(false, 'cdc_decoder.watermark', 'test 0 $said')" };
my $wide_oid = $node->safe_psql('postgres', q(SELECT 'wide'::regclass::oid));
is(in_window($forged->("9 $wide_oid low") . '; UPDATE t SET v = v WHERE id = 1', 't'), 'LKV', 'a second beginning of the same chunk');
is(in_window($forged->("8 $wide_oid low") . '; UPDATE t SET v = v WHERE id = 1', 't'), 'LKH', 'a beginning of an earlier one');
is(in_window($forged->('10 0 low') . '; UPDATE t SET v = v WHERE id = 1', 't'), 'LKH', 'a beginning of none');
is(in_window($forged->("9 $wide_oid high"), 't'), 'LVV', 'an end that is of another table');
is(in_window($forged->("8 $wide_oid high"), 't'), 'LVV', 'an end of another chunk');
is(in_window($forged->("99 $wide_oid low") . '; UPDATE t SET v = v WHERE id = 1', 't'), 'LLV', 'a beginning of a later one');
is(in_window('UPDATE t SET v = v; ALTER PUBLICATION evens ADD TABLE wide', 'wide'), 'LV', 'publications that change');

$node->stop;
done_testing();
