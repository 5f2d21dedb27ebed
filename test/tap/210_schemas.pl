# Schema records through the client: before the first record of each version, again at each start, and no part
# of the sequence that is delivered once.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = make_node('schemas');
my $dir = PostgreSQL::Test::Utils::tempdir();
my $db = conninfo($node, 'postgres');
my $out = "$dir/out.ndjson";
my @stream = ("file://$out", '--until=now', '--option=schemas=on');

# The records of the file: "schema VERSION" or "ID VERSION" each.
sub told
{
	my ($file) = @_;
	return map {
		/^\{"op":"schema".*"version":"([0-9a-f]{16})","columns"/ ? "schema $1"
		  : /"schema_version":"([0-9a-f]{16})".*"after":\{"id":(\d+)/ ? "$2 $1"
		  : "unexpected: $_"
	} split(/\n/, slurp_bytes($file));
}

sub stream
{
	my (@arguments) = @_;
	my ($code, $log) = run_client($db, 's', @arguments);
	is($code, 0, "streamed: @arguments") or diag($log);
	return;
}

$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY)');
create_slot($node, 'postgres', 's');
$node->safe_psql('postgres', 'INSERT INTO t VALUES (1), (2)');
stream(@stream);
my @told = told($out);
my ($version) = $told[0] =~ /^schema (\w+)$/;
is_deeply(\@told, [ "schema $version", "1 $version", "2 $version" ], 'before the first record, once');

$node->safe_psql('postgres', 'INSERT INTO t VALUES (3); ALTER TABLE t ADD COLUMN a int; INSERT INTO t VALUES (4)');
stream(@stream);
@told = told($out);
my ($later) = $told[5] =~ /^schema (\w+)$/;
isnt($later, $version, 'a column more is another version');
is_deeply([ @told[ 3 .. $#told ] ], [ "schema $version", "3 $version", "schema $later", "4 $later" ],
	'again at the next start, and where it changes');

# A start at which all records are done already writes nothing; the position holds no schema.
stream(@stream);
is(scalar(told($out)), 7, 'nothing new, nothing written');
my $position = sidecar_position($out);
$node->safe_psql('postgres', 'INSERT INTO t SELECT generate_series(5, 2000)');
my $client = start_client($db, 's', "file://$out", args => [ '--option=schemas=on', '--commit-interval=0' ]);
wait_until('in the middle', sub { slurp_bytes($out) =~ /"after":\{"id":9\d\d,/ });
kill_client($client, 'KILL');
stream(@stream);
my @records = grep { !/^schema/ } told($out);
is(join(' ', map { /^(\d+)/ } @records), join(' ', 1 .. 2000), 'killed in between: each record once');
cmp_ok(scalar(grep { /^schema/ } told($out)), '>=', 4, 'and the schema again');
is(scalar(grep { !/ $later$/ } @records[ 3 .. $#records ]), 0, 'each with its version');

# The standard output; a pipeline's option.
create_slot($node, 'postgres', 'out');
$node->safe_psql('postgres', q(CREATE EXTENSION cdc_decoder; SELECT cdc.create_pipeline('p', options => '{"schemas": "on"}')));
$node->safe_psql('postgres', 'INSERT INTO t VALUES (3000)');
my ($code, $log, $text) = run_client($db, 'out', '-', '--until=now', '--pipeline=p');
is($code, 0, 'to the standard output') or diag($log);
done_testing();
