# The command line: help, version, precedence of flag, environment and file, and bad values.
use strict;
use warnings;

use File::Basename qw(dirname);
use lib dirname(__FILE__) . '/lib';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CdcAdmin;

my $dir = PostgreSQL::Test::Utils::tempdir;

# Help and version
my $out = client_ok(undef, ['--help'], '--help');
like($out, qr/^  \Q$_\E /m, "--help names $_")
  foreach ('stream', 'slot create', 'slot drop', 'slot list', 'doctor', 'status');
like($out, qr/^  3  /m, '--help says what the exit codes are');
foreach my $words ([ 'stream' ], [ 'slot', 'create' ], [ 'slot', 'drop' ], [ 'slot', 'list' ],
	[ 'doctor' ], [ 'status' ])
{
	my $command = join(' ', @$words);
	$out = client_ok(undef, [ @$words, '--help' ], "$command --help");
	like($out, qr/cdc_client $command \[OPTION\]/, "$command --help is its own");
	like($out, qr/--dbname=CONNINFO/, "$command --help lists the options");
	is($out =~ /--fix/ ? 1 : 0, $command eq 'doctor' ? 1 : 0, "$command --help lists its own only");
	is(scalar(grep { length($_) > 100 } split(/\n/, $out)), 0, "$command --help fits the page");
}
is(client_ok(undef, [ 'stream', '--no-such', '--help' ], '--help after a mistake'),
	client_ok(undef, [ 'stream', '-?' ], '-?'), 'help is given whatever else is wrong');
$out = client_ok(undef, ['--version'], '--version');
like($out, qr/^cdc_client \d+\.\d+ /, '--version says the version');
like($out, qr/^  file .*^ +file:/ms, '--version lists the sinks with their addresses');
is(client_ok(undef, [ 'doctor', '-V' ], '-V'), $out, '-V is the same');
SKIP:
{
	skip 'needs /dev/full', 1 unless -w '/dev/full';
	my $program = client_program();
	isnt(system("$program --help >/dev/full 2>/dev/null"), 0, 'output that is lost is no success');
}

# What is wrong, where, what is allowed, what to do
client_fails(undef, [], 1, [qr/subcommand is missing/, qr/HINT .*slot create/], 'no subcommand');
client_fails(undef, ['steam'], 1, [qr/"steam"/, qr/HINT .*stream/], 'unknown subcommand');
client_fails(undef, [ 'slot', 'kill' ], 1, [qr/"kill"/, qr/slot drop/], 'unknown second word');
client_fails(undef, [ 'stream', '--slto=a' ], 1,
	[qr/--slto: there is no option/, qr/Did you mean "slot"/], 'misspelt option');
client_fails(undef, [ 'stream', '--fix' ], 1, [qr/--fix: "stream" takes no such option/],
	'option of another subcommand');
client_fails(undef, [ 'stream', '--sink=-' ], 1, [qr/needs option "slot"/, qr/CDC_SLOT/],
	'slot missing');
client_fails(undef, [ 'stream', '--slot=a', '-S', 'b' ], 1, [qr/-S: .* given before, by --slot/],
	'given twice');
client_fails(undef, [ 'stream', '--max-in-flight=much' ], 1,
	[qr/--max-in-flight: "much" is not a size/, qr/64MiB/], 'bad size');
client_fails(undef, [ 'stream', '--slot=a', '--sink=-', '-o', 'framing=lines' ], 1,
	[qr/"framing" is set by cdc_client itself/], 'our own option of the plugin');
client_fails(undef, [ 'slot', 'list' ], 1, [qr/CDC_SLTO/, qr/Did you mean "slot"/],
	'misspelt variable', env => { CDC_SLTO => 'a' });
client_fails(undef, [ 'slot', 'list', '--config', "$dir/none" ], 1,
	[qr/--config: cannot open "\Q$dir\E\/none": No such file/], 'config file missing');
my $file = write_file("$dir/bad.conf", "# comment\nslot = a\nretry_for = soon\n");
client_fails(undef, [ 'slot', 'list', "--config=$file" ], 1,
	[qr/\Q$file\E:3: "soon" is not a duration/], 'bad value in a file, for another subcommand');
client_fails(undef, [ 'stream', '--slot=a', '--sink=gopher://x' ], 1, [qr/gopher/],
	'unknown sink', env => { PGHOST => '/nonexistent' });

# Errors as JSON lines: each parses, with its hint
my $node = admin_node('main');
my $stderr = client_fails($node, [ 'slot', 'drop', '--slot=nosuch', '--log-format=json' ], 1, [],
	'error as JSON');
is($node->safe_psql('postgres', "SELECT j->>'level' || ': ' || (j->>'message') || ' ' || (j ? 'hint')::text "
		. "FROM (SELECT \$\$$stderr\$\$::jsonb) t(j)"),
	'error: replication slot "nosuch" does not exist true', 'JSON lines have level, message, hint');
like($stderr, qr/^\{"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",/, 'and the time');

# Precedence, seen by which slot is found missing
$file = write_file("$dir/good.conf", "slot = from_file # comment\n\nsink = '-'\nbatch-bytes = 1\n");
my @drop = ('slot', 'drop');
client_fails($node, [ @drop, '--config', $file ], 1, [qr/"from_file" does not exist/], 'file');
client_fails($node, \@drop, 1, [qr/"from_file" does not exist/], 'file named by the environment',
	env => { CDC_CONFIG => $file });
client_fails($node, [ @drop, '--config', $file ], 1, [qr/"from_env" does not exist/],
	'environment before file', env => { CDC_SLOT => 'from_env' });
client_fails($node, [ @drop, '--config', $file, '--slot', 'from_flag' ], 1,
	[qr/"from_flag" does not exist/], 'flag before both', env => { CDC_SLOT => 'from_env' });
client_fails($node, [ @drop, '--config', $file ], 1, [qr/"from_file" does not exist/],
	'an empty variable is none', env => { CDC_SLOT => '' });
$stderr = client_fails($node, [@drop, '-S', 'x'], 1, [qr/WARNING .*CDC_PORT_1_TCP/],
	'a foreign variable is named', env => { CDC_PORT_1_TCP => 'tcp://' });

# Only errors with --quiet
my (undef, $quiet) = client_ok($node, [ 'slot', 'create', '-S', 'q', '--quiet' ], 'slot create --quiet');
is($quiet, '', '--quiet says nothing of success');

$node->stop;
done_testing();
