# The commands in doc/tutorial-replay.md do what the page says: each sh block is run, and prints what the
# text block behind it shows, but for LSNs and times.
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

my $node = make_node('tutorial');
my $dir = PostgreSQL::Test::Utils::tempdir();
my $text = slurp_file("$FindBin::RealBin/../../doc/tutorial-replay.md");
my ($blocks, $checked, $printed) = (0, 0, '');

sub without_places
{
	my ($lines) = @_;
	$lines =~ s/\b[0-9A-F]+\/[0-9A-F]+\b/LSN/g;
	$lines =~ s/20\d\d-\d\d-\d\dT[0-9:.]+Z/TIME/g;
	return $lines;
}

$node->safe_psql('postgres', 'CREATE DATABASE shop');
while ($text =~ /^```(sh|text)\n(.*?)^```$/msg)
{
	my ($kind, $block) = ($1, $2);
	$block =~ s{/var/lib/cdc}{$dir}g;
	if ($kind eq 'text')
	{
		is(without_places($printed), without_places($block), "block $blocks prints what the page shows");
		$checked++;
		next;
	}
	$blocks++;
	local %ENV = $node->_get_env();
	$ENV{PATH} = dirname(client_binary()) . ":$ENV{PATH}";
	delete $ENV{$_} foreach grep { /^CDC_/ } keys %ENV;    # the tests' own, not options of the client
	$printed = '';
	ok(IPC::Run::run([ 'sh', '-e', '-c', $block ], '<', \undef, '>', \$printed, '2>&1',
			IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default)), "block $blocks runs") or diag($printed);
}
cmp_ok($checked, '>=', 5, 'the page has examples with what they print');

$node->stop;
done_testing();
