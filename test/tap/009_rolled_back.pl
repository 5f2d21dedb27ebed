# Transactions that were rolled back leave nothing in the stream and do not stop it, however large.  (PostgreSQL
# 18 notices while spilling that a transaction has been rolled back, drops its changes, and then calls
# for its subtransactions a callback of streaming, whether or not the plugin streams.)
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcTest;
use Test::More;

my $node = make_node('rolled_back', 'logical_decoding_work_mem = 64kB', 'max_prepared_transactions = 10');

$node->safe_psql('postgres', 'CREATE TABLE t (id int, v text)');
my $insert = "INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 2000) AS i;";
my %rolled_back = (
	'a plain transaction' => "BEGIN; $insert ROLLBACK;",
	'subtransactions' => "BEGIN; $insert SAVEPOINT a; $insert RELEASE a; SAVEPOINT b; $insert SAVEPOINT c; $insert ROLLBACK;",
	'a small subtransaction of a large transaction' =>
	  "BEGIN; SAVEPOINT a; INSERT INTO t VALUES (1, 'small'); RELEASE a; $insert ROLLBACK;",
	'a small subtransaction that is rolled back before' =>
	  "BEGIN; SAVEPOINT a; INSERT INTO t VALUES (1, 'small'); ROLLBACK TO a; $insert ROLLBACK;",
	'a subtransaction only' => "BEGIN; SAVEPOINT a; $insert ROLLBACK TO a; INSERT INTO t VALUES (-1, 'kept'); COMMIT;",
	'subtransactions without changes of the top' => "BEGIN; SAVEPOINT a; $insert SAVEPOINT b; $insert ROLLBACK;",
	'a prepared transaction' => "BEGIN; SAVEPOINT a; $insert PREPARE TRANSACTION 'p'; ROLLBACK PREPARED 'p';",
	'a transaction whose session ends' => "BEGIN; $insert SAVEPOINT a; $insert SELECT pg_terminate_backend(pg_backend_pid());");

foreach my $name (sort keys %rolled_back)
{
	# a slot for each, so that one that sticks stays alone
	create_slot($node, 'postgres', 'source');
	run_sql($node, 'postgres', $rolled_back{$name}, on_error => 0) unless $name =~ /session ends/;
	$node->psql('postgres', $rolled_back{$name}) if $name =~ /session ends/;
	$node->safe_psql('postgres', "INSERT INTO t VALUES (0, 'after it')");
	# (the copy of a slot on which decoding failed stays behind; there is room for it)
	my $file = eval { decode($node, 'postgres', 'source') };
	ok($file, "$name, rolled back: the stream goes on") or diag($@);
	my $lines = $file ? read_lines($file) : [];
	my $expected = $name eq 'a subtransaction only' ? 'kept,after it' : 'after it';
	is(join(',', map { /"v":"([^"]*)"/ } @$lines), $expected, "$name, rolled back: nothing of it is in the stream");
	$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('source')");
}

$node->stop;
done_testing();
