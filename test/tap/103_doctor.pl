# doctor: each check, its remedy, --fix and --json.
use strict;
use warnings;

use File::Basename qw(dirname);
use lib dirname(__FILE__) . '/lib';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CdcAdmin;

my $dir = PostgreSQL::Test::Utils::tempdir;
my $node = admin_node('main', 'wal_level = replica', "max_slot_wal_keep_size = '2GB'");
my $version = $node->safe_psql('postgres', 'SHOW server_version_num');
my $limited = knows_plugin_libraries($node);

# doctor(EXIT CODE, [ARGUMENTS], NAME, ...): what it says, each check's line and remedy by its name
sub doctor
{
	my ($expected, $arguments, $name, %args) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($code, $out, $err) = run_client($node, [ 'doctor', @$arguments ], %args);
	my ($json_code, $json, undef) = run_client($node, [ 'doctor', '--json', @$arguments ], %args);

	is($code, $expected, "$name: exit code") or diag("$out\n$err");
	is($json_code, $expected, "$name: exit code with --json") unless grep { $_ eq '--fix' } @$arguments;
	is($node->safe_psql('postgres', "SELECT (\$json\$$json\$json\$::jsonb)->>'ok'"),
		$json_code == 0 ? 'true' : 'false', "$name: JSON parses and agrees");
	return $out;
}

sub set_and_wait
{
	my ($name, $value) = @_;
	$node->safe_psql('postgres', "ALTER SYSTEM SET $name = $value");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('$name') = $value") or die "$name was not set";
	return;
}

# A server that is not ready: everything is said at once, and --fix does what it may
if ($limited)
{
	set_plugin_libraries($node, 'pgoutput, test_decoding');
}
$node->safe_psql('postgres', 'CREATE ROLE app LOGIN');
my $out = doctor(2, [], 'as a role that may nothing', env => { PGUSER => 'app' });
like($out, qr/^ok   server is PostgreSQL \d+/m, 'version');
# from 19 on replica is enough
my $must_be_logical = $version < 190000;
like($out, $must_be_logical
	? qr/^FAIL wal_level is replica.*\n +-> ALTER SYSTEM SET wal_level = logical; then restart the server$/m
	: qr/^ok   wal_level is replica, which the first logical slot raises to logical$/m, 'wal_level');
like($out, qr/^FAIL role app lacks .*\n +-> as a superuser: ALTER ROLE app REPLICATION;$/m, 'privilege');
is(scalar(() = $out =~ /ALTER ROLE "?app"? REPLICATION/g), 1, 'which is said once');
is(scalar(() = doctor(2, [ '--slot=s', "--sink=file://$dir/none" ], 'with slot and sink', env => { PGUSER => 'app' }) =~ /REPLICATION/g), 2,
	'nor is it said again of what needs it');
like($out, qr/^warn library cdc_decoder was not tried/m, 'what cannot be tried is said not to have been');
like($out, qr/^ok   max_slot_wal_keep_size is 2GB/m, 'max_slot_wal_keep_size');
SKIP:
{
	skip 'needs output_plugin_libraries', 7 unless $limited;
	like($out, qr/^warn output_plugin_libraries cannot be read by this role/m, 'output_plugin_libraries is hidden');
	like(doctor(2, [], 'as a superuser'),
		qr/^FAIL output_plugin_libraries does not list cdc_decoder.*\n +-> ALTER SYSTEM SET output_plugin_libraries = pgoutput, test_decoding, cdc_decoder; SELECT pg_reload_conf\(\);$/m,
		'output_plugin_libraries');
	$node->safe_psql('postgres', 'CREATE ROLE auditor LOGIN IN ROLE pg_read_all_settings');
	my ($code, $fix) = run_client($node, [ 'doctor', '--fix' ], env => { PGUSER => 'auditor' });
	is($code, 2, '--fix as a role that may not');
	like($fix, qr/^FAIL output_plugin_libraries .*; --fix could not mend it: .*permission denied/m, 'says that it could not');
}
my (undef, $fixed) = run_client($node, [ 'doctor', '--fix' ]);
like($fixed, $must_be_logical
	? qr/^FAIL wal_level .*\n +done: ALTER SYSTEM SET wal_level = logical; now restart the server, which doctor never does$/m
	: qr/^ok   wal_level is replica/m, '--fix sets wal_level, and does not restart');
SKIP:
{
	skip 'needs output_plugin_libraries', 2 unless $limited;
	like($fixed, qr/^ok   output_plugin_libraries lists cdc_decoder now\n +done: ALTER SYSTEM/m, '--fix lists the plugin');
	is($node->safe_psql('postgres', 'SHOW output_plugin_libraries'), 'pgoutput, test_decoding, cdc_decoder', 'and keeps what was listed');
}
is($node->safe_psql('postgres', 'SHOW wal_level'), 'replica', 'the server was not restarted');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_replication_slots'), '0', 'and nothing was created');
like(doctor($must_be_logical ? 2 : 0, [], 'before the restart'), $must_be_logical
	? qr/^FAIL wal_level .*\n +-> it has been changed already: restart the server$/m
	: qr/^ok   wal_level is replica/m, 'a restart is all that is missing');
# the configuration file names replica behind what --fix wrote into postgresql.auto.conf: that one wins
$node->restart;
$out = doctor(0, [], 'after the restart');
unlike($out, qr/^FAIL/m, 'nothing fails');
like($out, $must_be_logical ? qr/^ok   wal_level is logical$/m : qr/^ok   wal_level is replica/m, 'wal_level is mended');
like($out, qr/^ok   library cdc_decoder loads$/m, 'the library loads');
like($out, qr/^ok   a replication connection can be opened$/m, 'so does a connection open');
like($out, qr/^ok   every permanent table has a replica identity$/m, 'no tables, no trouble');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_replication_slots'), '0', 'the slot it tried with is gone');
my ($code) = run_client($node, [ 'doctor', '--fix' ]);
is($code, 0, '--fix with nothing to mend');

# The same for the privilege
$node->safe_psql('postgres', 'ALTER ROLE app REPLICATION');
like(doctor(0, [], 'with the privilege', env => { PGUSER => 'app' }), qr/^ok   role app may replicate$/m, 'is seen');

# Library missing
my $path = $node->safe_psql('postgres', 'SHOW dynamic_library_path');
set_and_wait('dynamic_library_path', "'/nonexistent'");
like(doctor(2, [], 'library missing'), qr/^FAIL .*could not access file "cdc_decoder".*\n +-> Install the plugin .*pkglibdir/m, 'is said');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET dynamic_library_path');
$node->reload;
$node->poll_query_until('postgres', "SELECT current_setting('dynamic_library_path') = '$path'") or die 'not reset';

# Replica identities: of what is published only, of leaves, and of every kind
$node->safe_psql('postgres', q(
	CREATE TABLE good (id int PRIMARY KEY, a int);
	CREATE TABLE "Bad Table" (a int);
	CREATE TABLE nothing (id int PRIMARY KEY);
	ALTER TABLE nothing REPLICA IDENTITY NOTHING;
	CREATE TABLE full_row (a int);
	ALTER TABLE full_row REPLICA IDENTITY FULL;
	CREATE TABLE by_index (a int NOT NULL UNIQUE);
	ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_a_key;
	CREATE TABLE late_key (a int PRIMARY KEY DEFERRABLE);
	CREATE UNLOGGED TABLE unlogged (a int);
	CREATE TABLE parted (id int, a int) PARTITION BY RANGE (id);
	CREATE TABLE leaf PARTITION OF parted FOR VALUES FROM (0) TO (10);
	CREATE PUBLICATION fine FOR TABLE good, full_row, by_index;
	CREATE PUBLICATION poor FOR TABLE good, "Bad Table", parted WITH (publish_via_partition_root = true);
	CREATE PUBLICATION inserts FOR TABLE "Bad Table" WITH (publish = 'insert')));
$out = doctor(0, [], 'tables without identity');
like($out, qr/^warn tables without a replica identity: 4 \(public\."Bad Table", public\.late_key, public\.leaf, \.\.\.\)/m, 'are counted and named')
  or diag($out);
like($out, qr/-> ALTER TABLE public\."Bad Table" REPLICA IDENTITY FULL; ALTER TABLE public\.late_key/, 'with the command');
like(doctor(0, ['--publication-names=fine'], 'a publication of good tables'),
	qr/^ok   publications 'fine' exist\nok   every published table has a replica identity$/m, 'is good');
like(doctor(0, ['--publication_names=Poor'], 'a publication of poor ones'),
	qr/^warn tables without a replica identity: 2 \(public\."Bad Table", public\.leaf\);/m, 'is warned of, leaves too');
like(doctor(0, ['--publication-names=inserts'], 'one of inserts only'),
	qr/^ok   every published table/m, 'needs no identity');
like(doctor(2, [q(--publication-names=fine, "It's", gone)], 'missing publications'),
	qr/^FAIL publications are missing: "It's", gone\n +-> CREATE PUBLICATION "It's" FOR ALL TABLES; CREATE PUBLICATION gone FOR ALL TABLES;/m, 'are named');

like(doctor(2, ['--publication-names=gone'], 'a missing publication'), qr/^FAIL publications are missing: gone$/m, 'is named');
$node->safe_psql('postgres', 'CREATE PUBLICATION nothing');
like(doctor(0, ['--publication-names=nothing'], 'a publication without tables'), qr/^warn the publications have no table, so nothing is streamed\n +-> ALTER PUBLICATION/m, 'is warned of');

# What the streaming role may not SELECT, with privileges=enforce or by the pipeline's options
my @as_app = (env => { PGUSER => 'app' });
$out = doctor(0, [], 'a role that may not read', @as_app);
like($out, qr/^ok   role app is sent more than it may SELECT \(public\."Bad Table", \.\.\.\); privileges=enforce would leave that out$/m, 'a note');
unlike(doctor(0, [], 'a superuser'), qr/may SELECT/, 'may read everything');
$node->safe_psql('postgres', q(
	CREATE SCHEMA closed;
	CREATE TABLE closed.secret (id int PRIMARY KEY);
	CREATE TABLE made (id int PRIMARY KEY, a int, "B c" int, g int GENERATED ALWAYS AS (a * 2) STORED);
	GRANT SELECT ON good, full_row, by_index TO app;
	GRANT SELECT (id, a) ON made TO app;
	GRANT SELECT ON parted TO app;
	CREATE PUBLICATION closed FOR TABLE closed.secret;
	CREATE PUBLICATION lists FOR TABLE made (id, "B c");
	CREATE PUBLICATION whole FOR TABLE made, good));
my @enforce = ('--privileges=enforce');
like(doctor(0, [ @enforce, '--publication-names=fine' ], 'all may be read', @as_app), qr/^ok   privileges=enforce leaves nothing out: role app may SELECT all that is selected$/m, 'nothing is left out');
like(doctor(0, [ @enforce, '--publication-names=closed' ], 'a table in a schema that is closed', @as_app),
	qr/^warn table closed\.secret is left out: role app may SELECT none of it\n +-> GRANT SELECT ON closed\.secret TO app;/m, 'is left out');
like(doctor(0, [ @enforce, '--publication-names=lists' ], 'a column list', @as_app),
	qr/^warn of table public\.made is left out what role app may not SELECT: "B c"\n +-> GRANT SELECT \("B c"\) ON public\.made TO app;/m, 'counts');
$out = doctor(0, [ @enforce, '--publication-names=whole' ], 'no column list', @as_app);
like($out, qr/^warn of table public\.made is left out .*: "B c", g$/m, 'has the generated column, too');
unlike($out, qr/public\.good/, 'what may be read is not named');
like(doctor(0, [ @enforce, '--publication-names=whole,lists' ], 'with and without a list', @as_app), qr/^warn of table public\.made is left out .*: "B c", g$/m, 'each column once');
like(doctor(0, [ @enforce, '--publication-names=poor' ], 'partitions published as their root', @as_app),
	qr/^warn table public\."Bad Table" is left out/m, 'another table');
unlike(doctor(0, [ '-o', 'privileges=enforce', '--publication-names=poor' ], 'by -o', @as_app), qr/(parted|leaf) is left out|of table public\.(parted|leaf)/, 'the privileges on the root count');
$node->safe_psql('postgres', q(DO $$BEGIN FOR n IN 10..39 LOOP EXECUTE format('CREATE TABLE many%s (id int PRIMARY KEY)', n); END LOOP; END$$));
$out = doctor(0, \@enforce, 'many tables', @as_app);
is(scalar(() = $out =~ /^warn (of )?table /mg), 20, 'are named up to twenty');
like($out, qr/^warn so are 16 more tables, or columns of theirs$/m, 'the others are counted') or diag($out);
like(doctor(2, ['--pipeline=masked'], 'no extension'), qr/^FAIL pipeline masked does not exist, nor does extension cdc_decoder.*\n +-> CREATE EXTENSION cdc_decoder;/m, 'is said');
$node->safe_psql('postgres', 'CREATE EXTENSION cdc_decoder');
like(doctor(2, ['--pipeline=masked'], 'no pipeline'), qr/^FAIL pipeline masked does not exist\n +-> SELECT cdc\.create_pipeline/m, 'is said');
$node->safe_psql('postgres', q(SELECT cdc.create_pipeline('masked', '{lists,gone}', '{"privileges": "enforce"}')));
$out = doctor(2, ['--pipeline=masked'], 'a pipeline', @as_app);
like($out, qr/^ok   pipeline masked exists\nFAIL publications of the pipeline are missing: gone\n/m, 'names publications that are missing');
like($out, qr/^warn of table public\.made is left out /m, 'and enforces privileges');
unlike(doctor(0, [ '--pipeline=masked', '--privileges=ignore', '--publication-names=lists' ], 'options', @as_app), qr/gone|left out/, 'go before the pipeline\'s');
unlike(doctor(0, \@enforce, 'all tables', @as_app), qr/ cdc\./, 'the extension\'s own tables are in no stream');
$node->safe_psql('postgres', 'DROP EXTENSION cdc_decoder');

# Settings that bite later
set_and_wait('max_slot_wal_keep_size', "'-1'");
like(doctor(0, [], 'unbounded WAL'), qr/^warn max_slot_wal_keep_size is -1.*\n +-> ALTER SYSTEM SET max_slot_wal_keep_size = /m, 'is warned of');
# without a client that would count as a standby, commits that wait for one would wait for ever
$node->safe_psql('postgres', "ALTER SYSTEM SET synchronous_commit = local");
set_and_wait('synchronous_standby_names', "'*'");
like(doctor(0, [], 'any standby'), qr/^warn synchronous_standby_names is '\*': .*synchronous standby.*\n +-> ALTER SYSTEM SET synchronous_standby_names = ''; /m, 'is warned of');
set_and_wait('synchronous_standby_names', "'FIRST 1 (s1, CDC_client)'");
like(doctor(0, [], 'our name', env => { PGAPPNAME => undef }), qr/^warn synchronous_standby_names .*with cdc_client in it/m, 'is warned of');
set_and_wait('synchronous_standby_names', "'ANY 1 (s1, \"s*\")'");
like(doctor(0, [], 'other standbys', env => { PGAPPNAME => undef }), qr/^ok   synchronous_standby_names/m, 'are none of ours');
set_and_wait('synchronous_standby_names', "''");
SKIP:
{
	skip 'needs PostgreSQL 18 or newer', 4 unless $version >= 180000;
	like($out, qr/^ok   idle_replication_slot_timeout is 0/m, 'no timeout');
	set_and_wait('idle_replication_slot_timeout', "'1h'");
	like(doctor(0, [], 'a timeout'), qr/^warn idle_replication_slot_timeout is 1h.*\n +-> ALTER SYSTEM SET idle_replication_slot_timeout = 0;/m, 'is warned of');
}
$node->safe_psql('postgres', "ALTER DATABASE postgres SET wal_sender_timeout = '5s'");
like(doctor(0, [], 'a short timeout'), qr/^warn wal_sender_timeout is 5s .*\n +-> ALTER ROLE .* RESET wal_sender_timeout/m, 'is warned of');
$node->safe_psql('postgres', 'ALTER DATABASE postgres RESET wal_sender_timeout');

# Slot and sink
my $sink = "file://$dir/sink";
$out = doctor(0, [ '--slot=s', "--sink=$sink" ], 'no slot yet');
like($out, qr/^warn slot s does not exist yet\n +-> cdc_client slot create --slot=s$/m, 'is said');
like($out, qr/^ok   sink can be opened; it holds no position yet$/m, 'and the sink is new');
my $conninfo = 'host=' . $node->host . ' port=' . $node->port . q( dbname=postgres password='hush \\' x' application_name='it\\'s me');
foreach my $dbname ($conninfo, 'postgres')
{
	my ($command) = doctor(0, [ '--slot=s', "--dbname=$dbname" ], 'no slot yet, by --dbname') =~ /^warn slot s .*\n +-> (.*)$/m;
	like($command, qr/^cdc_client slot create --dbname=.*postgres.* --slot=s$/, 'the command has --dbname') or next;
	unlike($command, qr/hush/, 'without the password');
	my @words = split /\0/, qx(printf '%s\\0' $command);
	my ($code, undef, $err) = run_client($node, [ @words[ 1 .. $#words ] ]);
	is($code, 0, 'and can be copied into a shell') or diag("$command\n$err");
	client_ok($node, [ 'slot', 'drop', '--slot=s' ], 'slot drop');
}
client_ok($node, [ 'slot', 'create', '--slot=s' ], 'slot create');
$node->safe_psql('postgres', 'INSERT INTO good VALUES (1, 1)');
client_ok($node, [ 'stream', '--slot=s', "--sink=$sink", '--until=now', '--progress=off' ], 'stream');
$out = doctor(0, [ '--slot=s', "--sink=$sink" ], 'slot and sink');
like($out, qr/^ok   slot s is \d+ bytes behind and keeps \d+ bytes of WAL \(reserved\)/m, 'the slot is described');
like($out, qr/^ok   sink can be opened; it is at /m, 'and the sink');
client_ok($node, [ 'slot', 'create', '--slot=s2' ], 'another slot');
like(doctor(2, [ '--slot=s2', "--sink=$sink" ], 'another slot\'s sink'), qr/^FAIL sink holds the position of another stream: slot s .*\n +-> .*--accept=other-source$/m, 'is refused');
$node->safe_psql('postgres', "INSERT INTO good VALUES (2, 2); SELECT pg_replication_slot_advance('s', pg_current_wal_lsn())");
like(doctor(2, [ '--slot=s', "--sink=$sink" ], 'a slot that somebody else moved'), qr/^FAIL sink is at .*records are missing.*\n +-> .*--accept=gap$/m, 'is a gap');
like(doctor(2, [ '--slot=s', '--sink=file:///nonexistent/x' ], 'a sink that cannot be opened'), qr/^FAIL .*\/nonexistent/m, 'is named');
like(doctor(2, ['--sink=gopher://x'], 'an unknown sink'), qr/^FAIL .*gopher/m, 'is named');
like(doctor(0, ["--sink=$sink"], 'a sink without a slot'), qr/^ok   sink's address is well-formed; it was not opened/m, 'is not opened');
$node->safe_psql('postgres', "SELECT pg_create_logical_replication_slot('other', 'pgoutput')");
like(doctor(2, ['--slot=other'], 'a slot of another plugin'), qr/^FAIL replication slot "other" is of plugin "pgoutput"/m, 'is named');

# No slot is free
$node->append_conf('postgresql.conf', 'max_replication_slots = 3');
$node->restart;
$out = doctor(2, [], 'no free slot');
like($out, qr/^FAIL all 3 replication slots are in use.*\n +-> ALTER SYSTEM SET max_replication_slots = 13; then restart/m, 'is said');
like(doctor(0, ['--slot=s2'], 'none is needed by a slot that exists'), qr/^ok   3 of 3 replication slots in use/m, 'is in order')
  or diag($out);
$node->append_conf('postgresql.conf', 'max_wal_senders = 0');
$node->restart;
$out = doctor(2, [ '--slot=s2', "--sink=$sink" ], 'no walsenders');
like($out, qr/^FAIL max_wal_senders is 0: there can be no walsenders\n +-> ALTER SYSTEM SET max_wal_senders = 10; then restart/m, 'is said');
is(scalar(() = $out =~ /^FAIL/mg), 1, 'once') or diag($out);
like($out, qr/^warn sink was not looked at: that needs a replication connection$/m, 'and what could not be looked at');

$node->stop;
client_fails($node, ['doctor'], 3, [qr/connection to server/], 'a server that is down');

done_testing();
