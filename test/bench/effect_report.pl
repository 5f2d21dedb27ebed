#!/usr/bin/perl
# The report of test/bench/effect.
#
#	effect_report.pl FILE		lines: run VARIANT "tps=N lag=N"
use strict;
use warnings;

use FindBin;

use lib "$FindBin::RealBin/lib";
use BenchReport;

my @variants = (
	[ none => 'no slot' ],
	[ floor => 'a plugin that writes one byte per commit, pg_recvlogical' ],
	[ pgoutput => 'pgoutput, pg_recvlogical' ],
	[ cdc => 'cdc_decoder, cdc_client to a file' ]);

die "usage: effect_report.pl FILE\n" unless @ARGV == 1;
my %runs;
while (my $line = <>)
{
	chomp $line;
	my ($kind, $variant, $pairs) = split /\t/, $line;
	push @{ $runs{$variant} }, parse_pairs($pairs) if $kind eq 'run';
}
binmode(STDOUT, ':raw');
my %tps = map { $_ => median(map { $_->{tps} } @{ $runs{$_} }) } keys %runs;
my %loss = map { $_ => 1 - $tps{$_} / $tps{none} } keys %runs;
table(
	[ 'stream', 'what', 'transactions/s: median (min–max)', 'loss %', 'MB behind at the end' ],
	map {
		my ($name, $what) = @$_;
		[
			$name, $what,
			range('%.0f', map { $_->{tps} } @{ $runs{$name} }),
			sprintf('%.1f', 100 * $loss{$name}),
			sprintf('%.2f', median(map { $_->{lag} } @{ $runs{$name} }) / 1e6),
		]
	} @variants);
goal("the loss, cdc / pgoutput", $loss{cdc} / $loss{pgoutput}, 'at most', 0.7) if $loss{pgoutput} > 0;
print "\n";
