# No room for the file: the client waits, loses nothing, and goes on when there is room again.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# A limit on the size of files gives EFBIG where a full disk gives ENOSPC: the same to the client, and it
# can be set without privileges, on a process that runs already.
plan skip_all => 'prlimit (of util-linux) is not there' unless system('prlimit --version >/dev/null 2>&1') == 0;

my $node = make_node('full');
my $db = conninfo($node, 'postgres');
my $out = PostgreSQL::Test::Utils::tempdir() . '/bank.ndjson';
my @limit = ('prlimit', '--fsize=100000:unlimited');

make_bank($node, 'bank');
my $load = start_bank_load($node);
my $client = start_client($db, 'bank', "file://$out", prefix => \@limit, args => ['--commit-interval=50ms']);
wait_log($client, qr/could not write to "\Q$out\E": File too large/);
like(client_log($client), qr/HINT +Make room/, 'says what to do');
wait_log($client, qr/streaming slot/, 3);
cmp_ok(-s $out, '<=', 100_000, 'the file has the size that it may have');
my $slot = lsn_number($node->safe_psql('postgres',
	"SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'bank'"));
cmp_ok($slot, '<=', lsn_number(sidecar_position($out)->{confirmed}), 'nothing is acknowledged meanwhile');

system_or_bail('prlimit', "--pid=$client->{pid}", '--fsize=unlimited:unlimited');
ok(wait_until('the client to go on', sub { -s $out > 200_000 }), 'goes on when there is room');
stop_bank_load($load);
is(kill_client($client, 'TERM'), 0, 'ends on request');
my ($code, $log) = run_client($db, 'bank', "file://$out", '--until=now');
is($code, 0, 'the last client ends') or diag($log);
check_bank('each record exactly once', $node, $out);

# where there never is any, it gives up
make_room_never($node);

sub make_room_never
{
	my ($server) = @_;
	my $never = start_client($db, 'bank', "file://$out", prefix => [ 'prlimit', '--fsize=100000:100000' ],
		args => ['--retry-for=2s']);
	wait_log($never, qr/streaming slot/);
	$server->safe_psql('postgres', 'UPDATE accounts SET balance = balance');
	is(wait_client($never), 3, 'exit code 3 after --retry-for');
	like(client_log($never), qr/giving up after \d+ failures without progress/, 'says so');
	return;
}

$node->stop;
done_testing();
