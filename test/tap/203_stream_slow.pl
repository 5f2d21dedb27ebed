# A reader that is slow, or stops: the connection lives, memory stays within bounds, nothing is lost.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $rows = 300_000;
my $limit = 32 * 1024 * 1024;

my $node = make_node('slow', 'wal_sender_timeout = 2s');
# of the connection, where the client leaves it alone
my $db = conninfo($node, 'postgres', options => '-c wal_sender_timeout=2s');
my $sanitized = client_sanitized();

# The most memory that the process has had.
sub peak_memory
{
	my ($pid) = @_;
	slurp_file("/proc/$pid/status") =~ /^VmHWM:\s+(\d+) kB/m or die 'no VmHWM';
	return $1 * 1024;
}

sub memory_is_bounded
{
	my ($name, $client) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	my $peak = peak_memory($client->{pid});
	return if $sanitized; # a sanitizer's memory is not the client's
	return cmp_ok($peak, '<', $limit, "$name: memory below 32 MiB: $peak");
}

$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY, v text)');
create_slot($node, 'postgres', 's');
$node->safe_psql('postgres', "INSERT INTO t SELECT g, repeat('v', 50) FROM generate_series(1, $rows) g");
$node->safe_psql('postgres', "SELECT pg_copy_logical_replication_slot('s', 's_file')");

# a large transaction into a file
my $file = PostgreSQL::Test::Utils::tempdir() . '/out.ndjson';
my $client = start_client($db, 's_file', "file://$file");
wait_until('the transaction', sub { -e "$file.cdc-position" && (sidecar_position($file)->{seq} // 0) > $rows });
memory_is_bounded('file', $client);
is(kill_client($client, 'TERM'), 0, 'file: ends on request');

# the same to a reader that takes 1 MB and then nothing for more than three times the timeout
pipe(my $reader, my $writer);
$client = start_client($db, 's', '-', stdout => $writer, args => ['--until=now']);
close($writer);
my ($bytes, $lines, $last) = (0, 0, '');
my $take = sub {
	my ($most) = @_;
	my $piece = read_piece($reader, $most);
	$bytes += length $piece;
	$lines += ($piece =~ tr/\n//);
	$last = substr($last . $piece, -1000);
	return length $piece;
};
1 while $bytes < 1_000_000 && $take->(10_000);
my $walsender = walsender_pid($node, 'postgres', 's');
ok($node->poll_query_until('postgres',
		"SELECT backend_start < now() - interval '8 s' AND reply_time > now() - interval '1 s'
		 FROM pg_stat_replication WHERE pid = $walsender"),
	'a reader that stops: the server hears from the client all the same');
is(walsender_pid($node, 'postgres', 's'), $walsender, 'the connection is the same');
memory_is_bounded('a reader that stops', $client);

# then 1 MB/s for a while
my $started = time();
my $from = $bytes;
while (time() - $started < 6)
{
	$take->(10_000) or last;
	my $early = ($bytes - $from) / 1_000_000 - (time() - $started);
	usleep($early * 1_000_000) if $early > 0;
}
is(walsender_pid($node, 'postgres', 's'), $walsender, '1 MB/s: the connection is the same');
memory_is_bounded('1 MB/s', $client);
is($node->safe_psql('postgres',
		"SELECT confirmed_flush_lsn < pg_current_wal_lsn() FROM pg_replication_slots WHERE slot_name = 's'"),
	't', 'nothing is acknowledged that was not read');

# and the rest
1 while $take->(1_000_000);
is(wait_client($client), 0, 'everything is delivered in the end') or diag(client_log($client));
is($lines, $rows, 'each record once');
like($last, qr/"id":$rows,[^\n]*\n\z/, 'up to the last');
unlike(client_log($client), qr/trying again/, 'without a reconnect');

$node->stop;
done_testing();
