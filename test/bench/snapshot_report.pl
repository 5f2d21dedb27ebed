#!/usr/bin/perl
# The report of test/bench/snapshot.
#
#	snapshot_report.pl FILE		lines: count N; rate N; rows copy|WORKERS "key=value ..."; disk "" "..."; latency never|initial "..."
use strict;
use warnings;

use FindBin;

use lib "$FindBin::RealBin/lib";
use BenchReport;

die "usage: snapshot_report.pl FILE\n" unless @ARGV == 1;
my (%read, %rows, %latency, @disk);
while (my $line = <>)
{
	chomp $line;
	my ($kind, $what, $pairs) = split /\t/, $line;
	if ($kind eq 'rows') { push @{ $rows{$what} }, parse_pairs($pairs) }
	elsif ($kind eq 'disk') { push @disk, parse_pairs($pairs) }
	elsif ($kind eq 'latency') { push @{ $latency{$what} }, parse_pairs($pairs) }
	else { $read{$kind} = $what }
}
binmode(STDOUT, ':raw');

sub values_of
{
	my ($key, @runs) = @_;
	return map { $_->{$key} } @runs;
}

sub program_name
{
	my ($program) = @_;
	return 'COPY by psql' if $program eq 'copy';
	return $program == 1 ? 'cdc_client, one worker' : "cdc_client, $program workers";
}

sub rows_report
{
	my %wall = map { $_ => median(values_of('wall', @{ $rows{$_} })) } keys %rows;
	my $synced = median(map { $_->{wall} + $_->{sync} } @{ $rows{copy} });

	print "### $read{count} rows of 5 columns to a file\n\n";
	table(
		[ 'program', 'wall s: median (min–max)', 'thousand rows/s', 'its CPU s', 'all CPU s', 'cores at work', 'MB', 'peak RSS MiB' ],
		map {
			my @runs = @{ $rows{$_} };
			[
				program_name($_),
				range('%.2f', values_of('wall', @runs)),
				sprintf('%.0f', $read{count} / $wall{$_} / 1000),
				sprintf('%.2f', median(map { $_->{user} + $_->{system} } @runs)),
				sprintf('%.2f', median(values_of('busy', @runs))),
				sprintf('%.2f', median(map { $_->{busy} / $_->{wall} } @runs)),
				sprintf('%.0f', $runs[0]{bytes} / 1e6),
				sprintf('%.1f', median(values_of('maxrss_kib', @runs)) / 1024),
			]
		} 'copy', sort grep { $_ ne 'copy' } keys %rows);
	printf "With its file synced, as the client's is, COPY takes %.2f s.  The disk takes %.2f s for as many bytes as the client's (dd, synced).\n\n",
	  $synced, median(values_of('wall', @disk));
	goal('wall, COPY / one worker', $wall{copy} / $wall{1}, 'at least', 1);
	goal('wall, one worker / two', $wall{1} / $wall{2}, 'at least', 1.6) if $wall{2};
	goal("MiB, $_ worker" . ($_ == 1 ? '' : 's'), median(values_of('maxrss_kib', @{ $rows{$_} })) / 1024, 'at most', 64)
	  foreach sort grep { $_ ne 'copy' } keys %rows;
	print "\n";
	return;
}

sub latency_report
{
	my %p99 = map { $_ => median(values_of('p99', @{ $latency{$_} })) } keys %latency;

	print "### Latency of live changes from commit to file, at $read{rate} transactions/s\n\n";
	table(
		[ 'existing rows', 'p50 ms', 'p90 ms', 'p99 ms', 'max ms', 'transactions/s reached' ],
		map {
			my ($name, $what) = @$_;
			my @runs = @{ $latency{$name} };
			[
				$what,
				(map { my $p = $_; range('%.2f', values_of($p, @runs)) } qw(p50 p90 p99 max)),
				sprintf('%.0f', median(values_of('tps', @runs))),
			]
		} [ never => 'none' ], [ initial => 'delivered meanwhile' ]);
	goal('p99, with / without existing rows', $p99{initial} / $p99{never}, 'at most', 2);
	print "\n";
	return;
}

rows_report() if %rows;
latency_report() if %latency;
