# How far existing rows have come: on a terminal, in a log, by cdc_client status; and how fast they may be read.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use IPC::Run ();
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = make_node('progress');
my $db = conninfo($node, 'postgres');
my $dir = PostgreSQL::Test::Utils::tempdir();

$node->safe_psql('postgres', q(
	CREATE EXTENSION cdc_decoder;
	CREATE TABLE first (id int PRIMARY KEY, body text);
	INSERT INTO first SELECT g, repeat('x', 100) FROM generate_series(1, 2000) g;
	CREATE TABLE second (id int PRIMARY KEY, body text);
	INSERT INTO second SELECT g, repeat('x', 100) FROM generate_series(1, 1000) g;
	ANALYZE));
create_slot($node, 'postgres', $_) foreach qw(terminal log bytes);

# ------------------------------------------------------------------------------------------------
# On a terminal
# ------------------------------------------------------------------------------------------------

my $shown = output_file('terminal');
my $command = join(' ', map { "'$_'" } client_binary(), 'stream', '--slot=terminal', "--sink=file://$dir/terminal.ndjson",
	'--snapshot=only', '--max-rate=2000');
my ($stdout, $stderr) = ('', '');
{
	local %ENV = (%ENV, $node->_get_env(), PGDATABASE => 'postgres');
	delete $ENV{$_} foreach grep { /^CDC_/ } keys %ENV;
	ok(IPC::Run::run([ 'script', '-q', '-e', '-c', $command, $shown ],
		'<', \undef, '>', \$stdout, '2>', \$stderr, IPC::Run::timeout($CdcStream::timeout)), 'on a terminal')
	  or diag("$stdout$stderr");
}
my $text = slurp_bytes($shown);
my $part = qr/\d+ of about 3000 rows, \d\.\d MB, \d+ rows\/s, about \d+ s left/;
like($text, qr/^snapshot of public\.first: \d+ of about 2000 rows, \d\.\d MB, \d+ rows\/s, about \d+ s left\r?\nsnapshot: $part\r?\n\r\d+ records, /m,
	'a line for the table, one for all, and that of the stream');
like($text, qr/snapshot of public\.second: \d+ of about 1000 rows/, 'the next table takes the place of the first');
like($text, qr/\r\e\[K\e\[A\e\[K\e\[A\e\[K/, 'they are drawn in place');
like($text, qr/table public\.first is through, 2000 rows of 0\.\d MB in \d+\.\d s; 2000 rows of all tables so far/,
	'a table that is through is told for good');
like($text, qr/table public\.second is through, 1000 rows of .*; 3000 rows of all tables so far/, 'each');
unlike($text =~ s/.*rows: through//sr, qr/snapshot/, 'nothing more of it when all are');

# ------------------------------------------------------------------------------------------------
# In a log; and what the position tells when the client was killed amid the rows
# ------------------------------------------------------------------------------------------------

my $began = time();
my $client = start_client($db, 'log', "file://$dir/log.ndjson", progress => 1,
	args => [ '--snapshot=initial', '--max-rate=500', '--commit-interval=20ms', '--progress-interval=200ms' ]);
wait_log($client, qr/snapshot: \d+ of about 3000 rows, \d\.\d MB, \d+ rows\/s, about \d+ s left; in table public\.first\n/, 2);
wait_log($client, qr/table public\.first is through/);
cmp_ok(time() - $began, '>=', 3.8, '2000 rows, 500 a second');
wait_log($client, qr/; in table public\.second/);
kill_client($client, 'KILL');
unlike(client_log($client), qr/\e/, 'nothing is drawn');

sub status
{
	my @args = @_;
	my ($out, $err) = ('', '');
	delete local @ENV{ grep { /^CDC_/ } keys %ENV };
	IPC::Run::run([ client_binary(), 'status', "--dbname=$db", '--slot=log', "--sink=file://$dir/log.ndjson", @args ],
		'<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout($CdcStream::timeout)) or die "status failed: $err";
	return $out;
}

my $snapshot = decode_json(status('--json'))->[0]{sink}{position}{snapshot};
cmp_ok($snapshot->{rows}, '>=', 2000, 'status --json: rows') or diag(explain($snapshot));
cmp_ok($snapshot->{rows}, '<', 3000, 'not all of them');
is($snapshot->{total_rows}, 3000, 'of how many');
cmp_ok($snapshot->{bytes} / $snapshot->{rows}, '>', 150, 'and how large they are');
cmp_ok($snapshot->{rows_per_second}, '<', 1000, 'how fast');
cmp_ok($snapshot->{seconds_left}, '>', 0, 'and how long yet');
like(status(), qr/^existing rows +2\d{3} of about 3000 rows, 0\.\d MB, \d+ rows\/s, about \d+ s left; in table public\.second$/m,
	'status: the same for people');
my ($code, $log) = run_client($db, 'log', "file://$dir/log.ndjson", '--snapshot=initial', '--until=now');
is($code, 0, 'gone on with') or diag($log);
like($log, qr/table public\.second is through, \d{1,3} rows of .*; 3000 rows of all tables so far/, 'what it had to do itself');
is(scalar @{ read_lines("$dir/log.ndjson") }, 3000, 'all rows came');
is(decode_json(status('--json'))->[0]{sink}{position}{snapshot}, undef, 'and nothing is told of them any more');

# ------------------------------------------------------------------------------------------------
# So many bytes a second
# ------------------------------------------------------------------------------------------------

$began = time();
($code, $log) = run_client($db, 'bytes', "file://$dir/bytes.ndjson", '--snapshot=only', '--max-rate=300kB');
is($code, 0, '--max-rate=300kB') or diag($log);
my $size = -s "$dir/bytes.ndjson";
# a chunk comes in advance, and is thought to be smaller than it is
cmp_ok(time() - $began, '>=', $size / (300 * 1024) - 0.3, "$size bytes take their time");
is(scalar @{ read_lines("$dir/bytes.ndjson") }, 3000, 'all rows came');

$node->stop;
done_testing();
