# Connecting: passwords, service files, several hosts, and what is said of each failure.
use strict;
use warnings;

use File::Basename qw(dirname);
use lib dirname(__FILE__) . '/lib';

use IO::Socket::INET;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CdcAdmin;

my $dir = PostgreSQL::Test::Utils::tempdir;
my $node = admin_node('main', 'max_wal_senders = 2', "password_encryption = 'scram-sha-256'");
my ($host, $port) = ($node->host, $node->port);
my $super = $node->safe_psql('postgres', 'SELECT current_user');
my @list = ('slot', 'list');

# Privileges
$node->safe_psql('postgres', q(
	CREATE ROLE "plain role" LOGIN;
	CREATE ROLE "Cap""s" LOGIN REPLICATION;
	CREATE ROLE cdc LOGIN REPLICATION PASSWORD 'open sesame';
	CREATE DATABASE closed;
	REVOKE CONNECT ON DATABASE closed FROM PUBLIC));
client_fails($node, [ 'slot', 'create', '--slot=s' ], 1,
	[qr/ERROR .*\(SQLSTATE 42501\)/, qr/HINT .*ALTER ROLE "plain role" REPLICATION;/],
	'role without REPLICATION', env => { PGUSER => 'plain role' });
client_ok($node, [ 'slot', 'create', '--slot=s' ], 'role with REPLICATION', env => { PGUSER => 'Cap"s' });
client_fails($node, [ @list, '--dbname=closed' ], 1,
	[qr/\(SQLSTATE 42501\)/, qr/HINT .*GRANT CONNECT ON DATABASE "closed" TO "plain role"/],
	'role without CONNECT', env => { PGUSER => 'plain role' });
client_fails($node, \@list, 1, [qr/"nobody" does not exist/], 'no such role', env => { PGUSER => 'nobody' });

# Passwords
my $hba = $node->data_dir . '/pg_hba.conf';
unlink $hba;
append_to_file($hba, "local all cdc scram-sha-256\nlocal all all trust\nlocal replication all trust\n");
$node->reload;
$node->poll_query_until('postgres',
	"SELECT count(*) = 1 FROM pg_hba_file_rules WHERE auth_method = 'scram-sha-256'")
  or die 'pg_hba.conf was not reloaded';
my %cdc = (PGUSER => 'cdc', PGPASSFILE => "$dir/none");
client_fails($node, \@list, 1, [qr/no password supplied/, qr/HINT .*\.pgpass/], 'no password', env => \%cdc);
client_fails($node, \@list, 1, [qr/\(SQLSTATE 28P01\)/, qr/HINT .*password/], 'a wrong password',
	env => { %cdc, PGPASSWORD => 'sesame open' });
client_ok($node, \@list, 'PGPASSWORD', env => { %cdc, PGPASSWORD => 'open sesame' });
write_file("$dir/pgpass", "*:$port:*:cdc:open sesame\n", 0600);
client_ok($node, \@list, '.pgpass', env => { PGUSER => 'cdc', PGPASSFILE => "$dir/pgpass" });
client_ok($node, [ 'doctor', '-v' ], '.pgpass for a replication connection too',
	env => { PGUSER => 'cdc', PGPASSFILE => "$dir/pgpass" });

# one in argv works, is warned of, and is never written
my ($out, $err) = client_ok($node,
	[ 'doctor', '-v', '-d', "host=$host port=$port user=cdc dbname=postgres password='open sesame'" ],
	'password in --dbname', env => \%cdc);
like($err, qr/WARNING -d holds a password.*\.pgpass/, 'is warned of');
unlike("$out$err", qr/sesame/, 'and not written');
$err = client_fails($node, [ @list, '-d', "user=cdc password=half secret" ], 1, [qr/connection string cannot be read/],
	'a connection string that is wrong');
unlike($err, qr/half|secret/, 'is not quoted where it may hold a password');
$err = client_fails($node, [ @list, '-d', 'postgresql://cdc:hush@[::1/db' ], 1, [qr/cannot be read/],
	'nor is an address');
unlike($err, qr/hush/, 'that may hold one');
client_fails($node, [ @list, '-d', 'host=a colour=red' ], 1, [qr/cannot be read: .*"colour"/, qr/HINT .*host=/],
	'one without a password is');

# there is no prompt, with a terminal either
my ($terminal, $said) = ('', '');
{
	local %ENV = ($node->_get_env(), %cdc, PGDATABASE => 'postgres');
	my $handle = IPC::Run::start([ client_program(), @list ], '<pty<', \$terminal, '>pty>', \$said,
		IPC::Run::timeout(60));
	$handle->finish;
	is($handle->result(0), 1, 'on a terminal: exit code 1, no prompt');
	like($said, qr/cdc_client never asks/, 'and it says so');
}

# Services, addresses, plain names
write_file("$dir/service.conf", "[shop]\nhost=$host\nport=$port\ndbname=postgres\nuser=$super\nconnect_timeout=7\n");
my %nowhere = (PGHOST => '/nonexistent', PGPORT => undef, PGDATABASE => undef, PGSERVICEFILE => "$dir/service.conf");
client_ok($node, [ @list, '--dbname=service=shop' ], 'a service in --dbname', env => \%nowhere);
client_ok($node, \@list, 'a service in the environment', env => { %nowhere, PGHOST => undef, PGSERVICE => 'shop' });
client_fails($node, [ @list, '--dbname=service=none' ], 1, [qr/definition of service "none" not found/],
	'no such service', env => \%nowhere);
(my $escaped = $host) =~ s!/!%2F!g;
client_ok($node, [ @list, "--dbname=postgresql://$super\@$escaped:$port/postgres" ], 'an address', env => \%nowhere);
client_ok($node, [ @list, '--dbname=template1' ], 'a name');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'nosuch'"), 0,
	'nobody is called so');

# What the user sets stays; what he does not is set
sub sender_timeout
{
	my (@arguments) = @_;
	my $doctor = (run_client($node, [ 'doctor', @arguments ]))[1];
	return $doctor =~ /wal_sender_timeout is (\S+)/ ? $1 : $doctor;
}
$node->safe_psql('postgres', "ALTER SYSTEM SET wal_sender_timeout = '3s'");
$node->reload;
$node->poll_query_until('postgres', "SELECT setting = '3000' FROM pg_settings WHERE name = 'wal_sender_timeout'")
  or die 'the reload did not happen';
is(sender_timeout(), '1min', 'wal_sender_timeout of our walsender is ours');
is(sender_timeout('-d', "dbname=postgres options='-c wal_sender_timeout=5min'"), '5min', 'unless --dbname has it');
$node->safe_psql('postgres', "ALTER ROLE \"$super\" SET wal_sender_timeout = '4min'");
is(sender_timeout(), '4min', 'or the role');
$node->safe_psql('postgres', "ALTER ROLE \"$super\" RESET wal_sender_timeout");

# A server that says nothing: the next is tried, or it is said after connect_timeout
my $silent = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die "no socket: $!";
my $silent_port = $silent->sockport;
client_ok($node, [ @list, '-d', "host=127.0.0.1,$host port=$silent_port,$port connect_timeout=2" ],
	'a silent host of two');
client_fails($node, [ @list, '-d', "host=127.0.0.1 port=$silent_port connect_timeout=2" ], 3,
	[qr/"127\.0\.0\.1", port $silent_port: no answer in 2 s/, qr/HINT .*connect_timeout/], 'a silent host');
$silent->close;
$silent = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die "no socket: $!";
$silent_port = $silent->sockport;
my ($stdout, $stderr) = ('', '');
my $waiting = start_client($node, [ @list, '-d', "host=127.0.0.1 port=$silent_port connect_timeout=600" ],
	stdout => \$stdout, stderr => \$stderr);
my $accepted = $silent->accept or die "no connection: $!"; # open until the signal has ended the wait
$waiting->signal('TERM');
$waiting->finish;
is($waiting->result(0), 3, 'a signal ends the wait');
like($stderr, qr/interrupted while connecting/, 'and that is said');
$silent->close;
client_fails($node, [ @list, '-d', "host=127.0.0.1 port=$silent_port" ], 3, [qr/Connection refused/], 'nobody listens');
client_fails($node, [ @list, '-d', 'host=no-such-host.invalid' ], 3, [qr/no-such-host\.invalid/], 'no such host');
client_fails($node, [ @list, '-d', 'host=127.0.0.1 port=70000' ], 1, [qr/invalid port number/], 'no such port');

# Creating a slot where the server is not ready for it
SKIP:
{
	skip 'needs output_plugin_libraries', 7 unless knows_plugin_libraries($node);
	set_plugin_libraries($node, 'pgoutput, "odd, name"');
	my $said = client_fails($node, [ 'slot', 'create', '--slot=listed' ], 1,
		[qr/may not be used as an output plugin/,
			qr/HINT .*ALTER SYSTEM SET output_plugin_libraries = pgoutput, "odd, name", cdc_decoder; SELECT pg_reload_conf\(\);/],
		'plugin not listed: the hint keeps what is');
	$said =~ /(ALTER SYSTEM SET [^;]*);/;
	$node->safe_psql('postgres', $1);
	$node->reload;
	$node->poll_query_until('postgres',
		q(SELECT setting = 'pgoutput, "odd, name", cdc_decoder' FROM pg_settings WHERE name = 'output_plugin_libraries'))
	  or die 'the command of the hint did not do it';
	client_ok($node, [ 'slot', 'create', '--slot=listed' ], 'and its command mends it');
	$node->safe_psql('postgres', "ALTER SYSTEM SET output_plugin_libraries = ''");
	$node->reload;
	$node->poll_query_until('postgres', q(SELECT setting IN ('', '""') FROM pg_settings WHERE name = 'output_plugin_libraries'))
	  or die 'the reload did not happen';
	client_fails($node, [ 'slot', 'create', '--slot=t' ], 1,
		[qr/HINT .*SET output_plugin_libraries = cdc_decoder; /], 'nothing listed');
	client_fails($node, [ 'slot', 'create', '--slot=t' ], 1,
		[qr/HINT .*in psql: SELECT format\('ALTER SYSTEM .*cdc_decoder'\)\) \\gexec and, on a line of its own, SELECT pg_reload_conf/],
		'a role that may not read the list gets a query that makes the command', env => { PGUSER => 'Cap"s' })
	  =~ /in psql: (SELECT .* \\gexec) and, on/;
	is($node->safe_psql('postgres', ($1 // '') =~ s/ \\gexec$//r),
		'ALTER SYSTEM SET output_plugin_libraries = cdc_decoder', 'the right one');
	$node->safe_psql('postgres', 'ALTER SYSTEM SET output_plugin_libraries = pgoutput, cdc_decoder');
	$node->reload;
	ok($node->poll_query_until('postgres',
		"SELECT setting ~ 'cdc_decoder' FROM pg_settings WHERE name = 'output_plugin_libraries'"),
		'listed again');
	client_ok($node, [ 'slot', 'create', '--slot=t' ], 'and usable');
}
$node->append_conf('postgresql.conf', "dynamic_library_path = '/nonexistent'");
$node->reload;
$node->poll_query_until('postgres', "SELECT setting = '/nonexistent' FROM pg_settings WHERE name = 'dynamic_library_path'")
  or die 'the reload did not happen';
client_fails($node, [ 'slot', 'create', '--slot=u' ], 1,
	[qr/could not access file "cdc_decoder"/, qr/HINT .*make install .*pg_config --pkglibdir/], 'library missing');
write_file("$dir/cdc_decoder.so", "no library\n", 0755);
chmod 0755, $dir;
$node->append_conf('postgresql.conf', "dynamic_library_path = '$dir'");
$node->reload;
$node->poll_query_until('postgres', "SELECT setting = '$dir' FROM pg_settings WHERE name = 'dynamic_library_path'")
  or die 'the reload did not happen';
client_fails($node, [ 'slot', 'create', '--slot=u' ], 1,
	[qr/could not load library/, qr/HINT .*make install .*major version/], 'library broken');

# walsenders used up
my @held = map {
	my ($in, $out) = ('', '');
	local %ENV = $node->_get_env();
	my $handle = IPC::Run::start([ $node->installed_command('psql'), '-XAtq', '-d',
			$node->connstr('postgres') . ' replication=database' ], '<', \$in, '>', \$out, IPC::Run::timeout(60));
	$in .= "IDENTIFY_SYSTEM;\n";
	$handle->pump until $out =~ /postgres/;
	[ $handle, \$in ];
} (1, 2);
client_fails($node, [ 'slot', 'create', '--slot=u' ], 3,
	[qr/\(SQLSTATE 53300\)/, qr/HINT .*ALTER SYSTEM SET max_wal_senders/], 'no walsender is free');
my $doctor = (run_client($node, ['doctor']))[1];
like($doctor, qr/^FAIL all 2 walsenders are in use.*\n +-> ALTER SYSTEM SET max_wal_senders = 12; then restart/m,
	'doctor says the same');
foreach (@held)
{
	${ $_->[1] } .= "\\q\n";
	$_->[0]->finish;
}

# wal_level
$node->append_conf('postgresql.conf', 'wal_level = replica');
$node->safe_psql('postgres', "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots");
$node->restart;
if ($node->safe_psql('postgres', 'SHOW server_version_num') < 190000)
{
	client_fails($node, [ 'slot', 'create', '--slot=u' ], 1,
		[qr/\(SQLSTATE 55000\)/, qr/HINT .*ALTER SYSTEM SET wal_level = logical; then restart/], 'wal_level = replica');
}
else
{
	# the slot would raise it: the library is what is still missing
	client_fails($node, [ 'slot', 'create', '--slot=u' ], 1, [qr/could not load library/], 'wal_level = replica is enough');
}

# A server that shuts down or starts may come back: exit code 3
$node->stop;
client_fails($node, \@list, 3, [qr/connection to server/], 'a server that is down');

done_testing();
