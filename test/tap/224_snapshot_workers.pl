# Existing rows read by several workers at a time, under load, with the client killed: what was delivered, replayed, is
# what the tables hold, and each row came once; a snapshot gone on with by other numbers of workers; a key that has
# become another one; connections that lead to another server.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcProxy;
use CdcSnapshot;
use CdcStream;
use CdcTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

seed_random(20261123);
my $rows = 12000;
my $node = make_node('workers');
my $db = conninfo($node, 'postgres');
my $dir = PostgreSQL::Test::Utils::tempdir();

# few rows on a page: large enough to be divided, and soon replayed
make_tables($node, $rows);
$node->safe_psql('postgres', $_)
  foreach 'ALTER TABLE items SET (fillfactor = 10)', 'VACUUM FULL ANALYZE items';

# ------------------------------------------------------------------------------------------------
# Under load, killed
# ------------------------------------------------------------------------------------------------

my $load = start_load($node, $rows);
my $sink = "file://$dir/rows.ndjson";
my ($during, $divided, $ranges) = (0, 0, 0);
foreach my $workers (3, 4, 2, 1, 3, 2)
{
	my $client = start_client($db, 'killed', $sink,
		args => [ '--create-slot', '--snapshot=initial', "--snapshot-workers=$workers",
			'--commit-interval=' . pick('0', '5ms'), '--max-in-flight=' . pick('64KiB', '1MiB'),
			'--max-rate=40000' ]);    # or a fast machine has done before it is killed

	wait_log($client, qr/streaming slot/);
	usleep(int(rand(60_000)));
	my $log = client_log($client);
	kill_client($client, 'KILL');
	last if $log !~ /snapshot of existing rows: /;    # the one before had finished it
	$during++ unless $log =~ /rows: through/;
	$divided++ if $log =~ /a range of keys divided into \d/;
	$ranges++ if -e "$dir/rows.ndjson.cdc-position" && slurp_bytes("$dir/rows.ndjson.cdc-position") =~ /"ranges":/;
}
note("$ranges of them left several ranges of keys");
cmp_ok($during, '>=', 2, "$during clients were killed while they delivered existing rows");
cmp_ok($divided, '>=', 1, "$divided of them had divided a table");
my ($code, $log) = run_client($db, 'killed', $sink, '--snapshot=initial', '--until=now', '--snapshot-workers=2');
is($code, 0, 'the last one ends') or diag($log);
stop_load($load);
($code, $log) = run_client($db, 'killed', $sink, '--snapshot=initial', '--until=now');
is($code, 0, 'what was left of the load') or diag($log);
unlike($log, qr/snapshot/, 'the snapshot is not begun again');
check_replay('replayed, it is what the tables hold', $node, [qw(items parted_1 parted_2 by_code whole short empty keyless)],
	"$dir/rows.ndjson");
snapshot_rows_once('each of them once', "$dir/rows.ndjson");

# ------------------------------------------------------------------------------------------------
# As many as there may be
# ------------------------------------------------------------------------------------------------

($code, $log) = run_client($db, 'many', "file://$dir/many.ndjson", '--create-slot', '--snapshot=only', '--snapshot-workers=16');
is($code, 0, 'sixteen workers') or diag($log);
like($log, qr/a range of keys divided into \d+/, 'which share a table');
snapshot_rows_once('each row once', "$dir/many.ndjson");
is(scalar(grep { /"table":"items"/ } @{ read_lines("$dir/many.ndjson") }), $node->safe_psql('postgres', 'SELECT count(*) FROM items'),
	'and all of them');
($code, $log) = run_client($db, 'many', "file://$dir/x", '--snapshot-workers=17');
is($code, 1, 'no more than that');
like($log, qr/--snapshot-workers: "17" is not a number that is allowed.*1 to 16/s, 'which is said');

# ------------------------------------------------------------------------------------------------
# In the middle of it
# ------------------------------------------------------------------------------------------------

# the key by which rows were read becomes another one of the same type
create_slot($node, 'postgres', 'key');
$node->safe_psql('postgres', 'CREATE PUBLICATION codes FOR TABLE by_code');
my @args = ('--snapshot=initial', '--publication_names=codes', '--commit-interval=0');
my $client = start_client($db, 'key', "file://$dir/key.ndjson", args => [ @args, '--max-rate=500' ]);
wait_until('a part of the rows', sub { -e "$dir/key.ndjson.cdc-position" && slurp_bytes("$dir/key.ndjson.cdc-position") =~ /"after":/ });
kill_client($client, 'KILL');
$node->safe_psql('postgres', 'ALTER TABLE by_code DROP CONSTRAINT by_code_pkey, ADD PRIMARY KEY (code)');
($code, $log) = run_client($db, 'key', "file://$dir/key.ndjson", @args, '--until=now');
is($code, 2, 'a key that became another one stops it');
like($log, qr/primary key of table "by_code" is not the one that its rows were read by so far/, 'and is named');

# workers whose connection leads to another server, where the slot is another one's
my $proxy = CdcProxy->new($node);
my $other = make_node('other');
$other->safe_psql('postgres', 'CREATE EXTENSION cdc_decoder');
create_slot($_, 'postgres', 'elsewhere') foreach $node, $other;
$proxy->command('two');
($code, $log) = run_client("host=$proxy->{host}," . $other->host . ' port=' . $node->port . ',' . $other->port . ' dbname=postgres',
	'elsewhere', "file://$dir/elsewhere.ndjson", '--snapshot=initial', '--until=now', '--retry-for=0');
is($code, 3, 'rows are not read elsewhere');
like($log, qr/slot "elsewhere" is not streamed by us from the server that a connection for existing rows led to .*HINT .*--dbname names several/s,
	'and why is said');
$proxy->stop;
$other->stop;

$node->stop;
done_testing();
