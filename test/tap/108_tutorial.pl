# README's commands, as they stand there, one block after the other, and what it says that they give.
#
# What README takes from the machine, the test has in a folder before everything else in PATH: sudo runs
# the command, since the user that the test runs as is the server's superuser; service restarts the test's
# server; apt and make have nothing to do, for here everything is built already.
use strict;
use warnings;

use File::Basename qw(dirname);
use lib dirname(__FILE__) . '/lib';

use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CdcAdmin;

my $readme = slurp_file(dirname(__FILE__) . '/../../README.md');
my $home = PostgreSQL::Test::Utils::tempdir;
my $json = JSON::PP->new->canonical;

# README's server listens at localhost, and asks for passwords there
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
$node->append_conf('postgresql.conf', "listen_addresses = 'localhost'\nunix_socket_directories = '" . $node->host . "'\n"
	. "wal_level = replica\nmax_wal_senders = 10\nmax_replication_slots = 10\n");
write_file($node->data_dir . '/pg_hba.conf', "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\nhost all all ::1/128 scram-sha-256\n");
$node->start;

mkdir "$home/bin";
my $data = $node->data_dir;
my $pg_ctl = $node->installed_command('pg_ctl');
my $client = client_program();
write_file("$home/bin/sudo", "#!/bin/sh\n[ \"\$1\" != -u ] || shift 2\nexec \"\$@\"\n", 0755);
write_file("$home/bin/service", "#!/bin/sh\n[ \"\$*\" = 'postgresql restart' ] && exec $pg_ctl -D $data -w restart >/dev/null\n", 0755);
write_file("$home/bin/$_", "#!/bin/sh\nexit 0\n", 0755) foreach 'apt', 'make';
symlink($client, "$home/bin/cdc_client");

my $output;
my %seen;
my $limited = knows_plugin_libraries($node);
my $port = $node->port;
foreach my $section ('Set it up', 'Shape the records')
{
	my ($text) = $readme =~ /^## \Q$section\E\n(.*?)(?=^## |\z)/ms or die "README has no section $section";
	while ($text =~ /^```(\w+)\n(.*?)^```$/msg)
	{
		my ($kind, $block) = ($1, $2);
		$seen{"$section: $kind"}++;
		if ($kind eq 'sh')
		{
			# it says not to, where the server does not know the parameter
			next if !$limited && $block =~ /output_plugin_libraries/;
			$output = shell($block =~ s/localhost:5432:/localhost:$port:/r);
		}
		elsif ($kind eq 'json') { same_records($block, $output) }
		elsif ($kind eq 'text') { is($output, $block, 'gives just this') }
		else { fail("README has a block of \"$kind\" that nobody looks at") }
	}
}
is_deeply(\%seen, { 'Set it up: sh' => 6, 'Set it up: json' => 1, 'Shape the records: sh' => 4, 'Shape the records: json' => 1,
		'Shape the records: text' => 2 }, 'all blocks were found');

# doc/rules.md's commands for pipelines in files, of which the last changes nothing more
my ($commands) = slurp_file(dirname(__FILE__) . '/../../doc/rules.md') =~ /^## Pipelines in files\n.*?^```sh\n(.*?)^```$/ms;
like(shell($commands), qr/^(\{"op":"snapshot",.*"user_email":.*\}\n){2}nothing to do\nnothing to do\n$/, 'doc/rules.md: pipelines in files');

# The doctor, whom README asks before there is a slot, has nothing to mend, nor afterwards
my (undef, $advice) = run_client($node, [ 'doctor', '--dbname=dbname=shop user=cdc', '--slot=shop', '--pipeline=shop' ]);
unlike($advice, qr/^FAIL/m, 'the doctor is content');
$node->stop;
done_testing();

# shell(BLOCK): runs it as a shell does that a user types into, but stops where a command fails; its stdout
sub shell
{
	my ($block) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	local %ENV = ($node->_get_env(), HOME => $home, PGDATABASE => 'postgres', PGAPPNAME => '');
	my ($out, $err) = ('', '');
	my ($first) = split /\n/, $block;

	$ENV{PATH} = "$home/bin:$ENV{PATH}";
	delete $ENV{PGAPPNAME};
	delete $ENV{PGPASSFILE};
	my $ok = IPC::Run::run([ 'bash', '-e', '-o', 'pipefail', '-c', "cd\n$block" ], '<', \undef, '>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	ok($ok, $first) or diag("$out\n$err");
	unlike($err, qr/^(psql:.*)?ERROR|^\S+ ERROR/m, 'without an error') or diag($err);
	return $out;
}

# The records in a block are those that were shown, but for what differs from run to run.
sub same_records
{
	my ($block, $shown) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($wanted, $found) = map { [ map { constant($_) } grep { /^\{/ } split /\n/, $_ ] } $block, $shown;

	cmp_ok(scalar @$wanted, '>', 0, 'there are records');
	is_deeply($found, $wanted, 'they are the ones that were streamed');
	return;
}

sub constant
{
	my $record = $json->decode($_[0]);

	foreach my $member (qw(commit_lsn xid ts))
	{
		ok(defined delete $record->{$member}, "has $member");
	}
	return $json->encode($record);
}
