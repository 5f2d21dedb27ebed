# The largest that PostgreSQL takes: a value of 900 MB, a transaction of 5 million rows, 100,000
# subtransactions, 10,000 tables made and changed in one transaction.  Time and memory have a limit, for the
# walsender and for the client.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../tap/lib";
use CdcStream;
use CdcTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $mib = 1024 * 1024;
my $node = make_node('large', 'max_locks_per_transaction = 2000', 'shared_buffers = 512MB', 'fsync = off',
	'logical_decoding_work_mem = 64MB');
my $dir = PostgreSQL::Test::Utils::tempdir();

test_subtransactions();
test_relations();
test_rows();
test_value();
is($node->safe_psql('postgres', 'SELECT 1'), '1', 'other sessions go on');
unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC:/, 'no process has crashed');

# What a process has had at most of its own and of shared memory, as the kernel counts it.
sub peak_of
{
	my ($pid) = @_;
	open(my $status, '<', "/proc/$pid/status") or return undef;
	my ($kib) = join('', <$status>) =~ /^VmHWM:\s+(\d+) kB/m;
	return defined $kib ? $kib * 1024 : undef;
}

# measure(NAME, SLOT, ARGS): the client streams all to a file while both are looked at.
# Returns the file.  Limits: seconds, server => MiB, client => MiB.
sub measure
{
	my ($name, $slot, %limits) = @_;
	my $file = "$dir/$slot";
	my $started = time();
	my ($server_peak, $client_peak, $server) = (0, 0);
	my $client = start_client(conninfo($node, 'postgres'), $slot, "file://$file", args => [ '--until=now', @{ $limits{args} // [] } ]);

	while (kill(0, $client->{pid}) && !client_has_ended($client))
	{
		$server = $node->safe_psql('postgres', "SELECT active_pid FROM pg_replication_slots WHERE slot_name = '$slot'") || $server;
		my ($of_server, $of_client) = (($server ? peak_of($server) : undef) // 0, peak_of($client->{pid}) // 0);
		$server_peak = $of_server if $of_server > $server_peak;
		$client_peak = $of_client if $of_client > $client_peak;
		usleep(300_000);
	}
	is(wait_client($client), 0, "$name: the client delivers it") or diag(client_log($client));
	my $took = time() - $started;
	note(sprintf('%s: %.1f s, walsender at most %d MiB, client at most %d MiB', $name, $took, $server_peak / $mib, $client_peak / $mib));
	cmp_ok($took, '<', $limits{seconds}, "$name: in less than $limits{seconds} s");
	cmp_ok($server_peak, '<', $limits{server} * $mib, "$name: the walsender takes less than $limits{server} MiB");
	cmp_ok($client_peak, '<', $limits{client} * $mib, "$name: the client takes less than $limits{client} MiB");
	$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('$slot')");
	return $file;
}

# A process that has ended but was not waited for.
sub client_has_ended
{
	my ($client) = @_;
	open(my $stat, '<', "/proc/$client->{pid}/stat") or return 1;
	return scalar(<$stat>) =~ /\) Z /;
}

# Lines of the file, and the last of them.
sub count_lines
{
	my ($file) = @_;
	my ($lines, $last) = (0, '');

	open(my $handle, '<:raw', $file) or die "could not open $file: $!";
	while (my $line = <$handle>)
	{
		$lines++;
		$last = $line;
	}
	return ($lines, $last);
}

# Every other one is rolled back; those that stay are in order.
sub test_subtransactions
{
	my $count = 100_000;

	$node->safe_psql('postgres', 'CREATE TABLE sub (id int PRIMARY KEY)');
	create_slot($node, 'postgres', 'subtransactions');
	run_sql($node, 'postgres', qq{DO \$\$ BEGIN FOR n IN 1 .. $count LOOP
		BEGIN INSERT INTO sub VALUES (n); IF n % 2 = 0 THEN RAISE division_by_zero; END IF; EXCEPTION WHEN division_by_zero THEN NULL; END;
		END LOOP; END \$\$;});
	my ($lines, $last) = count_lines(measure("$count subtransactions", 'subtransactions', seconds => 60, server => 800, client => 100));
	is($lines, $count / 2, "$count subtransactions: what was not rolled back");
	my ($seq, $id) = ($count / 2, $count - 1);
	like($last, qr/"seq":$seq,.*"id":$id\}/, "$count subtransactions: in order");
	return;
}

# Made, filled and truncated in one transaction.
sub test_relations
{
	my $count = 10_000;

	create_slot($node, 'postgres', 'relations');
	run_sql($node, 'postgres', qq{DO \$\$ BEGIN FOR n IN 1 .. $count LOOP
			EXECUTE format('CREATE TABLE relation_%s (id int)', n); END LOOP;
		FOR n IN 1 .. $count LOOP EXECUTE format('INSERT INTO relation_%s VALUES (%s)', n, n); END LOOP;
		EXECUTE (SELECT 'TRUNCATE ' || string_agg('relation_' || n, ', ') FROM generate_series(1, $count) AS n); END \$\$;});
	my ($lines, $last) = count_lines(measure("$count relations", 'relations', seconds => 90, server => 1200, client => 100));
	is($lines, 2 * $count, "$count relations: a record of each insert, and of each in the truncate");
	like($last, qr/^\{"op":"truncate"/, "$count relations: in order");
	return;
}

sub test_rows
{
	my $count = 5_000_000;

	$node->safe_psql('postgres', 'CREATE TABLE rows (id int, v text)');
	create_slot($node, 'postgres', 'rows');
	run_sql($node, 'postgres', "INSERT INTO rows SELECT n, 'a value' FROM generate_series(1, $count) AS n;");
	my ($lines, $last) = count_lines(measure("$count rows", 'rows', seconds => 120, server => 800, client => 100));
	is($lines, $count, "$count rows: each is there");
	like($last, qr/"seq":$count,.*"id":$count,/, "$count rows: in order");
	unlink("$dir/rows");
	$node->safe_psql('postgres', 'DROP TABLE rows');
	return;
}

# Left out by name, as a value so large is unless it is asked for; and in the record, where it is.
sub test_value
{
	my $length = 930_000_000;

	$node->safe_psql('postgres', 'CREATE TABLE huge (id int PRIMARY KEY, body text)');
	create_slot($node, 'postgres', 'value');
	run_sql($node, 'postgres', "INSERT INTO huge SELECT 1, repeat('0123456789', $length / 10); INSERT INTO huge VALUES (2, 'small');");
	$node->safe_psql('postgres', "SELECT pg_copy_logical_replication_slot('value', 'whole')");
	my ($lines) = count_lines(my $file = measure("a value of $length bytes", 'value', seconds => 60, server => 3200, client => 100));
	like(slurp_bytes($file), qr/"after":\{"id":1\},"oversized":\["body"\]\}\n.*"body":"small"\}\}\n\z/, "a value of $length bytes is left out by name");
	$file = measure("a record of $length bytes", 'whole', seconds => 60, server => 4500, client => 3500,
		args => [ '--option=max_record_bytes=943718400' ]);
	cmp_ok(-s $file, '>', $length, "a record of $length bytes is in the file");
	my $last;
	($lines, $last) = count_lines($file);
	is($lines, 2, "a record of $length bytes: a line of its own");
	like($last, qr/"body":"small"\}\}/, 'and what comes behind it');
	return;
}

$node->stop;
done_testing();
