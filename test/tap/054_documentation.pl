# The examples in doc/selection.md, rules.md, outbox.md and ddl.md do what the pages say: each sql block is run, and each
# json block has the records that the blocks since the last one give, as far as it names their members.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcTest;
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;

my $node = make_node('documentation');
my $json = JSON::PP->new->canonical;

check_page('selection', publication_names => 'shop');
check_page('rules', pipeline => 'shop');
check_page('outbox', pipeline => 'shop');
check_page('ddl');
$node->stop;
done_testing();

sub check_page
{
	my ($page, %options) = @_;
	my $text = slurp_file("$FindBin::RealBin/../../doc/$page.md");
	my ($blocks, $at) = (0, 0);

	$node->safe_psql('postgres', "CREATE DATABASE $page");
	create_slot($node, $page, $page);
	while ($text =~ /^```(sql|json)\n(.*?)^```$/msg)
	{
		my ($kind, $block) = ($1, $2);
		if ($kind eq 'sql')
		{
			run_sql($node, $page, $block);
			next;
		}
		my @lines = @{ read_lines(decode($node, $page, $page, options => \%options)) };
		my @expected = split(/\n/, $block);
		$blocks++;
		is(scalar @lines - $at, scalar @expected, "$page, block $blocks: as many records");
		foreach my $example (@expected)
		{
			my $got = $lines[ $at++ ] // '{}';
			my ($wanted, $found) = map { $json->decode($_) } $example, $got;
			is($json->encode(within($wanted, $found)), $json->encode($wanted), "$page, block $blocks: $example") or diag("the record: $got");
		}
	}
	cmp_ok($blocks, '>', 0, "$page has examples");
	return;
}

# What of a record an example names; keys and lists have to be the same as a whole.
sub within
{
	my ($wanted, $found, $whole) = @_;

	return $found if ref $wanted ne 'HASH' || ref $found ne 'HASH' || $whole;
	return { map { exists $found->{$_} ? ($_ => within($wanted->{$_}, $found->{$_}, $_ eq 'key')) : () } keys %$wanted };
}
