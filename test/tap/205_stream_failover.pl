# A standby is promoted without having received all that was delivered: the client notices, refuses, and
# goes on under a new incarnation when that is accepted.  What both servers have is no divergence.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $primary = make_node('primary');
my ($code, $log);

$primary->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY)');
create_slot($primary, 'postgres', 's');
$primary->backup('backup');

sub make_standby
{
	my ($name) = @_;
	my $standby = PostgreSQL::Test::Cluster->new($name);

	$standby->init_from_backup($primary, 'backup', has_streaming => 1);
	$standby->start;
	return $standby;
}

sub ids
{
	return join(' ', slurp_bytes($_[0]) =~ /"after":\{"id":(\d+)/g);
}

my $behind = make_standby('behind');
my $level = make_standby('level');

$primary->safe_psql('postgres', 'INSERT INTO t SELECT generate_series(1, 3)');
$primary->wait_for_catchup($_) foreach $behind, $level;

# one standby hears no more; what follows is delivered, and lost with the primary
$behind->append_conf('postgresql.conf', "primary_conninfo = ''");
$behind->restart;
$primary->safe_psql('postgres', 'INSERT INTO t SELECT generate_series(4, 6)');
foreach my $file ('behind', 'level')
{
	$primary->safe_psql('postgres', "SELECT pg_copy_logical_replication_slot('s', 's_$file')");
	($code, $log) = run_client(conninfo($primary, 'postgres'), "s_$file", "file://$dir/$file", '--until=now');
	is($code, 0, "$file: delivered from the primary") or diag($log);
	is(ids("$dir/$file"), '1 2 3 4 5 6', "$file: all of it");
	is(sidecar_position("$dir/$file")->{timeline}, 1, "$file: of timeline 1");
}
$primary->wait_for_catchup($level);
$primary->stop('immediate');

foreach my $node ($behind, $level)
{
	$node->promote;
	# before 17, and without failover slots, the slot has stayed behind
	($code, $log) = run_client(conninfo($node, 'postgres'), 's_' . $node->name, "file://$dir/" . $node->name, '--until=now');
	is($code, 2, 'a promoted standby without the slot: exit code 2');
	like($log, qr/ERROR .*slot "s_\w+" does not exist.*HINT .*slot create --slot=s_\w+.*This server was promoted, and its primary's slots stayed behind.*--accept=gap/s,
		'says why, and the way out');
	create_slot($node, 'postgres', 's_' . $node->name);
	$node->safe_psql('postgres', 'INSERT INTO t SELECT generate_series(11, 13)');
}

# a slot made after the promotion begins behind what was there: that is a gap, and said to be one
($code, $log) = run_client(conninfo($level, 'postgres'), 's_level', "file://$dir/level", '--until=now');
is($code, 2, 'a new slot on the new primary: exit code 2');
like($log, qr/records are missing/, 'is a gap');
unlike($log, qr/diverged/, 'but no divergence where the standby had everything');
($code, $log) =
  run_client(conninfo($level, 'postgres'), 's_level', "file://$dir/level", '--until=now', '--accept=gap');
is($code, 0, 'accepted') or diag($log);
is(ids("$dir/level"), '1 2 3 4 5 6 11 12 13', 'goes on with what is new');
is(sidecar_position("$dir/level")->{timeline}, 2, 'on timeline 2');
is(sidecar_position("$dir/level")->{incarnation}, 0, 'in the same incarnation');

($code, $log) = run_client(conninfo($behind, 'postgres'), 's_behind', "file://$dir/behind", '--until=now');
is($code, 2, 'a new primary that lacks what was delivered: exit code 2');
like($log, qr{the sink and the server have diverged: the server left timeline 1 at [0-9A-F]+/[0-9A-F]+},
	'says where');
like($log, qr/DETAIL.*The sink is at commit_lsn.*timeline 1\..*The slot is at.*on timeline 2/, 'both positions');
like($log, qr/HINT.*--accept=divergence/, 'and the way out');
($code, $log) = run_client(conninfo($behind, 'postgres'), 's_behind', "file://$dir/behind", '--until=now',
	'--accept=divergence,gap');
is($code, 0, 'accepted') or diag($log);
like($log, qr/WARNING accepted: .*incarnation 1/, 'and logged');
is(ids("$dir/behind"), '1 2 3 4 5 6 11 12 13', 'what the new primary has is delivered');
is(sidecar_position("$dir/behind")->{incarnation}, 1, 'in a new incarnation');
$behind->safe_psql('postgres', 'INSERT INTO t VALUES (14)');
($code, $log) = run_client(conninfo($behind, 'postgres'), 's_behind', "file://$dir/behind", '--until=now');
is($code, 0, 'and on without a flag') or diag($log);
is(ids("$dir/behind"), '1 2 3 4 5 6 11 12 13 14', 'from there');

# Two servers were promoted to timeline 2, each without the other: what one of them has delivered lies further in
# its WAL than what the other has made since, and is not to be taken for it.
create_slot($behind, 'postgres', 's_level');
$behind->safe_psql('postgres', 'INSERT INTO t VALUES (15)');
$level->safe_psql('postgres', 'SELECT pg_switch_wal()');
$level->safe_psql('postgres', 'INSERT INTO t VALUES (16)');
($code, $log) = run_client(conninfo($level, 'postgres'), 's_level', "file://$dir/level", '--until=now');
is($code, 0, 'the one goes on') or diag($log);
is(ids("$dir/level"), '1 2 3 4 5 6 11 12 13 16', 'by itself');
$behind->safe_psql('postgres', 'SELECT pg_switch_wal()');
$behind->safe_psql('postgres', 'INSERT INTO t VALUES (17)');
$behind->safe_psql('postgres', 'SELECT pg_switch_wal()');
$behind->safe_psql('postgres', 'INSERT INTO t VALUES (18)');
my $other = conninfo($behind, 'postgres');
($code, $log) = run_client($other, 's_level', "file://$dir/level", '--until=now');
is($code, 2, "the sink to the other: exit code 2") or diag($log);
like($log, qr{ERROR .*have diverged: timeline 2 of the sink's position began at [0-9A-F/]+, and the server's at [0-9A-F/]+: two servers},
	'says why');
($code, $log) = run_client($other, 's_level', "file://$dir/level", '--until=now', '--accept=divergence,gap');
is($code, 0, 'accepted') or diag($log);
is(ids("$dir/level"), '1 2 3 4 5 6 11 12 13 16 15 17 18', 'what the other has is delivered');
is(sidecar_position("$dir/level")->{incarnation}, 1, 'in a new incarnation');

# An old primary comes back, with the slot as it was, and with what nobody has seen.
$primary->start;
$primary->safe_psql('postgres', 'INSERT INTO t VALUES (21), (22)');
my $old = conninfo($primary, 'postgres');
($code, $log) = run_client($old, 's_behind', "file://$dir/behind", '--until=now');
is($code, 2, 'an old primary that comes back: exit code 2');
like($log, qr/ERROR .*have diverged: timeline 2 of the sink's position is not in the server's history/, 'says why');
like($log, qr/HINT.*--accept=divergence/, 'and the way out');
($code, $log) = run_client($old, 's_behind', "file://$dir/behind", '--until=now', '--accept=divergence');
is($code, 0, 'accepted') or diag($log);
is(ids("$dir/behind"), '1 2 3 4 5 6 11 12 13 14 21 22', 'what it has that nobody had seen is delivered');
is(sidecar_position("$dir/behind")->{incarnation}, 2, 'in yet another incarnation');
is(sidecar_position("$dir/behind")->{timeline}, 1, 'of its timeline');

$_->stop foreach $behind, $level, $primary;
done_testing();
