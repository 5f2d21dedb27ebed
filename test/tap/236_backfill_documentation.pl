# The commands in doc/backfill.md do what the page says: each sh block is run, and prints what the text block
# behind it shows.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = make_node('page');
my $dir = PostgreSQL::Test::Utils::tempdir();
my $text = slurp_file("$FindBin::RealBin/../../doc/backfill.md");
my ($checked, $printed) = (0, '');

$node->safe_psql('postgres', 'CREATE DATABASE shop');
while ($text =~ /^```(sh|text)\n(.*?)^```$/msg)
{
	my ($kind, $block) = ($1, $2);
	$block =~ s{/var/lib/cdc}{$dir}g;
	if ($kind eq 'text')
	{
		is($printed, $block, 'prints what the page shows');
		$checked++;
		next;
	}
	local %ENV = $node->_get_env();
	$ENV{PATH} = dirname(client_binary()) . ':' . $node->config_data('--bindir') . ":$ENV{PATH}";
	delete $ENV{$_} foreach grep { /^CDC_/ } keys %ENV;    # the tests' own, not options of the client
	$printed = '';
	ok(IPC::Run::run([ 'sh', '-e', '-c', $block ], '<', \undef, '>', \$printed, '2>&1',
			IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default)), 'the commands run') or diag($printed);
}
is($checked, 1, 'the page has an example');

$node->stop;
done_testing();
