# The file sink with compress=zstd: what counts is whole frames, at every commit, over kill -9 and rotation.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

seed_random(20260207);
my $node = make_node('zstd');
my $dir = PostgreSQL::Test::Utils::tempdir();
my $db = conninfo($node, 'postgres');
my ($code, $log);

# plain(FILES...): a file of what zstd -d makes of them, one behind the other
sub plain
{
	my @files = grep { -s $_ } @_;
	my $out = output_file('ndjson');
	my $err = '';
	IPC::Run::run([ 'zstd', '-dcq', @files ], '>', $out, '2>', \$err) or die "zstd -d failed: $err";
	return $out;
}

# each record once over kills, with rotation
make_bank($node, 'bank');
$node->safe_psql('postgres', "SELECT pg_copy_logical_replication_slot('bank', 'mixed'), pg_copy_logical_replication_slot('bank', 'large')");
my $load = start_bank_load($node);
my $out = "$dir/bank.ndjson.zst";
my $broken = 0;
foreach my $i (1 .. 8)
{
	my $client = start_client($db, 'bank', "file://$out?compress=zstd&rotate=64KiB",
		args => [ '--commit-interval=' . pick('0', '5ms', '50ms'), '--max-in-flight=' . pick('64KiB', '1MiB') ]);
	wait_log($client, qr/streaming slot/);
	usleep(int(rand(400_000)));
	kill_client($client, 'KILL');

	# what the sidecar says is there is whole frames
	next unless -e "$out.cdc-position";
	my $position = sidecar_position($out);
	my $offset = $position->{offset} // 0;
	my $file = sprintf('%s.%06d', $out, $position->{file} // 1);
	$file = $out unless -e $file;
	next if $offset == 0;
	my $cut = output_file('zst');
	append_to_file($cut, substr(slurp_bytes($file), 0, $offset));
	$broken++ unless eval { plain($cut) };
}
stop_bank_load($load);
is($broken, 0, 'what counts was whole frames after every kill');
($code, $log) = run_client($db, 'bank', "file://$out?compress=zstd&rotate=64KiB", '--until=now');
is($code, 0, 'the last client ends') or diag($log);
my @files = bank_files($out);
cmp_ok(scalar @files, '>', 1, 'files were rotated: ' . scalar @files);
ok(!(grep { -s $_ > 65536 } @files), 'none is larger than asked');
my $records = check_bank('each record exactly once', $node, plain(@files));
cmp_ok($records, '>', 500, 'there was load');

# a rotated file is nearly as large as asked, although nobody knows beforehand what a record compresses to
$node->safe_psql('postgres', <<'END_SQL');
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t SELECT g, (SELECT string_agg(md5((g * 10 + i)::text), ' ') FROM generate_series(1, 4) i) FROM generate_series(1, 10000) g;
INSERT INTO t VALUES (0, repeat('x', 2000000));
END_SQL
$out = "$dir/large.ndjson.zst";
($code, $log) = run_client($db, 'large', "file://$out?compress=zstd&rotate=256KiB", '--until=now', '--commit-interval=1h');
is($code, 0, 'more than one file in one commit interval') or diag($log);
@files = bank_files($out);
# the last one has the large record, of which nobody knows what it compresses to: the one before ended for it
splice(@files, -2);
cmp_ok(scalar @files, '>', 2, 'makes files: ' . scalar @files);
ok(!(grep { -s $_ > 256 * 1024 || -s $_ < 240 * 1024 } @files), 'each nearly as large as asked')
  or diag(join(' ', map { -s $_ } @files));
my $text = slurp_bytes(plain(bank_files($out)));
is(join(' ', $text =~ /"table":"t",.*?"after":\{"id":(\d+),/g), join(' ', 1 .. 10000, 0), 'which hold all of it, in order');

# lines become frames, and lines again: each in a file of its own
$out = "$dir/mixed.ndjson";
$node->safe_psql('postgres', "SELECT pg_replication_slot_advance('mixed', pg_current_wal_lsn())");
sub insert_and_run
{
	my ($id, $params) = @_;
	$node->safe_psql('postgres', "INSERT INTO t VALUES ($id, 'v')");
	($code, $log) = run_client($db, 'mixed', "file://$out$params", '--until=now');
	is($code, 0, "record $id with \"$params\"") or diag($log);
	return;
}
insert_and_run(20001, '');
insert_and_run(20002, '?compress=zstd');
insert_and_run(20003, '?compress=zstd');
insert_and_run(20004, '?compress=none');
like(slurp_bytes("$out.000001"), qr/^\{.*"id":20001,.*\}\n\z/, 'lines');
like(slurp_bytes(plain("$out.000002")), qr/^\{.*"id":20002,.*\n\{.*"id":20003,.*\}\n\z/, 'frames');
like(slurp_bytes($out), qr/^\{.*"id":20004,.*\}\n\z/, 'lines again');

# doc/sink-file.md's commands
my ($stream, $read) = slurp_file("$FindBin::RealBin/../../doc/sink-file.md") =~ /^```sh\n(.*?)^```$/msg;
my $binary = client_binary();
$stream =~ s{^cdc_client stream --dbname=shop }{$binary stream --dbname="$db" --until=now --progress=off } or die 'no command';
s{/var/lib/cdc}{$dir}g foreach $stream, $read;
my ($stdout, $stderr) = run_command([ 'sh', '-ec', $stream ]);
is($?, 0, "the page's command") or diag($stderr);
$node->safe_psql('postgres', "INSERT INTO t VALUES (30001, 'v')");
run_command([ 'sh', '-ec', $stream ]);
($stdout, $stderr) = run_command([ 'sh', '-c', $read ]);
is($stdout, '["insert","t",{"id":30001}]', 'and what reads the file') or diag($stderr);

# what is refused, and leaves nothing
($code, $log) = run_client($db, 'mixed', "file://$dir/new?compress=lz4", '--until=now');
is($code, 1, 'another compression: exit code 1');
like($log, qr/compress=lz4 in the sink's URI is none of "none" and "zstd"/, 'says what there is');
($code, $log) = run_client($db, 'mixed', "file://$dir/new?compress=zstd", '--until=now', '--require-position');
is($code, 2, 'a start that is refused: exit code 2');
is(join(' ', glob("$dir/new*")), '', 'leaves no file');
append_to_file("$dir/theirs", 'something');
($code, $log) = run_client($db, 'mixed', "file://$dir/theirs", '--until=now');
is($code, 2, 'a file of somebody else: exit code 2');
is(join(' ', glob("$dir/theirs*")), "$dir/theirs", 'leaves no sidecar');

$node->stop;
done_testing();
