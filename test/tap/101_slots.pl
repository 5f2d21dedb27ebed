# slot create, drop and list, and status.
use strict;
use warnings;

use File::Basename qw(dirname);
use lib dirname(__FILE__) . '/lib';

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CdcAdmin;

my $node = admin_node('main', 'max_replication_slots = 4', 'max_prepared_transactions = 2');
my $version = $node->safe_psql('postgres', 'SHOW server_version_num');
my $dir = PostgreSQL::Test::Utils::tempdir;

sub slot_count
{
	my ($name) = @_;
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM pg_replication_slots WHERE slot_name = '$name'");
}

# asks the server about JSON, so that the whole of it must parse
sub json_value
{
	my ($json, $path) = @_;
	return $node->safe_psql('postgres', "SELECT \$json\$$json\$json\$::jsonb #>> '{$path}'");
}

# An empty server
is(client_ok($node, [ 'slot', 'list', '--json' ], 'list of none as JSON'), "[]\n", 'is an empty list');
like(client_ok($node, [ 'slot', 'list' ], 'list of none'), qr/no logical replication slots/,
	'list of none says so');
like(client_ok($node, ['status'], 'status of none'), qr/no replication slot of cdc_decoder/,
	'status of none says so');

# Creating
my (undef, $said) = client_ok($node, [ 'slot', 'create', '--slot=one' ], 'create');
like($said, qr{INFO .*"one" was created; its records begin at [0-9A-F]+/[0-9A-F]+}, 'says where it begins');
is($node->safe_psql('postgres',
		"SELECT plugin, database, temporary, two_phase FROM pg_replication_slots WHERE slot_name = 'one'"),
	'cdc_decoder|postgres|f|f', 'the slot is there');
client_fails($node, [ 'slot', 'create', '--slot=one' ], 1,
	[qr/"one" already exists \(SQLSTATE 42710\)/, qr/HINT .*--if-not-exists/], 'create what exists');
(undef, $said) = client_ok($node, [ 'slot', 'create', '--slot=one', '--if-not-exists' ], '--if-not-exists');
like($said, qr/"one" exists already/, '--if-not-exists says that it did nothing');
client_ok($node, [ 'slot', 'create', '--slot=two', '--if-not-exists' ], '--if-not-exists where it does not');
is(slot_count('two'), 1, 'creates it');
$node->safe_psql('postgres', "SELECT pg_create_logical_replication_slot('other', 'pgoutput')");
client_fails($node, [ 'slot', 'create', '--slot=other', '--if-not-exists' ], 1,
	[qr/"other" is of plugin "pgoutput", not of "cdc_decoder"/, qr/HINT .*another name/],
	'--if-not-exists does not take a slot of another plugin for one of ours');
$node->safe_psql('postgres', 'CREATE DATABASE shop');
client_fails($node, [ 'slot', 'create', '--slot=one', '--if-not-exists', '-d', 'shop' ], 1,
	[qr/"one" is of database "postgres", not of "shop"/, qr/HINT .*dbname=postgres/],
	'nor one of another database');
if ($version >= 170000)
{
	client_ok($node, [ 'slot', 'create', '--slot=fail', '--failover' ], '--failover');
	is($node->safe_psql('postgres', "SELECT failover FROM pg_replication_slots WHERE slot_name = 'fail'"),
		't', '--failover makes a failover slot');
}
else
{
	client_fails($node, [ 'slot', 'create', '--slot=fail', '--failover' ], 1,
		[qr/--failover: this server is PostgreSQL \d+, which has no failover slots/, qr/HINT .*17/],
		'--failover before 17');
	client_ok($node, [ 'slot', 'create', '--slot=fail' ], 'without it');
}
client_fails($node, [ 'slot', 'create', '--slot=five' ], 1,
	[qr/\(SQLSTATE 53400\)/, qr/HINT .*max_replication_slots/], 'no slot is free');
client_fails($node, [ 'slot', 'create', '--slot=five', '-d', 'nosuch' ], 1,
	[qr/"nosuch" does not exist \(SQLSTATE 3D000\)/, qr/HINT .*--dbname/], 'no such database');

# Listing
my $list = client_ok($node, [ 'slot', 'list' ], 'list');
like($list, qr/^SLOT +PLUGIN +DATABASE +PID +WAL STATUS +LAG BYTES +CONFIRMED/, 'list has its heading');
like($list, qr/^one +cdc_decoder +postgres +- +reserved +\d+ +[0-9A-F]+\/[0-9A-F]+/m, 'and a line for a slot');
like($list, qr/^other +pgoutput /m, 'of other plugins too');
is($list =~ /FAILOVER/ ? 1 : 0, $version >= 170000 ? 1 : 0, 'failover is a column where there is such a thing');
my $json = client_ok($node, [ 'slot', 'list', '--json', '--slot=one' ], 'list of one as JSON');
is(json_value($json, '0,slot_name'), 'one', 'JSON has the name');
is(json_value($json, '0,active_pid'), '', 'and null where there is no pid');
like(json_value($json, '0,lag_bytes'), qr/^\d+$/, 'and a number for the lag');
is(json_value($json, '1'), '', 'and only the slot that was named');
my @names = client_ok($node, [ 'slot', 'list', '--json' ], 'list as JSON') =~ /"slot_name":"(\w+)"/g;
is("@names", 'fail one other two', 'JSON of all has all');
client_fails($node, [ 'slot', 'list', '--slot=nosuch' ], 1, [qr/"nosuch" does not exist/],
	'list of a slot that does not exist');

# Status, and a sink's position
$json = client_ok($node, [ 'status', '--json' ], 'status as JSON');
is(json_value($json, '2,slot_name'), 'two', 'status has all of ours');
is(json_value($json, '3'), '', 'and nobody else\'s');
my $text = client_ok($node, [ 'status', '--slot=one', "--sink=file://$dir/one" ], 'status with a sink');
like($text, qr/^slot +one\nplugin +cdc_decoder\n/m, 'status has a line for each thing');
like($text, qr/^sink +holds no position yet$/m, 'and the sink');
is(join(' ', glob("$dir/one*")), '', 'looking at a sink makes no file');
client_fails($node, [ 'status', "--sink=file://$dir/one" ], 1, [qr/--sink: .*one slot/, qr/HINT .*--slot/],
	'a sink needs its slot');
client_fails($node, [ 'status', '--slot=nosuch' ], 1, [qr/"nosuch" does not exist/, qr/HINT .*slot list/],
	'status of a slot that does not exist');
$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 3)');
client_ok($node, [ 'stream', '--slot=one', "--sink=file://$dir/one", '--until=now', '--progress=off' ], 'stream');
$json = client_ok($node, [ 'status', '--json', '--slot=one', "--sink=file://$dir/one" ],
	'status of a stream as JSON');
is(json_value($json, '0,sink,opened'), 'true', 'JSON says that the sink was opened');
is(json_value($json, '0,sink,same_source'), 'true', 'and that it is this stream\'s');
isnt(json_value($json, '0,sink,position'), '', 'and its position');
$text = client_ok($node, [ 'status', '--slot=two', "--sink=file://$dir/one" ], 'status with another\'s sink');
like($text, qr/^sink +holds another stream's position: slot one /m, 'says whose it is');

# A slot in use: not dropped, its sink left alone
my ($stdout, $stderr) = ('', '');
my $stream = start_client($node, [ 'stream', '--slot=one', "--sink=file://$dir/one", '--progress=off' ],
	stdout => \$stdout, stderr => \$stderr, env => { PGAPPNAME => undef });
$node->poll_query_until('postgres',
	"SELECT w.state = 'streaming' FROM pg_replication_slots s JOIN pg_stat_replication w "
	  . "ON w.pid = s.active_pid WHERE slot_name = 'one'")
  or die 'the client does not stream';
my $pid = $node->safe_psql('postgres', "SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'one'");
client_fails($node, [ 'slot', 'drop', '--slot=one' ], 2,
	[qr/"one" is active: pid $pid/, qr/HINT .*pg_terminate_backend\($pid\)/], 'drop of an active slot');
$json = client_ok($node, [ 'status', '--json', '--slot=one', "--sink=file://$dir/one" ], 'status while streaming');
is(json_value($json, '0,active_pid'), $pid, 'JSON has the walsender');
is(json_value($json, '0,application_name'), 'cdc_client', 'and the client\'s name');
is(json_value($json, '0,walsender_state'), 'streaming', 'and what it does');
is(json_value($json, '0,sink,same_source'), 'true', 'and how far the file is, which the client goes on writing to');
$json = client_ok($node, [ 'status', '--json', '--slot=one', '--sink=-' ], 'status with a sink that keeps no position');
is(json_value($json, '0,sink,opened'), 'false', 'it is left alone');
like(json_value($json, '0,sink,reason'), qr/keeps no position/, 'and why is said');
is($node->safe_psql('postgres', "SELECT backend_type FROM pg_stat_activity WHERE pid = $pid"), 'walsender',
	'it goes on streaming');
$stream->signal('INT');
$stream->finish;
is($stream->result(0), 0, 'and ends as it is told') or diag($stderr);

# Dropping
client_fails($node, [ 'slot', 'drop', '--slot=nosuch' ], 1, [qr/"nosuch" does not exist/, qr/HINT .*slot list/],
	'drop of nothing');
client_fails($node, [ 'slot', 'drop', '--slot=other' ], 1,
	[qr/not of plugin cdc_decoder but of "pgoutput"/, qr/HINT .*pg_drop_replication_slot\('other'\)/],
	'drop of a slot of another plugin');
is(slot_count('other'), 1, 'which is left alone');
client_ok($node, [ 'slot', 'drop', '--slot=fail' ], 'drop');
is(slot_count('fail'), 0, 'the slot is gone');

# Creation that hangs names the transaction in the way, and goes on when that ends
my ($session, $holder, $end) = hold_transaction($node, 'CREATE TABLE held (a int)');
($stdout, $stderr) = ('', '');
my $create = start_client($node, [ 'slot', 'create', '--slot=late' ], stdout => \$stdout, stderr => \$stderr);
wait_for_output($create, \$stderr,
	qr/WARNING .*waiting for \d+ s for transaction \d+ of pid $holder \(user \w+, database postgres, open for 00:00:\d\d, idle in transaction, query started \d{4}-.*: SELECT 'held by'.*\); to end it: SELECT pg_terminate_backend\($holder\)/,
	'creation that hangs names the transaction');
$end->();
$create->finish;
is($create->result(0), 0, 'and goes on when it ends') or diag($stderr);
is(slot_count('late'), 1, 'the slot is there');
client_ok($node, [ 'slot', 'drop', '--slot=late' ], 'drop it');
client_ok($node, [ 'slot', 'drop', '--slot=two' ], 'and another, so that one is free');

# the same for a prepared transaction; and a signal ends the wait, without a slot
$node->safe_psql('postgres', "BEGIN; CREATE TABLE held2 (a int); PREPARE TRANSACTION 'it''s held'");
($stdout, $stderr) = ('', '');
$create = start_client($node, [ 'slot', 'create', '--slot=never' ], stdout => \$stdout, stderr => \$stderr);
wait_for_output($create, \$stderr, qr/prepared 00:00:\d\d ago as 'it''s held' .*ROLLBACK PREPARED 'it''s held'/,
	'a prepared transaction is named too');
my $doctor = client_ok($node, ['doctor'], 'doctor meanwhile');
like($doctor, qr/^ok   library cdc_decoder loads$/m, 'doctor knows that the library is not the reason');
like($doctor, qr/^warn creating a slot would have to wait for transaction \d+ \(prepared/m, 'and names what is');
$create->signal('TERM');
$create->finish;
is($create->result(0), 2, 'a signal ends the wait: exit code 2');
like($stderr, qr/ERROR .*interrupted; no slot was created/, 'and the client says so');
is(slot_count('never'), 0, 'no slot is left behind');
$node->safe_psql('postgres', "ROLLBACK PREPARED 'it''s held'");

# A lost slot: its state is shown, and what can be done
$node->append_conf('postgresql.conf', "max_slot_wal_keep_size = '1MB'\nmax_wal_size = '32MB'\nmin_wal_size = '32MB'");
$node->reload;
foreach my $i (1 .. 6)
{
	$node->safe_psql('postgres', "CREATE TABLE grow$i (a int); DROP TABLE grow$i; SELECT pg_switch_wal(); CHECKPOINT");
}
$node->poll_query_until('postgres', "SELECT wal_status = 'lost' FROM pg_replication_slots WHERE slot_name = 'one'")
  or die 'the slot was not lost';
like(client_ok($node, [ 'slot', 'list', '--slot=one' ], 'list of a lost slot'), qr/^one .* lost /m, 'shows it');
client_fails($node, [ 'slot', 'create', '--slot=one', '--if-not-exists' ], 2,
	[qr/"one" is lost/, qr/DETAIL .*(removed|invalidated)/, qr/HINT .*slot drop --slot=one/], 'a lost slot is of no use');
client_ok($node, [ 'slot', 'drop', '--slot=one' ], 'but can be dropped');

$node->stop;
client_fails($node, [ 'slot', 'list' ], 3, [qr/ERROR .*connection to server/], 'a server that is down');

done_testing();
