# pg_dump and restore keep pipelines and their rules, whatever order the tables and their keys come in.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcTest;
use IPC::Run ();
use Test::More;

my $node = make_node('dump');
$node->safe_psql('postgres', q(
	CREATE EXTENSION cdc_decoder;
	CREATE ROLE keeper;
	GRANT EXECUTE ON FUNCTION cdc.create_pipeline(name, name[], jsonb) TO keeper;
	CREATE SCHEMA "Odd ""schema";
	CREATE TYPE mood AS ENUM ('sad', 'ok');
	CREATE TABLE "Odd ""schema"."Ta""ble" (id int PRIMARY KEY, code int NOT NULL, secret text, mood mood);
	CREATE UNIQUE INDEX code ON "Odd ""schema"."Ta""ble" (code);
	ALTER TABLE "Odd ""schema"."Ta""ble" REPLICA IDENTITY USING INDEX code;
	CREATE TABLE plain (id int PRIMARY KEY, a int, b text);
	CREATE TABLE parts (id int, a int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
	CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (100);
	INSERT INTO "Odd ""schema"."Ta""ble" VALUES (1, 10, 'secret', 'ok');
	INSERT INTO plain VALUES (1, 2, 'b');
	INSERT INTO parts VALUES (1, 2);
	SELECT cdc.create_pipeline('first', '{one,"Two, three"}', '{"delete": "key"}');
	SELECT cdc.set_metadata('first', '{"region": "eu"}');
	SELECT cdc.set_key('first', '"Odd ""schema"."Ta""ble"', '{code}');
	SELECT cdc.set_column('first', '"Odd ""schema"."Ta""ble"', 'secret', 'cdc.mask_hash(secret, ''salt'')');
	SELECT cdc.set_column('first', '"Odd ""schema"."Ta""ble"', 'good', 'mood = ''ok''');
	SELECT cdc.rename_column('first', 'plain', 'b', 'bee');
	SELECT cdc.drop_column('first', 'parts', 'a');
	SET ROLE keeper;
	SELECT cdc.create_pipeline('second');
	RESET ROLE;
	SELECT cdc.set_target('second', 'plain', 'target');
	SELECT cdc.create_pipeline('third');
	SELECT cdc.drop_pipeline('third');));

my $described = describe('postgres');
like($described, qr/"good":true/, 'there is something to keep');

foreach my $format ('plain', 'custom')
{
	my $db = "restored_$format";
	my $file = output_file('dump');
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->command_ok([ 'pg_dump', '-F', $format, '-f', $file, '-d', $node->connstr('postgres') ], "pg_dump, $format");
	$node->command_ok(
		$format eq 'plain'
		? [ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($db), '-f', $file ]
		: [ 'pg_restore', '--exit-on-error', '-d', $node->connstr($db), $file ],
		"restored, $format");
	is(describe($db), $described, "$format: pipelines, rules, and what they make of the rows");
	is($node->safe_psql($db, 'SELECT pipeline, owner FROM cdc.pipelines ORDER BY 1'),
		"first|" . $node->safe_psql('postgres', 'SELECT current_user') . "\nsecond|keeper", "$format: owners");
	create_slot($node, $db, $db);
	$node->safe_psql($db, q(INSERT INTO "Odd ""schema"."Ta""ble" VALUES (2, 20, 'other', 'sad')));
	my $lines = read_lines(decode($node, $db, $db, options => { pipeline => 'first', publication_names => 'none' }));
	is(scalar @$lines, 0, "$format: publications are those of the stream");
	$node->safe_psql($db, 'CREATE PUBLICATION one FOR ALL TABLES');
	$node->safe_psql($db, q(INSERT INTO "Odd ""schema"."Ta""ble" VALUES (3, 30, 'other', 'sad')));
	$lines = read_lines(decode($node, $db, $db, options => { pipeline => 'first' }));
	is(scalar @$lines, 1, "$format: decoded by its own publications");
	like($lines->[0], qr/"region":"eu".*"key":\{"code":30\}.*"secret":"[0-9a-f]{64}","mood":"sad","good":false\}/, "$format: and rules");
	# what the restore left unchecked is checked from now on
	my ($code, undef, $error) = $node->psql($db, 'ALTER TABLE plain RENAME COLUMN b TO c');
	like($error, qr/column "b" of relation "plain" does not exist/, "$format: what breaks a rule is refused");
	# the dropped one can be told from one that never was
	create_slot($node, $db, "${db}_third");
	$node->safe_psql($db, 'INSERT INTO plain VALUES (3)');
	like(decode_fails($node, $db, "${db}_third", options => { pipeline => 'third' }), qr/was dropped/, "$format: a dropped one stays dropped");
}
$node->stop;
done_testing();

# All pipelines as documents, and previews without what differs from one server to the next.
sub describe
{
	my ($db) = @_;
	return $node->safe_psql($db, q(
		SELECT cdc.export_pipeline(pipeline) FROM cdc.pipelines ORDER BY pipeline;
		SELECT r.pipeline, r.relation::text, regexp_replace(preview::text, '"source":"[^"]*"|"commit_lsn":"[^"]*"', '', 'g')
		FROM (SELECT DISTINCT pipeline, relation FROM cdc.rules) AS r, LATERAL cdc.preview(r.pipeline, r.relation) ORDER BY 1, 2, 3;));
}
