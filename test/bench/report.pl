#!/usr/bin/perl
# Turns what test/bench/decode and test/bench/client recorded into Markdown tables.
#
#	report.pl decode FILE		lines: workload NAME TEXT; run WORKLOAD PLUGIN key=value ...
#
# Fields of a line are separated by tabs.
use strict;
use warnings;

my @ours = ('cdc-batched', 'cdc-frames', 'cdc-lines');

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
	return { map { /^([^=]+)=(.*)$/ ? ($1, $2) : die "report.pl: bad pair \"$_\"\n" } split / /, $text };
}

sub read_decode
{
	my ($file) = @_;
	my (@workloads, %text, @plugins, %seen, %runs);
	open(my $in, '<', $file) or die "report.pl: cannot read $file: $!\n";
	while (my $line = <$in>)
	{
		chomp $line;
		my ($kind, $workload, @rest) = split /\t/, $line;
		if ($kind eq 'workload')
		{
			push @workloads, $workload;
			$text{$workload} = $rest[0];
			next;
		}
		my ($plugin, $pairs) = @rest;
		push @plugins, $plugin unless $seen{$plugin}++;
		push @{ $runs{$workload}{$plugin} }, parse_pairs($pairs);
	}
	close($in);
	return (\@workloads, \%text, \@plugins, \%runs);
}

# One workload's table.  Returns the medians of CPU of the plugins whose runs all ended well.
sub decode_table
{
	my ($plugins, $runs) = @_;
	my (%cpu, @rows, @failures);
	for my $plugin (@$plugins)
	{
		my @runs = @{ $runs->{$plugin} };
		my ($failed) = grep { exists $_->{failed} } @runs;
		if ($failed)
		{
			push @rows, [ $plugin, ('failed') x 2, ('') x 4 ];
			push @failures, "$plugin failed: $failed->{failed}";
			next;
		}
		$cpu{$plugin} = median(map { $_->{cpu} } @runs);
		push @rows,
		  [
			$plugin,
			range('%.2f', map { $_->{cpu} } @runs),
			range('%.2f', map { $_->{wall} } @runs),
			sprintf('%.2f', median(map { $_->{system} } @runs)),
			sprintf('%.1f', $runs[0]{bytes} / 1e6),
			$runs[0]{messages},
			$cpu{floor} ? sprintf('%.2f', $cpu{$plugin} / $cpu{floor}) : '',
		  ];
	}
	table(
		[ 'plugin', 'CPU s: median (min–max)', 'wall s: median (min–max)', 'of it in the kernel', 'MB', 'messages', 'CPU / floor' ],
		@rows);
	print "$_\n\n" for @failures;
	return \%cpu;
}

# How many times less CPU one of ours takes than each other plugin; the floor the other way round.
sub ratio_table
{
	my ($title, $plugins, $cpu, @workloads) = @_;
	my @columns = grep { my $p = $_; grep { $_ eq $p } @$plugins } @ours;
	my @rows;
	return unless @columns && @workloads;
	for my $other (grep { my $p = $_; !grep { $_ eq $p } @ours } @$plugins)
	{
		my @cells;
		for my $own (@columns)
		{
			my @ratios = map {
				my ($top, $bottom) = ($cpu->{$_}{$other}, $cpu->{$_}{$own});
				($top, $bottom) = ($bottom, $top) if $other eq 'floor';
				$top && $bottom ? $top / $bottom : ();
			} @workloads;
			push @cells,
			  @ratios == @workloads
			  ? sprintf('%.2f', geometric_mean(@ratios))
			  : sprintf('(of %d of %d)', scalar @ratios, scalar @workloads);
		}
		push @rows, [ $other eq 'floor' ? 'times the floor' : "times less than $other", @cells ];
	}
	print "$title\n\n";
	table([ '', @columns ], @rows);
}

sub decode_report
{
	my ($workloads, $text, $plugins, $runs) = read_decode(@_);
	my %cpu;
	for my $workload (@$workloads)
	{
		print "### $workload: $text->{$workload}\n\n";
		$cpu{$workload} = decode_table($plugins, $runs->{$workload});
	}
	print "### Ratios of CPU\n\n";
	ratio_table('Geometric means over ' . join(', ', @$workloads) . ':', $plugins, \%cpu, @$workloads);
	my @rest = grep { $_ ne 'oltp' } @$workloads;
	return if @rest == @$workloads || !@rest;
	ratio_table('Without oltp:', $plugins, \%cpu, @rest);
	ratio_table('oltp alone (the floor is about half of what pgoutput takes there):', $plugins, \%cpu, 'oltp');
}

my %reports = (decode => \&decode_report);
my $kind = shift @ARGV // '';
die 'usage: report.pl ' . join('|', sort keys %reports) . " FILE\n" unless $reports{$kind} && @ARGV == 1;
binmode(STDOUT, ':raw');
$reports{$kind}->(@ARGV);
