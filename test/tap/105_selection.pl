# What is selected by name must exist, or what it would have selected is lost: stream says so in time.
use strict;
use warnings;

use File::Basename qw(dirname);
use lib dirname(__FILE__) . '/lib';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CdcAdmin;

my $node = admin_node('main');
my $file = PostgreSQL::Test::Utils::tempdir . '/records';
my @stream = ('stream', '--slot=one', "--sink=file://$file", '--until=now');

sub confirmed
{
	return $node->safe_psql('postgres', "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'one'");
}

$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION "Odd, name" FOR TABLE t');
client_ok($node, [ 'slot', 'create', '--slot=one' ], 'slot');
$node->safe_psql('postgres', 'INSERT INTO t VALUES (1)');
my $before = confirmed();
client_fails($node, [ @stream, '--publication-names=shop, "Odd, name", Shop2' ], 1,
	[qr/publication does not exist: shop, shop2/, qr/DETAIL .*skipped for good/, qr/HINT .*--accept=missing/],
	'a publication that does not exist');
client_fails($node, [ @stream, '--pipeline=masked' ], 1,
	[qr/pipeline does not exist: masked/, qr/HINT .*CREATE EXTENSION cdc_decoder/], 'a pipeline without the extension');
$node->safe_psql('postgres', 'CREATE EXTENSION cdc_decoder');
client_fails($node, [ @stream, '-o', 'pipeline=masked' ], 1,
	[qr/pipeline does not exist: masked/, qr/HINT .*cdc\.create_pipeline/], 'a pipeline that does not exist');
is(confirmed(), $before, 'nothing was acknowledged');
ok(!-s $file, 'nor anything written');

client_ok($node, [ @stream, '--publication-names="Odd, name"' ], 'one that exists');
is(scalar(split /\n/, PostgreSQL::Test::Utils::slurp_file($file)), 1, 'has its record');
$node->safe_psql('postgres', 'INSERT INTO t VALUES (2)');
client_ok($node, [ @stream, '--publication-names=later', '--accept=missing' ], 'a missing one that is accepted');
is(scalar(split /\n/, PostgreSQL::Test::Utils::slurp_file($file)), 1, 'selects nothing');
$node->safe_psql('postgres', q{SELECT cdc.create_pipeline('masked')});
$node->safe_psql('postgres', 'INSERT INTO t VALUES (3)');
client_ok($node, [ @stream, '--pipeline=masked' ], 'a pipeline that exists');
is(scalar(split /\n/, PostgreSQL::Test::Utils::slurp_file($file)), 2, 'has its record');

# The publications that a pipeline names
$node->safe_psql('postgres', q{SELECT cdc.create_pipeline('named', '{gone,"Odd, name"}')});
$before = confirmed();
client_fails($node, [ @stream, '--pipeline=named' ], 1,
	[qr/publication of the pipeline does not exist: gone/, qr/DETAIL .*skipped for good/, qr/HINT .*--accept=missing/], 'a missing one of a pipeline');
is(confirmed(), $before, 'nothing was acknowledged');
$node->safe_psql('postgres', 'INSERT INTO t VALUES (4)');
client_ok($node, [ @stream, '--pipeline=named', '--publication-names="Odd, name"' ], 'publications go before the pipeline\'s');
is(scalar(split /\n/, PostgreSQL::Test::Utils::slurp_file($file)), 3, 'and select');
$node->safe_psql('postgres', 'INSERT INTO t VALUES (5)');
client_ok($node, [ @stream, '--pipeline=named', '--accept=missing' ], 'a missing one of a pipeline that is accepted');
is(scalar(split /\n/, PostgreSQL::Test::Utils::slurp_file($file)), 4, 'selects nothing, the other does');
# An expression that fails: whose it is
$node->safe_psql('postgres', q{SELECT cdc.set_column('masked', 't', 'share', '1 / (id - 6)'); INSERT INTO t VALUES (6)});
client_fails($node, [ @stream, '--pipeline=masked' ], 2, [qr/SQLSTATE 22012/, qr/DETAIL  pipeline "masked", member "share" of "public"\."t", commit_lsn [^,]*, seq 1\./],
	'an expression that fails is named');
client_ok($node, [ @stream, '--pipeline=masked', '--on-expression-error=null' ], 'and can be passed');

# a path that was meant as a sink
client_fails($node, [ 'stream', '--slot=one', "--sink=$file" ], 1,
	[qr/sink "\Q$file\E"/, qr/HINT .*file:\/\/\Q$file\E/], 'a path is no URI, but what it would be is said');

# The extension is dropped while a slot has yet to pass its rules: PostgreSQL's own error, with a way out
client_ok($node, [ 'slot', 'create', '--slot=two' ], 'another slot');
$node->safe_psql('postgres', q{SELECT cdc.set_metadata('masked', '{"region": "eu"}')});
$node->safe_psql('postgres', 'SET cdc.drop_with_slots = on; DROP EXTENSION cdc_decoder');
client_fails($node, [ 'stream', '--slot=two', "--sink=file://$file.two", '--until=now' ], 2,
	[qr/could not find pg_class entry/, qr/HINT .*pg_replication_slot_advance/], 'a dropped extension');
done_testing();
