# doctor and slots on a standby: what it can do depends on the version, and is said.
use strict;
use warnings;

use File::Basename qw(dirname);
use lib dirname(__FILE__) . '/lib';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CdcAdmin;

my $primary = admin_node('primary', 'max_wal_senders = 10');
my $version = $primary->safe_psql('postgres', 'SHOW server_version_num');
my $database = "host=" . $primary->host . " port=" . $primary->port . " dbname=postgres";

$primary->safe_psql('postgres', "SELECT pg_create_physical_replication_slot('standby')");
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->append_conf('postgresql.conf',
	"primary_slot_name = 'standby'\nhot_standby_feedback = on\nprimary_conninfo = '$database'\n");
$standby->start;
$primary->wait_for_catchup($standby);

# Both servers in one string: the primary is found
my $both = sprintf("host=%s,%s port=%s,%s target_session_attrs=read-write",
	$standby->host, $primary->host, $standby->port, $primary->port);
like((run_client($standby, [ 'doctor', '-d', "$both dbname=postgres" ]))[1], qr/^ok   server is a primary$/m,
	'target_session_attrs finds the primary');

my ($code, $out) = run_client($standby, ['doctor']);
if ($version < 160000)
{
	is($code, 2, 'doctor on a standby before 16: exit code 2');
	like($out, qr/^FAIL server is a standby.*\n +-> connect to the primary: add target_session_attrs=read-write/m,
		'says to connect to the primary');
	client_fails($standby, [ 'slot', 'create', '--slot=s' ], 1, [qr/\(SQLSTATE 0A000\)|\(SQLSTATE 55000\)/],
		'so is a slot refused');
}
else
{
	# a slot on a standby waits for what only the primary can write
	is($code, 0, 'doctor on a standby: exit code 0') or diag($out);
	like($out, qr/^ok   server is a standby;/m, 'says what it is');
	like($out, qr/^ok   library cdc_decoder loads$/m, 'the library is tried all the same');
	my ($stdout, $stderr) = ('', '');
	my $create = start_client($standby, [ 'slot', 'create', '--slot=s' ], stdout => \$stdout, stderr => \$stderr);
	wait_for_output($create, \$stderr,
		qr/waiting for \d+ s for the primary's next record .*pg_log_standby_snapshot\(\)/,
		'a creation that hangs says what the primary can do');
	$primary->safe_psql('postgres', 'SELECT pg_log_standby_snapshot()');
	$create->finish;
	is($create->result(0), 0, 'which helps') or diag($stderr);
	like(client_ok($standby, [ 'slot', 'list' ], 'slot list'), qr/^s +cdc_decoder +postgres /m, 'lists it');
	client_ok($standby, [ 'status', '--json' ], 'status on a standby');
}
SKIP:
{
	skip 'needs PostgreSQL 17 or newer', 4 unless $version >= 170000;
	client_ok($primary, [ 'slot', 'create', '--slot=f', '--failover' ], 'a failover slot');
	$standby->safe_psql('postgres', 'SELECT pg_sync_replication_slots()');
	is($standby->safe_psql('postgres', "SELECT synced FROM pg_replication_slots WHERE slot_name = 'f'"), 't',
		'is on the standby too');
	client_fails($standby, [ 'slot', 'create', '--slot=f', '--if-not-exists' ], 3,
		[qr/standby that keeps replication slot "f" in step/, qr/HINT .*target_session_attrs=read-write/],
		'where it cannot be streamed yet');
	$standby->promote;
	client_ok($standby, [ 'slot', 'create', '--slot=f', '--if-not-exists' ], 'until the standby is promoted');
}

$standby->stop;
$primary->stop;
done_testing();
