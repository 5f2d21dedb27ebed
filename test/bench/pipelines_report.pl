#!/usr/bin/perl
# What test/bench/pipelines makes of follow_kafka's lines ("RECEIVED ID INSERTED", microseconds), and its report.
#
#	pipelines_report.pl latency LINES ID				of the rows behind ID
#	pipelines_report.pl recovery LINES ID LAST KILLED	of the rows behind ID to LAST, of a program killed then
#	pipelines_report.pl report FILE						lines: rows N; rate N; seconds N; run PEER "key=value ..."
use strict;
use warnings;

use FindBin;

use lib "$FindBin::RealBin/lib";
use BenchReport;

# each_line(FILE, ID, SUB): calls SUB with received, id, inserted of each line about a row behind ID
sub each_line
{
	my ($file, $after, $sub) = @_;
	open(my $in, '<', $file) or die "cannot read $file: $!\n";
	while (my $line = <$in>)
	{
		my ($received, $id, $inserted) = map { $_ + 0 } split ' ', $line;
		$sub->($received, $id, $inserted) if $id > $after;
	}
	close($in);
	return;
}

sub latency
{
	my ($file, $after) = @_;
	my @latencies;
	each_line($file, $after, sub { my ($received, undef, $inserted) = @_; push @latencies, ($received - $inserted) / 1000; });
	printf "p50=%.3f p99=%.3f max=%.3f\n", map { percentile($_, @latencies) } 0.5, 0.99, 1;
	return;
}

# Recovered is who delivers a row that was inserted after the kill.
sub recovery
{
	my ($file, $after, $last, $killed) = @_;
	my (%seen, $recovered, $again);
	each_line($file, $after, sub {
		my ($received, $id, $inserted) = @_;
		$again++ if $seen{$id}++;
		$recovered //= $received if $inserted > $killed;
	});
	printf "recovery=%.3f again=%d lost=%d\n", ($recovered - $killed) / 1e6, $again // 0, $last - $after - keys %seen;
	return;
}

sub read_runs
{
	my ($file) = @_;
	my %read = (peers => []);
	open(my $in, '<', $file) or die "cannot read $file: $!\n";
	while (my $line = <$in>)
	{
		chomp $line;
		my ($kind, $what, $pairs) = split /\t/, $line;
		if ($kind ne 'run')
		{
			$read{$kind} = $what;
			next;
		}
		push @{ $read{peers} }, $what unless $read{runs}{$what};
		push @{ $read{runs}{$what} }, parse_pairs($pairs);
	}
	close($in);
	return \%read;
}

# The goals are against Debezium.
sub compare
{
	my ($name, $what, $ratio, $bound, $goal) = @_;
	return goal("$name beside $what", $ratio, $bound, $goal) if $what =~ /^debezium/;
	printf "- %s beside %s: %.2f\n", $name, $what, $ratio;
	return;
}

sub report
{
	my ($file) = @_;
	my $read = read_runs($file);
	my $millions = $read->{rows} / 1e6;
	my %of;    # peer, key: median
	for my $peer (@{ $read->{peers} })
	{
		my @runs = @{ $read->{runs}{$peer} };
		for my $key (keys %{ $runs[0] })
		{
			$of{$peer}{$key} = median(map { $_->{$key} } @runs);
		}
	}
	my $cell = sub {
		my ($peer, $key, $format, $scale) = @_;
		return range($format, map { $_->{$key} * ($scale // 1) } @{ $read->{runs}{$peer} });
	};
	print "A transaction of $read->{rows} rows of 6 columns, from its commit until the last record can be read:\n\n";
	table(
		[ 'program', 'thousand records/s', 'its CPU s per million records', 'the walsender\'s', 'its RSS MiB' ],
		map {
			my $peer = $_;
			[
				$peer,
				range('%.0f', map { $read->{rows} / $_->{wall} / 1000 } @{ $read->{runs}{$peer} }),
				$cell->($peer, 'cpu', '%.2f', 1 / $millions),
				$cell->($peer, 'sender', '%.2f', 1 / $millions),
				$cell->($peer, 'rss', '%.0f', 1 / 1024),
			]
		} @{ $read->{peers} });
	print "Single-row transactions at $read->{rate}/s for $read->{seconds} s, from the row's insertion until its record can be read:\n\n";
	table(
		[ 'program', 'p50 ms', 'p99 ms', 'max ms', 'its CPU s', 'its peak RSS MiB' ],
		map {
			my $peer = $_;
			[
				$peer,
				(map { $cell->($peer, $_, '%.1f') } qw(p50 p99 max)),
				$cell->($peer, 'latency_cpu', '%.2f'),
				$cell->($peer, 'maxrss', '%.0f', 1 / 1024),
			]
		} @{ $read->{peers} });
	print "The start, and `kill -9` in the midst of that load with an immediate restart:\n\n";
	table(
		[ 'program', 'start to first record s', 'kill to first new record s', 'records twice', 'records lost' ],
		map {
			my $peer = $_;
			[ $peer, $cell->($peer, 'start', '%.2f'), $cell->($peer, 'recovery', '%.2f'), map { $cell->($peer, $_, '%d') } qw(again lost) ]
		} @{ $read->{peers} });
	my @ours = grep { /^cdc/ } @{ $read->{peers} };
	for my $peer (grep { !/^cdc/ } @{ $read->{peers} })
	{
		my $theirs = $of{$peer};
		for my $name (@ours)
		{
			my $ours = $of{$name};
			compare($name, "$peer, CPU per record, theirs / ours", $theirs->{cpu} / $ours->{cpu}, 'at least', 20);
			compare($name, "$peer, peak RSS, theirs / ours", $theirs->{maxrss} / $ours->{maxrss}, 'at least', 10);
			compare($name, "$peer, p99, ours / theirs", $ours->{p99} / $theirs->{p99}, 'at most', 0.33);
		}
	}
	print "\n";
	return;
}

my %commands = (latency => [ \&latency, 2 ], recovery => [ \&recovery, 4 ], report => [ \&report, 1 ]);
my $command = shift @ARGV // '';
die "usage: pipelines_report.pl latency LINES ID | recovery LINES ID LAST KILLED | report FILE\n"
  unless $commands{$command} && @ARGV == $commands{$command}[1];
binmode(STDOUT, ':raw');
$commands{$command}[0]->(@ARGV);
