# doc/sink-file.md's reader of the file sink's sidecar prints what counts, at any time, rotation included.
use strict;
use warnings;

use File::Basename qw(dirname);
use lib dirname(__FILE__) . '/lib';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CdcAdmin;

my ($reader) = slurp_file(dirname(__FILE__) . '/../../doc/sink-file.md') =~ /^```perl\n(# counts\.pl .*?)^```$/ms
  or die 'doc/sink-file.md has no reader';
my $dir = PostgreSQL::Test::Utils::tempdir;
my $program = write_file("$dir/counts.pl", $reader);
my $node = admin_node('main');
my $file = "$dir/records";
my @stream = ('stream', '--slot=s', "--sink=file://$file?rotate=64KiB", '--until=now', '--progress=off');

sub counts
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($out, $err) = run_command([ $^X, $program, $file ]);

	is($err, '', "$name: no error");
	return length $out ? "$out\n" : ''; # run_command() has cut the last newline
}

sub damage
{
	my ($at, $byte) = @_;

	open(my $sidecar, '+<:raw', "$file.cdc-position") or die $!;
	seek($sidecar, $at, 0);
	print $sidecar $byte;
	close($sidecar);
	return;
}

$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY, a text)');
client_ok($node, [ 'slot', 'create', '--slot=s' ], 'slot');
client_ok($node, \@stream, 'stream of nothing');
is(counts('nothing'), '', 'nothing counts');
foreach my $round (1 .. 3)
{
	$node->safe_psql('postgres', "INSERT INTO t SELECT n, repeat('x', 100) FROM generate_series($round * 100, $round * 100 + 49) n");
	client_ok($node, \@stream, "round $round");
	is(counts("round $round"), slurp_file($file), "round $round: all of the file counts");
	is(scalar(split /\n/, counts("round $round")), 50 * $round, "round $round: all records");
}

# What is behind the offset does not count: a crash may have left it there
my $whole = slurp_file($file);
append_to_file($file, qq({"op":"ins));
is(counts('a torn line'), $whole, 'it does not count');

# A slot that is being written is passed over, whichever it is
my $sidecar = slurp_file("$file.cdc-position");
is(length $sidecar, 8192, 'the sidecar has two slots');
foreach my $slot (0, 1)
{
	damage($slot * 4096 + 60, '#');
	my $counted = counts("slot $slot is torn");
	ok($whole =~ /^\Q$counted\E/, "slot $slot is torn: what counts by the other is a part of it");
	damage($slot * 4096 + 60, substr($sidecar, $slot * 4096 + 60, 1));
}
is(counts('whole again'), $whole, 'both are whole again');
damage($_ * 4096 + 60, '#') foreach 0, 1;
my ($out, $err) = run_command([ $^X, $program, $file ]);
is("$out$err", "$file.cdc-position: not a sidecar", 'without one nothing counts');
damage($_ * 4096 + 60, substr($sidecar, $_ * 4096 + 60, 1)) foreach 0, 1;

# Rotation: by then the file is another one, and the one that the sidecar speaks of has its number
$node->safe_psql('postgres', "INSERT INTO t SELECT n, repeat('x', 100) FROM generate_series(1000, 1299) n");
client_ok($node, \@stream, 'rotate');
ok(-e "$file.000001", 'the file was rotated');
is(counts('rotated'), slurp_file($file), 'all of the new file counts');
my $next = sprintf('%s.%06d', $file, 1 + scalar glob_rotated());
rename($file, $next) or die $!;
write_file($file, "not yet in the sidecar\n");
is(counts('rotated since'), slurp_file($next), 'the file of the sidecar\'s number counts');

$node->stop;
done_testing();

sub glob_rotated
{
	my @rotated = glob("$file.[0-9]*");

	return scalar @rotated;
}
