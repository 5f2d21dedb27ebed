# Where format=wal2json differs from wal2json: each case of the list in doc/format-wal2json.md, with what both write.
use strict;
use warnings;

use Encode qw(decode_utf8 encode_utf8);
use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcTest;
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;
use Wal2json;

plan skip_all => $missing if $missing;

my $json = JSON::PP->new->utf8;
my $node = wal2json_node('wal2json_differences');
my $databases = 0;

# numbers of types from here on are beyond what an int can say
$node->stop;
run_log([ 'pg_resetwal', '-o', 3000000000, '-D', $node->data_dir ]) or die 'pg_resetwal failed';
$node->start;

changes_without_identity();
type_names();
type_numbers();
defaults();
message_contents();
settings();
times_of_origin();
unchanged_values();
materialized_views();
partition_root();
encodings();
virtual_columns();
own_tables();
$node->stop;
done_testing();

# compared(SETUP, CHANGES, OPTIONS...): records of both, those of begin and commit left out
sub compared
{
	my ($setup, $changes, %options) = @_;
	my $db = 'd' . ++$databases;
	my $pgoptions = delete $options{pgoptions};
	my $encoding = delete $options{encoding} // 'UTF8';

	$node->safe_psql('postgres', "CREATE DATABASE $db TEMPLATE template0 LOCALE 'C' ENCODING '$encoding'");
	run_sql($node, $db, $setup);
	create_slot($node, $db, $db);
	run_sql($node, $db, $changes);
	%options = ('include-transaction' => 'off', %options);
	my @theirs = @{ read_lines(decode($node, $db, $db, plugin => 'wal2json', pgoptions => $pgoptions,
		options => { 'format-version' => 2, %options })) };
	my @ours = @{ read_lines(decode($node, $db, $db, pgoptions => $pgoptions,
		options => { format => 'wal2json', 'search-path' => '', %options })) };
	return (\@theirs, \@ours);
}

# What wal2json got wrong before 2.7: whether it does here, and if not, whether both are the same.
sub was_wrong
{
	my ($name, $wrong, $theirs, $ours) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return ok($wrong, "wal2json: $name") unless knows_option('partition-root');
	return is($ours, $theirs, "the same as wal2json 2.7, of which it is no longer so: $name");
}

sub parsed
{
	my ($line) = @_;
	return eval { $json->decode($line) };
}

# Columns of a record by their names, with this member of them.
sub columns_of
{
	my ($line, $member) = @_;
	return { map { $_->{name} => $_->{$member} } @{ parsed($line)->{columns} } };
}

sub changes_without_identity
{
	my ($theirs, $ours) = compared(
		'CREATE TABLE t (a int); CREATE TABLE n (id int PRIMARY KEY); ALTER TABLE n REPLICA IDENTITY NOTHING;
		 CREATE TABLE d (id int PRIMARY KEY DEFERRABLE)',
		'INSERT INTO t VALUES (1); UPDATE t SET a = 2; DELETE FROM t; INSERT INTO n VALUES (1); UPDATE n SET id = 2; DELETE FROM n;
		 INSERT INTO d VALUES (1); UPDATE d SET id = 2; DELETE FROM d', 'include-types' => 'off');

	is(join(' ', map { parsed($_)->{action} } @$theirs), 'I I I', 'wal2json drops changes of rows without identity');
	is(join(' ', map { parsed($_)->{action} } @$ours), 'I U D I U D I U D', 'they are told');
	is($ours->[1], '{"action":"U","schema":"public","table":"t","columns":[{"name":"a","value":2}]}', 'an update has the new row');
	is($ours->[2], '{"action":"D","schema":"public","table":"t"}', 'a delete that there was one');
	return;
}

sub type_names
{
	my $setup = q(CREATE SCHEMA "S"; CREATE TYPE "S"."T" AS ENUM ('a'); CREATE TYPE "q""t" AS ENUM ('a'); CREATE TYPE "b\t" AS ENUM ('a');
		CREATE TABLE t (s "S"."T", ss "S"."T"[]); CREATE TABLE q (q "q""t"); CREATE TABLE b (b "b\t");
		CREATE SCHEMA other; CREATE TYPE other."T" AS ENUM ('a'); CREATE TABLE o (o other."T", i int));
	my $changes = q(INSERT INTO t VALUES ('a', '{a}'); INSERT INTO o VALUES ('a', 1); INSERT INTO q VALUES ('a'); INSERT INTO b VALUES ('a'));
	my ($theirs, $ours) = compared($setup, $changes);

	was_wrong('"S"."T" is no JSON', !parsed($theirs->[0]), $theirs->[0], $ours->[0]);
	is_deeply(columns_of($ours->[0], 'type'), { s => '"S"."T"', ss => '"S"."T"[]' }, 'it is');
	is($ours->[1], $theirs->[1], 'the same where the schema needs no quotes');

	# by the SQL functions, where the types of schema public need no schema
	my $db = "d$databases";
	run_sql($node, $db, "SELECT pg_copy_logical_replication_slot('$db', 'theirs', false, 'wal2json')");
	my @sql = map { [ split /\n/, run_sql($node, $db, "SELECT data FROM pg_logical_slot_peek_changes($_, 'include-transaction', 'off')") ] }
	  "'theirs', NULL, NULL, 'format-version', '2'", "'$db', NULL, NULL, 'format', 'wal2json'";
	was_wrong('"q""t" is no JSON', !parsed($sql[0][2]), $sql[0][2], $sql[1][2]);
	is_deeply(columns_of($sql[1][2], 'type'), { q => '"q""t"' }, 'it is');
	isnt(columns_of($sql[0][3], 'type')->{b}, 'b\\t', 'wal2json: a backslash of a name is read as an escape');
	is_deeply(columns_of($sql[1][3], 'type'), { b => 'b\\t' }, 'it is not');
	run_sql($node, $db, "SELECT pg_drop_replication_slot('theirs')");
	return;
}

sub type_numbers
{
	my ($theirs, $ours) = compared("CREATE TYPE e AS ENUM ('a'); CREATE TABLE t (e e)", "INSERT INTO t VALUES ('a')",
		'include-type-oids' => 'on');
	my $oid = $node->safe_psql("d$databases", "SELECT 'e'::regtype::oid");

	cmp_ok($oid, '>', 2**31, 'the type has a large number');
	was_wrong('it is negative', columns_of($theirs->[0], 'typeoid')->{e} == $oid - 2**32, $theirs->[0], $ours->[0]);
	is(columns_of($ours->[0], 'typeoid')->{e}, $oid, 'it is not');
	return;
}

sub defaults
{
	my ($theirs, $ours) = compared(
		q(CREATE TABLE t (a int, b text DEFAULT '"x"', c text DEFAULT E'line\nbreak', d text DEFAULT 'plain')),
		'INSERT INTO t VALUES (1)', 'include-default' => 'on');

	was_wrong('a default with a quote or a line break is no JSON', !parsed($theirs->[0]), $theirs->[0], $ours->[0]);
	is_deeply(columns_of($ours->[0], 'default'),
		{ a => undef, b => q('"x"'::text), c => qq('line\nbreak'::text), d => q('plain'::text) }, 'it is');
	return;
}

sub message_contents
{
	my ($theirs, $ours) = compared('',
		q(SELECT pg_logical_emit_message(true, 'p', '\x610062'::bytea), pg_logical_emit_message(true, 'p', '\xff'::bytea)));

	is(parsed($theirs->[0])->{content}, 'a', 'wal2json: content is cut off at a NUL');
	ok(!utf8::decode(my $bytes = $theirs->[1]), 'wal2json: content that is not text is no UTF-8');
	is_deeply([ map { my $m = parsed($_); [ $m->{content}, $m->{content_base64} ] } @$ours ], [ [ undef, 'YQBi' ], [ undef, '/w==' ] ],
		'what is not text is base64, by another name');
	return;
}

# What a session sets shows in wal2json's records; ours are as under PostgreSQL's defaults and UTC.
sub settings
{
	my $setup = q(CREATE TABLE t (at timestamptz, d date, i interval, f float8, b bytea, m money, r tstzrange, c regclass));
	my $changes = q{INSERT INTO t VALUES ('2026-01-31 12:00:00.5+00', '2026-01-31', '1 day 02:00', 0.1::float8 + 0.2, '\x00ff', 1.5,
		'[2026-01-31 12:00:00+00,)', 't')};
	my $odd = join(' ', '-c DateStyle=German', '-c IntervalStyle=iso_8601', '-c TimeZone=Asia/Kathmandu', '-c extra_float_digits=0',
		'-c bytea_output=escape', '-c quote_all_identifiers=on');
	my ($theirs, $ours) = compared($setup, $changes, 'include-timestamp' => 'on', pgoptions => $odd);
	my ($theirs_plain, $ours_plain) = compared($setup, $changes, 'include-timestamp' => 'on');
	my ($values, $plain) = map { columns_of($_->[0], 'value') } $theirs, $theirs_plain;

	isnt($values->{$_}, $plain->{$_}, "wal2json: a session's settings show in $_") foreach 'at', 'd', 'i', 'b', 'r';
	like($theirs->[0], qr/"value":0\.3\}/, 'wal2json: and in the digits of numbers');
	like(parsed($theirs->[0])->{timestamp}, qr/\+05:45$/, 'wal2json: and in the timestamp');
	like($ours->[0], qr/"value":0\.30000000000000004\}/, 'they do not in ours');
	is_deeply(columns_of($ours->[0], 'value'), { at => '2026-01-31 12:00:00.5+00', d => '2026-01-31', i => '1 day 02:00:00',
		f => 0.30000000000000004, b => '00ff', m => '$1.50', r => '["2026-01-31 12:00:00+00",)', c => 'public.t' },
		'they do not in ours');
	is($ours->[0] =~ s/"timestamp":"[^"]*"//r, $theirs_plain->[0] =~ s/"timestamp":"[^"]*"//r,
		'which are what wal2json writes under defaults and UTC');
	like(parsed($ours->[0])->{timestamp}, qr/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+\+00$/, 'and the timestamp is in UTC');
	return;
}

# A transaction that was replicated without its time.
sub times_of_origin
{
	my ($theirs, $ours) = compared("CREATE TABLE t (a int); SELECT pg_replication_origin_create('timeless')",
		"SELECT pg_replication_origin_session_setup('timeless'); INSERT INTO t VALUES (1); SELECT pg_replication_origin_session_reset()",
		'include-timestamp' => 'on');

	is(parsed($theirs->[0])->{timestamp}, '2000-01-01 00:00:00+00', 'wal2json: a time that is not known is 2000-01-01');
	is(parsed($ours->[0])->{timestamp}, undef, 'it is null');
	return;
}

# Under FULL the old row has the value that was not logged with the new one.
sub unchanged_values
{
	my ($theirs, $ours) = compared(
		'CREATE TABLE f (id int PRIMARY KEY, big text, n int); ALTER TABLE f REPLICA IDENTITY FULL, ALTER big SET STORAGE EXTERNAL;
		 CREATE TABLE d (id int PRIMARY KEY, big text, n int); ALTER TABLE d ALTER big SET STORAGE EXTERNAL;
		 INSERT INTO f VALUES (1, repeat(\'x\', 5000)); INSERT INTO d TABLE f', 'UPDATE f SET n = 1; UPDATE d SET n = 1',
		'include-types' => 'off');

	is_deeply([ sort keys %{ columns_of($theirs->[0], 'value') } ], [ 'id', 'n' ], 'wal2json: an unchanged value is left out under FULL');
	is_deeply([ sort keys %{ columns_of($ours->[0], 'value') } ], [ 'big', 'id', 'n' ], 'it is not');
	is(columns_of($ours->[0], 'value')->{big}, 'x' x 5000, 'but is the old one');
	is($ours->[1], $theirs->[1], 'where it is not known it is left out of both');
	return;
}

sub materialized_views
{
	my ($theirs, $ours) = compared(
		'CREATE TABLE t (a int PRIMARY KEY); CREATE MATERIALIZED VIEW v AS SELECT a FROM t; CREATE UNIQUE INDEX ON v (a)',
		'INSERT INTO t VALUES (1); REFRESH MATERIALIZED VIEW CONCURRENTLY v');

	is(scalar(grep { /"table":"v"/ } @$theirs), 1, 'wal2json: some of what REFRESH writes is told');
	is(join(' ', map { parsed($_)->{table} } @$ours), 't', 'nothing of it is');
	return;
}

# Of wal2json's 2.7: the root's name, but the partition's columns, and a truncated partition is told as a truncated root.
sub partition_root
{
	my $setup = 'CREATE TABLE p (id int, r text, v text, PRIMARY KEY (id, r)) PARTITION BY LIST (r);
		CREATE TABLE p_a PARTITION OF p FOR VALUES IN (\'a\');
		CREATE TABLE p_b (v text, r text NOT NULL, id int NOT NULL) PARTITION BY LIST (r);
		CREATE TABLE p_b_b (r text NOT NULL, v text, id int NOT NULL);
		ALTER TABLE p_b ATTACH PARTITION p_b_b FOR VALUES IN (\'b\'); ALTER TABLE p ATTACH PARTITION p_b FOR VALUES IN (\'b\')';
	my $changes = q(INSERT INTO p VALUES (1, 'a', 'v'), (2, 'b', 'w'); UPDATE p SET v = 'x'; DELETE FROM p WHERE id = 1; TRUNCATE p_b_b; TRUNCATE p);
	my %options = ('include-types' => 'off', 'include-pk' => 'on');

	if (!knows_option('partition-root'))
	{
		my ($theirs, $ours) = compared($setup, $changes, %options);
		is_deeply($ours, $theirs, 'without partition-root the same');
		return;
	}
	my ($theirs, $ours) = compared($setup, $changes, %options, 'partition-root' => 'on');
	my $brief = sub {
		my $record = parsed($_);
		return join(' ', $record->{action}, $record->{table}, map { $_->{value} } @{ $record->{columns} // [] });
	};
	is_deeply([ map { $brief->() } @$theirs ],
		[ 'I p 1 a v', 'I p b w 2', 'U p 1 a x', 'U p b x 2', 'D p', 'T p', 'T p', 'T p', 'T p', 'T p' ],
		'wal2json: columns in the order of the partition, and truncated partitions are the root');
	is_deeply([ map { $brief->() } @$ours ], [ 'I p 1 a v', 'I p 2 b w', 'U p 1 a x', 'U p 2 b x', 'D p', 'T p' ],
		'columns in the order of the root, of which alone it is told that it was truncated');
	is_deeply([ map { $_->{name} } @{ parsed($ours->[1])->{pk} } ], [ 'id', 'r' ], 'and its primary key');
	return;
}

sub encodings
{
	my ($theirs, $ours) = compared("CREATE TABLE t (\"n\xE9\" text PRIMARY KEY)",
		"INSERT INTO t VALUES (E'\\t\xFC'); UPDATE t SET \"n\xE9\" = '\xDF'", encoding => 'LATIN1', pgoptions => '-c client_encoding=LATIN1');

	is_deeply($ours, [ map { encode_utf8(Encode::decode('latin1', $_)) } @$theirs ], 'wal2json: in the encoding of the database; ours: UTF-8');
	# the SQL functions return text in the encoding of the database
	my $text = run_sql($node, "d$databases", "SELECT data FROM pg_logical_slot_peek_changes('d$databases', NULL, NULL, 'format', 'wal2json', 'include-transaction', 'off')");
	ok($text !~ /[^\x00-\x7F]/, 'ASCII by the SQL functions');
	is_deeply([ map { parsed($_) } split(/\n/, $text) ], [ map { parsed($_) } @$ours ], 'which say the same');

	($theirs, $ours) = compared('CREATE TABLE t (a text)', "INSERT INTO t VALUES (E'x\\xFFy')", encoding => 'SQL_ASCII', 'include-types' => 'off');
	ok(!utf8::decode(my $bytes = $theirs->[0]), 'wal2json: bytes of an unknown encoding as they are');
	is($ours->[0], encode_utf8(qq({"action":"I","schema":"public","table":"t","columns":[{"name":"a","value":"x\x{FFFD}y"}],"replaced":1})),
		'they are replaced, and that is said');
	return;
}

sub virtual_columns
{
	return if $node->pg_version < 18;
	my ($theirs, $ours) = compared('CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a * 2))', 'INSERT INTO t VALUES (1)');

	is_deeply(columns_of($theirs->[0], 'value'), { a => 1, b => undef }, 'wal2json: a virtual column is null');
	is_deeply(columns_of($ours->[0], 'value'), { a => 1, b => 2 }, 'it is computed');
	return;
}

# The extension's own tables are not told of.
sub own_tables
{
	my ($theirs, $ours) = compared('CREATE EXTENSION cdc_decoder', "SELECT cdc.create_pipeline('p')");

	cmp_ok(scalar @$theirs, '>', 0, 'wal2json tells what the extension writes into its tables');
	is_deeply($ours, [], 'which is no part of what is captured');
	return;
}
