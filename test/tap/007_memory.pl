# Memory is bounded: flat over millions of changes and over thousands of relations touched again, given
# back after a huge value, and none is lost to errors in the SQL functions.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcTest;
use Test::More;

my $changes = $ENV{CDC_CHANGES} // 2_000_000;
my $relations = $ENV{CDC_RELATIONS} // 10_000;
my $mib = 1024 * 1024;

my $node = make_node('memory', 'logical_decoding_work_mem = 4MB', 'max_locks_per_transaction = 2000',
	'shared_buffers = 256MB');

test_many_changes();
test_many_relations();
test_huge_values();
test_sql_functions();

# memory_while(SLOT, OPTIONS, PIECES...): the walsender's memory each time that so many records have come
sub memory_while
{
	my ($slot, $options, @marks) = @_;
	my ($pid, $records) = (undef, 0);
	my @samples;

	decode_into(sub {
		my ($piece, $copy) = @_;
		$pid //= walsender_pid($node, 'postgres', $copy);
		$records += ($piece =~ tr/\n//);
		while (@marks && $records >= $marks[0])
		{
			# never at the very last record, the walsender might be gone
			push @samples, memory_of($pid);
			shift @marks;
		}
	}, $node, 'postgres', $slot, options => $options);
	return @samples;
}

sub in_mib
{
	return join(', ', map { sprintf '%.1f', $_ / $mib } @_) . ' MiB';
}

# One transaction of all, and the same in small ones: with text, numeric, an array and a jsonb in each row,
# whose writing allocates.
sub test_many_changes
{
	$node->safe_psql('postgres', q(
		CREATE TABLE t (id int, name text, amount numeric, tags text[], doc jsonb, at timestamptz, r int4range)));
	foreach my $transactions (1, 1000)
	{
		my $slot = create_slot($node, 'postgres', "changes_$transactions");
		my $each = $changes / 2 / $transactions;

		run_sql($node, 'postgres', qq{DO \$\$ BEGIN FOR n IN 1 .. $transactions LOOP
			INSERT INTO t SELECT i, 'name ' || i, i / 7.0, '{a,b}', '{"k": [1, {"x": 2.5}]}', now(), '[1,5)'
				FROM generate_series(1, $each) AS i; COMMIT; END LOOP; END \$\$;});
		my @samples = memory_while($slot, { batch_bytes => 65536 }, map { $changes / 2 * $_ } 0.1, 0.5, 0.95);
		is(scalar @samples, 3, "many changes in $transactions transactions: looked at " . in_mib(@samples));
		cmp_ok($samples[2] - $samples[0], '<', 2 * $mib, "many changes in $transactions transactions: memory is flat");
		$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('$slot')");
		$node->safe_psql('postgres', 'TRUNCATE t');
	}
	return;
}

# The first round fills the server's own caches, too; after that nothing may grow.
sub test_many_relations
{
	my $rounds = 4;

	run_sql($node, 'postgres', qq{DO \$\$ BEGIN FOR n IN 1 .. $relations LOOP
		EXECUTE format('CREATE TABLE relation_%s (id int, v text)', n);
		IF n % 500 = 0 THEN COMMIT; END IF; END LOOP; END \$\$;});
	my $slot = create_slot($node, 'postgres', 'relations');
	run_sql($node, 'postgres', qq{DO \$\$ BEGIN FOR round IN 1 .. $rounds LOOP FOR n IN 1 .. $relations LOOP
		EXECUTE format('INSERT INTO relation_%s VALUES (1, NULL)', n); END LOOP; COMMIT; END LOOP; END \$\$;});
	my @samples = memory_while($slot, { batch_bytes => 0 }, map { $relations * ($_ - 0.05) } 1 .. $rounds);
	is(scalar @samples, $rounds, "$relations relations: looked at " . in_mib(@samples));
	cmp_ok($samples[-1] - $samples[1], '<', 2 * $mib, "$relations relations: memory is flat");
	$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('$slot')");
	return;
}

# A value of 100 MB is left out of its record, by name, or is in it; either way its memory comes back.  (The
# server's own buffer for sending never shrinks: one copy of the longest message stays.)
sub test_huge_values
{
	my $slot = create_slot($node, 'postgres', 'huge');
	my $small = 100_000;
	my $insert_small = "INSERT INTO huge SELECT -1, 'x', 'y' FROM generate_series(1, $small)";

	$node->safe_psql('postgres', qq(
		CREATE TABLE huge (id int, body text, note text);
		ALTER TABLE huge REPLICA IDENTITY FULL;
		$insert_small;
		INSERT INTO huge VALUES (0, repeat('0123456789', 10000000), 'kept');
		$insert_small;
		INSERT INTO huge VALUES (1, repeat('0123456789', 10000000), 'kept');
		$insert_small));
	foreach my $options ({}, { max_record_bytes => 200 * $mib })
	{
		my $name = join(' ', 'huge value', map { "$_=$options->{$_}" } sort keys %$options);
		my $kept = ($options->{max_record_bytes} ? 100_000_000 : 0) + 20 * $mib;
		my @samples = memory_while($slot, $options, map { $small * $_ } 0.9, 1.9, 2.9);
		is(scalar @samples, 3, "$name: looked at " . in_mib(@samples));
		cmp_ok($samples[1] - $samples[0], '<', $kept, "$name: its memory comes back");
		cmp_ok($samples[2] - $samples[1], '<', 2 * $mib, "$name: another one leaves nothing more");
	}
	my ($record) = grep { /"after":\{"id":0[,}]/ } @{ read_lines(decode($node, 'postgres', $slot)) };
	like($record, qr/"after":\{"id":0,"note":"kept"\},"oversized":\["body"\]\}\z/, 'a huge value is left out by name');
	($record) = grep { /"after":\{"id":0,/ }
	  @{ read_lines(decode($node, 'postgres', $slot, options => { max_record_bytes => 200 * $mib })) };
	ok($record =~ /"body":"((?:0123456789)+)","note":"kept"\}\}\z/ && length $1 == 100_000_000,
		'a huge value is in a record that may be so long');
	$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('$slot')");
	return;
}

# In one session, statement by statement: memory and settings are looked at after a first round of each.
sub test_sql_functions
{
	my $slot = create_slot($node, 'postgres', 'functions');
	my $peek = "SELECT count(*) FROM pg_logical_slot_peek_changes('$slot', NULL, NULL";
	my $look = q(SELECT 'look', sum(total_bytes), (SELECT md5(string_agg(name || setting, ',' ORDER BY name)) FROM pg_settings
		WHERE name <> 'statement_timeout') FROM pg_backend_memory_contexts;) . "\n";
	my %failing = (
		'a bad option 1,000 times' => [ "$peek, 'framing', 'wrong');\n", 1000, qr/invalid value for option/ ],
		'an unknown option 1,000 times' => [ "$peek, 'wrong', 'x');\n", 1000, qr/unknown option/ ],
		# at one place or another: from soon after the start to the midst of it
		'timeouts in mid-decoding 50 times' => [
			join('', map { "SET statement_timeout = '${_}ms';\n$peek);\nRESET statement_timeout;\n" }
				map { $_ * 7 % 25 + 6 } 1 .. 10), 5, qr/statement timeout/, 10 ],
		'decoding 200 times' => [
			"SELECT count(*) FROM pg_logical_slot_peek_changes('repeated', NULL, NULL, 'batch_bytes', '100');\n"
			. "SELECT count(*) FROM pg_logical_slot_peek_changes('repeated', NULL, NULL);\n", 100, undef ]);

	$node->safe_psql('postgres', q(
		CREATE TYPE part AS (a int, b text[]);
		CREATE TABLE several (id int PRIMARY KEY, m money, p part, d date, i interval, r regclass);
		INSERT INTO several SELECT i, 1, ROW(1, '{x}')::part, now(), '1 day', 'several' FROM generate_series(1, 100000) AS i));
	create_slot($node, 'postgres', 'repeated');
	$node->safe_psql('postgres', "INSERT INTO several SELECT -i, 1, ROW(1, '{x}')::part FROM generate_series(1, 50) AS i");
	foreach my $name (sort keys %failing)
	{
		my ($sql, $times, $error, $calls) = @{ $failing{$name} };
		my $errors = '';
		my $output = run_sql($node, 'postgres', $sql x 3 . $look . $sql x $times . $look,
			on_error => 0, stderr => \$errors);
		my @looks = map { [ split(/\|/) ] } grep { /^look/ } split(/\n/, $output);

		is(scalar @looks, 2, "$name: the session lives") or next;
		cmp_ok($looks[1][1] - $looks[0][1], '<=', 64 * 1024, "$name: memory is flat ($looks[0][1], $looks[1][1])");
		is($looks[1][2], $looks[0][2], "$name: settings are as they were");
		my $failed = () = $errors =~ /ERROR: /g;
		if ($error)
		{
			is($failed, ($times + 3) * ($calls // 1), "$name: each call fails");
			like($errors, $error, "$name: for the reason that was meant");
		}
		else
		{
			is($errors, '', "$name: no call fails");
		}
	}
	$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('$slot')");
	return;
}

$node->stop;
done_testing();
