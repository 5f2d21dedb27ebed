# BenchReport: what the reports of test/bench share.
package BenchReport;

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT = qw(median geometric_mean range percentile table parse_pairs goal);

sub median
{
	my @sorted = sort { $a <=> $b } @_;
	my $middle = int(@sorted / 2);
	return @sorted % 2 ? $sorted[$middle] : ($sorted[ $middle - 1 ] + $sorted[$middle]) / 2;
}

sub geometric_mean
{
	my $sum = 0;
	$sum += log($_) for @_;
	return exp($sum / @_);
}

sub range
{
	my ($format, @values) = @_;
	my @sorted = sort { $a <=> $b } @values;
	return sprintf("$format ($format–$format)", median(@values), $sorted[0], $sorted[-1]);
}

# The smallest of the values that at least a share of all does not exceed.
sub percentile
{
	my ($share, @values) = @_;
	my @sorted = sort { $a <=> $b } @values;
	my $rank = int($share * @sorted + 0.999999);
	return $sorted[ $rank > 0 ? $rank - 1 : 0 ];
}

sub table
{
	my ($head, @rows) = @_;
	print '| ', join(' | ', @$head), " |\n";
	print '|', join('|', map { $_ == 0 ? '---' : '---:' } 0 .. $#$head), "|\n";
	print '| ', join(' | ', @$_), " |\n" for @rows;
	print "\n";
}

sub parse_pairs
{
	my ($text) = @_;
	return { failed => $1 } if $text =~ /^failed=(.*)$/;
	return { map { /^([^=]+)=(.*)$/ ? ($1, $2) : die "bad pair \"$_\"\n" } split / /, $text };
}

# Whether a figure is where the project wants it.  $direction: 'at least' or 'at most'.
sub goal
{
	my ($what, $figure, $direction, $limit) = @_;
	my $met = $direction eq 'at least' ? $figure >= $limit : $figure <= $limit;
	printf "- %s: %.2f; goal: %s %s: %s\n", $what, $figure, $direction, $limit, $met ? 'met' : '**missed**';
}

1;
