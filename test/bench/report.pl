#!/usr/bin/perl
# Turns what test/bench/decode and test/bench/client recorded into Markdown tables.
#
#	report.pl decode FILE		lines: workload NAME TEXT; run WORKLOAD PLUGIN "key=value ..."
#	report.pl client FILE		lines: workload NAME TEXT; drain WORKLOAD PROGRAM "key=value ...";
#								latency PROGRAM "..."; memory WHERE PROGRAM "..."; rate N; memory_rows N
#	report.pl rules FILE		lines: rows N; run narrow VARIANT "key=value ..."; writer with|without "..."
#	report.pl sinks FILE		lines: rows N; bytes N; run SINK drain|client|tool "key=value ..."; tool SINK NAME
#	report.pl insert NAME REPORT DOCUMENT	puts a report into a document
#
# Fields of a line are separated by tabs.
use strict;
use warnings;

use FindBin;
use List::Util qw(min);

use lib "$FindBin::RealBin/lib";
use BenchReport;

my @ours = ('cdc-batched', 'cdc-frames', 'cdc-lines', 'cdc-debezium', 'cdc-wal2json', 'cdc-wal2json-lines');

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

sub decode_goals
{
	my ($cpu, @workloads) = @_;
	my $mean = sub {
		my ($top, $bottom) = @_;
		my @ratios = map { $cpu->{$_}{$top} && $cpu->{$_}{$bottom} ? $cpu->{$_}{$top} / $cpu->{$_}{$bottom} : () } @workloads;
		return @ratios == @workloads ? geometric_mean(@ratios) : undef;
	};
	my @goals = (
		[ 'times less than pgoutput', $mean->('pgoutput', 'cdc-batched'), 'at least', 2.2 ],
		[ 'times less than wal2json-v2', $mean->('wal2json-v2', 'cdc-batched'), 'at least', 4 ],
		[ 'times the floor', $mean->('cdc-batched', 'floor'), 'at most', 1.4 ],
		[ 'of cdc-wal2json, times less than wal2json-v2', $mean->('wal2json-v2', 'cdc-wal2json'), 'at least', 2.5 ],
		[ 'of cdc-debezium, times cdc-batched', $mean->('cdc-debezium', 'cdc-batched'), 'at most', 1.6 ]);
	print "Goals, over all workloads, for cdc-batched where no other is named:\n\n";
	goal(@$_) for grep { defined $_->[1] } @goals;
	print "\n";
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
	return unless grep { my $p = $_; grep { $_ eq $p } @$plugins } @ours;
	print "### Ratios of CPU\n\n";
	ratio_table('Geometric means over ' . join(', ', @$workloads) . ':', $plugins, \%cpu, @$workloads);
	decode_goals(\%cpu, @$workloads);
	my @rest = grep { $_ ne 'oltp' } @$workloads;
	return if @rest == @$workloads || !@rest;
	ratio_table('Without oltp:', $plugins, \%cpu, @rest);
	my ($floor, $pgoutput) = @{ $cpu{oltp} }{ 'floor', 'pgoutput' };
	ratio_table(
		'oltp alone'
		  . ($floor && $pgoutput
			? sprintf(' (at the floor itself it would be %.2f times less than pgoutput):', $pgoutput / $floor)
			: ':'),
		$plugins, \%cpu, 'oltp');
}

my @programs = ('pg_recvlogical', 'cdc_client');

sub read_client
{
	my ($file) = @_;
	my %read = (workloads => []);
	open(my $in, '<', $file) or die "report.pl: cannot read $file: $!\n";
	while (my $line = <$in>)
	{
		chomp $line;
		my ($kind, @rest) = split /\t/, $line;
		if ($kind eq 'workload')
		{
			push @{ $read{workloads} }, $rest[0];
			$read{text}{ $rest[0] } = $rest[1];
		}
		elsif ($kind eq 'drain')
		{
			push @{ $read{drain}{ $rest[0] }{ $rest[1] } }, parse_pairs($rest[2]);
		}
		elsif ($kind eq 'latency')
		{
			push @{ $read{latency}{ $rest[0] } }, parse_pairs($rest[1]);
		}
		elsif ($kind eq 'memory')
		{
			push @{ $read{memory} }, [ @rest[ 0, 1 ], parse_pairs($rest[2]) ];
		}
		else
		{
			$read{$kind} = $rest[0];
		}
	}
	close($in);
	return \%read;
}

sub cpu_of
{
	return map { $_->{user} + $_->{system} } @_;
}

sub drain_report
{
	my ($read) = @_;
	my %ratio;
	print "### Draining to a file\n\n";
	for my $workload (@{ $read->{workloads} })
	{
		my $runs = $read->{drain}{$workload};
		my %wall = map { $_ => median(map { $_->{wall} } @{ $runs->{$_} }) } @programs;
		my %cpu = map { $_ => median(cpu_of(@{ $runs->{$_} })) } @programs;
		print "$workload: $read->{text}{$workload}\n\n";
		table(
			[ 'program', 'wall s: median (min–max)', 'its CPU s: median (min–max)', 'MB', 'peak RSS MiB', 'wall / pg_recvlogical' ],
			map {
				my @runs = @{ $runs->{$_} };
				[
					$_,
					range('%.2f', map { $_->{wall} } @runs),
					range('%.2f', cpu_of(@runs)),
					sprintf('%.1f', $runs[0]{bytes} / 1e6),
					sprintf('%.1f', median(map { $_->{maxrss_kib} } @runs) / 1024),
					sprintf('%.2f', $wall{$_} / $wall{pg_recvlogical}),
				]
			} @programs);
		push @{ $ratio{wall} }, $wall{cdc_client} / $wall{pg_recvlogical};
		push @{ $ratio{cpu} }, $cpu{cdc_client} / $cpu{pg_recvlogical};
	}
	printf "Geometric means, cdc_client / pg_recvlogical: wall %.2f, the program's CPU %.2f.\n\n",
	  geometric_mean(@{ $ratio{wall} }), geometric_mean(@{ $ratio{cpu} });
	goal('wall, cdc_client / pg_recvlogical', geometric_mean(@{ $ratio{wall} }), 'at most', 1.15);
	print "\n";
}

sub latency_report
{
	my ($read) = @_;
	my %p = map {
		my $name = $_;
		$name => { map { my $q = $_; $q => median(map { $_->{$q} } @{ $read->{latency}{$name} }) } qw(p50 p99) }
	} @programs;
	print "### Latency from commit to file, at $read->{rate} transactions/s\n\n";
	table(
		[ 'program', 'p50 ms', 'p90 ms', 'p99 ms', 'max ms', 'its CPU s', 'transactions/s reached' ],
		map {
			my @runs = @{ $read->{latency}{$_} };
			[
				$_,
				(map { my $q = $_; range('%.2f', map { $_->{$q} } @runs) } qw(p50 p90 p99 max)),
				range('%.2f', cpu_of(@runs)),
				sprintf('%.0f', median(map { $_->{tps} } @runs)),
			]
		} @programs);
	goal("$_ of cdc_client / pg_recvlogical", $p{cdc_client}{$_} / $p{pg_recvlogical}{$_}, 'at most', 1.2)
	  for qw(p50 p99);
	print "\n";
}

sub memory_report
{
	my ($read) = @_;
	print "### Peak resident memory, a transaction of $read->{memory_rows} rows\n\n";
	table(
		[ 'where to', 'program', 'peak RSS MiB', 'MB', 'wall s' ],
		map {
			my ($where, $program, $run) = @$_;
			[
				$where, $program,
				sprintf('%.1f', $run->{maxrss_kib} / 1024),
				sprintf('%.1f', $run->{bytes} / 1e6),
				sprintf('%.1f', $run->{wall}),
			]
		} @{ $read->{memory} });
	goal("MiB, cdc_client, $_->[0]", $_->[2]{maxrss_kib} / 1024, 'at most', 32)
	  for grep { $_->[1] eq 'cdc_client' } @{ $read->{memory} };
	print "\n";
}

sub client_report
{
	my $read = read_client(@_);
	drain_report($read) if $read->{drain};
	latency_report($read) if $read->{latency};
	memory_report($read) if $read->{memory};
}

my @variants = (
	[ 'floor', 'one byte per commit' ],
	[ 'filtered', 'no publication has the table' ],
	[ 'plain', 'the whole rows' ],
	[ 'columns', 'a column list of two of the five columns' ],
	[ 'computed', 'a computed member and a masked one' ],
	[ 'lookup-same', 'a member looked up; 5,000 keys that repeat' ],
	[ 'lookup-each', 'a member looked up; another key for each row' ]);

sub rules_report
{
	my ($file) = @_;
	my ($rows, %runs, %writer, %cpu);
	open(my $in, '<', $file) or die "report.pl: cannot read $file: $!\n";
	while (my $line = <$in>)
	{
		chomp $line;
		my ($kind, @rest) = split /\t/, $line;
		$rows = $rest[0] if $kind eq 'rows';
		push @{ $runs{ $rest[1] } }, parse_pairs($rest[2]) if $kind eq 'run';
		push @{ $writer{ $rest[0] } }, parse_pairs($rest[1]) if $kind eq 'writer';
	}
	close($in);
	$cpu{$_} = median(map { $_->{cpu} // 0 } @{ $runs{$_} }) for keys %runs;
	print "### Decoding narrow: $rows inserts of 5 columns, one transaction\n\n";
	table(
		[ 'variant', 'what', 'CPU s: median (min–max)', 'wall s: median (min–max)', 'MB', 'CPU / plain' ],
		map {
			my ($name, $what) = @$_;
			my @runs = @{ $runs{$name} };
			grep({ exists $_->{failed} } @runs)
			  ? [ $name, "failed: $runs[0]{failed}", ('') x 4 ]
			  : [
				$name, $what,
				range('%.2f', map { $_->{cpu} } @runs),
				range('%.2f', map { $_->{wall} } @runs),
				sprintf('%.1f', $runs[0]{bytes} / 1e6),
				sprintf('%.2f', $cpu{$name} / $cpu{plain}),
			  ]
		} @variants);
	print "Lookups per second are rows by the CPU that they take beyond plain's.\n\n";
	goal('filtered, times the floor', $cpu{filtered} / $cpu{floor}, 'at most', 1.05);
	goal('columns, times plain', $cpu{columns} / $cpu{plain}, 'at most', 1);
	goal('computed, times plain', $cpu{computed} / $cpu{plain}, 'at most', 2);
	goal("thousand lookups/s, $_->[0]", $rows / ($cpu{ $_->[0] } - $cpu{plain}) / 1000, 'at least', $_->[1])
	  for grep { $cpu{ $_->[0] } > $cpu{plain} } [ 'lookup-same', 400 ], [ 'lookup-each', 150 ];
	goal("thousand rows/s in all, $_", $rows / median(map { $_->{wall} } @{ $runs{$_} }) / 1000, 'at least', 0)
	  for 'lookup-same', 'lookup-each';
	print "\n### Writing to a reference\n\n";
	my %median = map {
		my $with = $_;
		$with => { map { my $key = $_; $key => median(map { $_->{$key} } @{ $writer{$with} }) } qw(tps bulk ignored) }
	} qw(without with);
	table(
		[ '', 'single-row updates/s', 'bulk update of looked-up columns, s', 'bulk update of other columns, s' ],
		map {
			my @runs = @{ $writer{$_} };
			[
				"$_ a lookup",
				range('%.0f', map { $_->{tps} } @runs),
				range('%.2f', map { $_->{bulk} } @runs),
				range('%.2f', map { $_->{ignored} } @runs)
			]
		} qw(without with));
	printf "With a lookup: %.2f of the updates/s, %.2f and %.2f times the seconds.\n\n",
	  $median{with}{tps} / $median{without}{tps}, $median{with}{bulk} / $median{without}{bulk},
	  $median{with}{ignored} / $median{without}{ignored};
}

sub read_sinks
{
	my ($file) = @_;
	my %read = (sinks => []);
	open(my $in, '<', $file) or die "report.pl: cannot read $file: $!\n";
	while (my $line = <$in>)
	{
		chomp $line;
		my ($kind, @rest) = split /\t/, $line;
		if ($kind eq 'run')
		{
			my ($sink, $who, $pairs) = @rest;
			push @{ $read{sinks} }, $sink unless $read{runs}{$sink};
			push @{ $read{runs}{$sink}{$who} }, parse_pairs($pairs);
		}
		elsif ($kind eq 'tool')
		{
			$read{tool}{ $rest[0] } = $rest[1];
		}
		else
		{
			$read{$kind} = $rest[0];
		}
	}
	close($in);
	return \%read;
}

# Thousands of records a second.
sub rates
{
	my ($read, $sink, $who) = @_;
	return map { $read->{rows} / $_->{wall} / 1000 } @{ $read->{runs}{$sink}{$who} };
}

# What copies bytes to a disk, or to an endpoint that drops them, is a floor and no load tool.
my %no_goal = (file => 1, http => 1);

sub sinks_report
{
	my $read = read_sinks(@_);
	my %rate;
	for my $sink (@{ $read->{sinks} })
	{
		$rate{$sink}{$_} = median(rates($read, $sink, $_)) for keys %{ $read->{runs}{$sink} };
	}
	printf "%d records of %.0f bytes. Rates are thousands of records a second: median (min–max).\n\n", $read->{rows},
	  $read->{bytes} / $read->{rows};
	table(
		[
			'sink', 'cdc_client', 'its CPU s', 'its peak RSS MiB', 'plain drain', 'the tool', 'its CPU s', 'cdc_client / tool',
			'cdc_client / slower of tool and drain',
		],
		map {
			my $sink = $_;
			my %runs = %{ $read->{runs}{$sink} };
			[
				$sink,
				range('%.0f', rates($read, $sink, 'client')),
				sprintf('%.2f', median(cpu_of(@{ $runs{client} }))),
				sprintf('%.1f', median(map { $_->{maxrss_kib} } @{ $runs{client} }) / 1024),
				range('%.0f', rates($read, $sink, 'drain')),
				$runs{tool} ? (
					range('%.0f', rates($read, $sink, 'tool')),
					sprintf('%.2f', median(cpu_of(@{ $runs{tool} }))),
					sprintf('%.2f', $rate{$sink}{client} / $rate{$sink}{tool}),
					sprintf('%.2f', $rate{$sink}{client} / min($rate{$sink}{tool}, $rate{$sink}{drain})),
				) : ('') x 4,
			]
		} @{ $read->{sinks} });
	print "The tools:\n\n";
	print "- $_: `$read->{tool}{$_}`\n" for grep { $read->{tool}{$_} } @{ $read->{sinks} };
	print "\n";
	goal("$_, cdc_client / $read->{tool}{$_}", $rate{$_}{client} / $rate{$_}{tool}, 'at least', 1)
	  for grep { $rate{$_}{tool} && !$no_goal{$_} } @{ $read->{sinks} };
	goal('kafka, exactly once / at least once', $rate{kafka}{client} / $rate{'kafka-at-least-once'}{client}, 'at least', 0.7)
	  if $rate{kafka} && $rate{'kafka-at-least-once'};
	print "\n";
}

sub slurp
{
	my ($file) = @_;
	open(my $in, '<:raw', $file) or die "report.pl: cannot read $file: $!\n";
	local $/;
	my $text = <$in>;
	close($in);
	return $text;
}

# Puts a report between the marks <!-- NAME --> and <!-- /NAME --> of a document.
sub insert_report
{
	my ($name, $report_file, $document_file) = @_;
	my $document = slurp($document_file);
	my $report = slurp($report_file);
	$document =~ s/(<!-- $name -->\n).*?(<!-- \/$name -->)/$1$report$2/s
	  or die "report.pl: $document_file has no place <!-- $name --> ... <!-- /$name -->\n";
	open(my $out, '>:raw', $document_file) or die "report.pl: cannot write $document_file: $!\n";
	print $out $document;
	close($out) or die "report.pl: cannot write $document_file: $!\n";
}

my %reports = (decode => [ \&decode_report, 1 ], client => [ \&client_report, 1 ], rules => [ \&rules_report, 1 ], sinks => [ \&sinks_report, 1 ], insert => [ \&insert_report, 3 ]);
my $kind = shift @ARGV // '';
die "usage: report.pl decode FILE | client FILE | rules FILE | sinks FILE | insert NAME REPORT DOCUMENT\n"
  unless $reports{$kind} && @ARGV == $reports{$kind}[1];
binmode(STDOUT, ':raw');
$reports{$kind}[0]->(@ARGV);
