# CdcAdmin: what the TAP tests of the client's command line and administration share.
package CdcAdmin;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(
	client_program admin_node knows_plugin_libraries set_plugin_libraries
	run_client client_ok client_fails start_client wait_for_output write_file hold_transaction
);

my $top = abs_path(dirname(abs_path(__FILE__)) . '/../../..');

# CDC_CLIENT names the program under test, not an option of its: it must not see it.
my $program = delete $ENV{CDC_CLIENT} // "$top/client/cdc_client";
delete $ENV{$_} foreach grep { /^CDC_/ } keys %ENV;

sub client_program
{
	return $program;
}

# Only minor releases from 2026 on know output_plugin_libraries, and the others do not start with it.
sub knows_plugin_libraries
{
	my ($node) = @_;
	my ($described) = run_command([ $node->installed_command('postgres'), '--describe-config' ]);

	return $described =~ /^output_plugin_libraries\t/m;
}

# admin_node(NAME, LINE OF CONFIGURATION...): a started server that may use the plugin
sub admin_node
{
	my ($name, @conf) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(allows_streaming => 'logical');
	unless ($ENV{TEMP_CONFIG})
	{
		$node->append_conf('postgresql.conf', "dynamic_library_path = '$top:\$libdir'");
		$node->append_conf('postgresql.conf',
			"output_plugin_libraries = 'pgoutput, test_decoding, cdc_decoder'")
		  if knows_plugin_libraries($node);
	}
	$node->append_conf('postgresql.conf', join("\n", 'autovacuum = off', @conf, ''));
	$node->start;
	return $node;
}

# run_client(NODE or undef, [ARGUMENTS], env => {...}): (exit code, stdout, stderr)
sub run_client
{
	my ($node, $arguments, %args) = @_;
	my ($stdout, $stderr) = ('', '');
	my $handle = start_client($node, $arguments, %args, stdout => \$stdout, stderr => \$stderr);

	$handle->finish;
	return ($handle->full_result(0) & 127 ? -1 : $handle->result(0), $stdout, $stderr);
}

# The same, not waited for; stdout and stderr are references to what it says.
sub start_client
{
	my ($node, $arguments, %args) = @_;
	local %ENV = $node ? $node->_get_env() : %ENV;

	$ENV{PGDATABASE} = 'postgres' if $node;
	$ENV{TZ} = 'UTC';
	while (my ($name, $value) = each %{ $args{env} // {} })
	{
		if (defined $value) { $ENV{$name} = $value }
		else { delete $ENV{$name} }
	}
	return IPC::Run::start(
		[ $program, @$arguments ],
		'<', \undef, '>', $args{stdout}, '2>', $args{stderr},
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
}

# client_ok(NODE, [ARGUMENTS], NAME, ...): exit code 0; returns stdout, and stderr
sub client_ok
{
	my ($node, $arguments, $name, %args) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($code, $stdout, $stderr) = run_client($node, $arguments, %args);

	is($code, 0, "$name: exit code 0") or diag("$stdout\n$stderr");
	return wantarray ? ($stdout, $stderr) : $stdout;
}

# client_fails(NODE, [ARGUMENTS], EXIT CODE, [PATTERNS], NAME, ...): all patterns are in stderr
sub client_fails
{
	my ($node, $arguments, $expected, $patterns, $name, %args) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($code, $stdout, $stderr) = run_client($node, $arguments, %args);
	my @missing = grep { $stderr !~ $_ } @$patterns;

	ok($code == $expected && !@missing, "$name: exit code $expected")
	  or diag("exit code $code, expected $expected; not found: @missing\n$stdout\n$stderr");
	return $stderr;
}

sub write_file
{
	my ($file, $text, $mode) = @_;

	unlink $file;
	append_to_file($file, $text);
	chmod($mode, $file) if defined $mode;
	return $file;
}

# wait_for_output(HANDLE, REFERENCE, PATTERN, NAME): until the program that runs has said so
sub wait_for_output
{
	my ($handle, $output, $pattern, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	eval { $handle->pump until $$output =~ $pattern || !$handle->pumpable; 1 } or diag($@);
	return like($$output, $pattern, $name);
}

# hold_transaction(NODE, SQL): a session that has run SQL in a transaction and keeps it open; returns
# its handle, its pid, and the sub that ends it.
sub hold_transaction
{
	my ($node, $sql) = @_;
	my ($in, $out) = ('', '');
	local %ENV = $node->_get_env();
	my $handle = IPC::Run::start(
		[ $node->installed_command('psql'), '-XAtq', '-d', $node->connstr('postgres') ],
		'<', \$in, '>', \$out, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));

	$in .= "BEGIN;\n$sql;\nSELECT 'held by', pg_backend_pid();\n";
	$handle->pump until $out =~ /held by\|(\d+)/;
	$out =~ /held by\|(\d+)/;
	return ($handle, $1, sub { $in .= "COMMIT;\n\\q\n"; $handle->finish; return; });
}

# set_plugin_libraries(NODE, LIST): reloaded, and waited for
sub set_plugin_libraries
{
	my ($node, $list) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET output_plugin_libraries = $list");
	$node->reload;
	$node->poll_query_until('postgres',
		"SELECT setting = '$list' FROM pg_settings WHERE name = 'output_plugin_libraries'")
	  or die 'the reload did not happen';
	return;
}

1;
