# The same WAL gives the same bytes: under any settings, by walsender and SQL function, by lines and
# frames, in batches of any size.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcFrames;
use CdcTest;
use CdcTypes;
use Encode qw(encode_utf8);
use JSON::PP;
use POSIX qw(strftime);
use Test::More;

my $json = JSON::PP->new->utf8->canonical->allow_nonref;

# What a walsender's session may have set.  (Values have no spaces, PGOPTIONS would need them escaped.)
my @sessions = (
	{ DateStyle => 'SQL,DMY', IntervalStyle => 'sql_standard', TimeZone => 'Asia/Kathmandu', extra_float_digits => -15,
		bytea_output => 'escape', search_path => 'nowhere', xmlbinary => 'hex', xmloption => 'document',
		quote_all_identifiers => 'on' },
	{ DateStyle => 'German,MDY', IntervalStyle => 'postgres_verbose', TimeZone => 'America/St_Johns',
		extra_float_digits => 3, array_nulls => 'off', standard_conforming_strings => 'off',
		search_path => 'pg_temp,public', lc_monetary => 'POSIX', lc_numeric => 'POSIX',
		default_transaction_isolation => 'serializable', default_transaction_read_only => 'on' },
	{ DateStyle => 'Postgres,YMD', IntervalStyle => 'iso_8601', TimeZone => 'UTC', extra_float_digits => 0,
		client_encoding => 'LATIN1', session_replication_role => 'replica', logical_decoding_work_mem => '64kB',
		work_mem => '64kB', enable_seqscan => 'off', default_text_search_config => 'pg_catalog.simple',
		row_security => 'off', jit => 'off' });

my $node = make_node('same_bytes');
# 19 has no other strings than conforming ones
delete $_->{standard_conforming_strings} foreach $node->safe_psql('postgres', 'SHOW server_version_num') < 190000 ? () : @sessions;
seed_random(2);
make_workload();

my $lines = decode($node, 'postgres', 'source', options => { transaction_records => 'on' });
my $plain = decode($node, 'postgres', 'source');
cmp_ok(scalar @{ read_lines($lines) }, '>', 1000, 'the workload gives records');
same_files('decoded again', $lines, decode($node, 'postgres', 'source', options => { transaction_records => 'on' }));

foreach my $session (@sessions)
{
	my @names = sort keys %$session;
	my $options = join(' ', map { "-c $_=$session->{$_}" } @names);
	same_files("walsender with $options", $plain, decode($node, 'postgres', 'source', pgoptions => $options));

	# the result of a query is converted to the client's encoding, the stream is not
	my $settings = join('', map { "SET $_ = '$session->{$_}';\n" } grep { !/client_encoding|search_path/ } @names);
	same_files("SQL function, the same settings", $plain,
		decode_by_sql($node, 'postgres', 'source', settings => $settings . "SET search_path = nowhere;\n"));
}

foreach my $batch (0, 1, 300, 65536, 16 * 1024 * 1024)
{
	my %options = (batch_bytes => $batch, transaction_records => 'on');
	same_files("lines, batch_bytes=$batch", $lines, decode($node, 'postgres', 'source', options => \%options));
	check_frames("frames, batch_bytes=$batch",
		decode($node, 'postgres', 'source', options => { %options, framing => 'frames' }), $lines);
}
same_files('lines in batches by SQL function', $lines, decode_by_sql($node, 'postgres', 'source',
	options => { batch_bytes => 1000, transaction_records => 'on' }));
check_frames('frames by SQL function', decode_by_sql($node, 'postgres', 'source', options => { framing => 'frames' }),
	$plain);
check_frames('frames without transaction records',
	decode($node, 'postgres', 'source', options => { framing => 'frames' }), $plain);

# Every type's rows, all replica identities, changed keys, TOAST, messages, truncate, rolled back savepoints.
sub make_workload
{
	my @leaves = leaf_types();
	my @ddl = ("SET client_encoding = 'UTF8';\n", qq(CREATE SCHEMA "odd "" schema"; CREATE TABLE "odd "" schema"."Ta\\ble" (
		"Quo""te" int, "é" text, body text, note text, PRIMARY KEY ("é", "Quo""te"));\n));
	my @changes = ("SET client_encoding = 'UTF8';\n");
	my $n = 0;
	my @columns = map { 'c' . ++$n . " $_->{name}" } @leaves;

	push @ddl, 'CREATE TABLE everything (id int PRIMARY KEY, ' . join(', ', @columns) . ");\n",
	  "CREATE TABLE entire (a int, b text); ALTER TABLE entire REPLICA IDENTITY FULL;\n",
	  "CREATE TABLE entire_with_key (b text, a int PRIMARY KEY, body text);\n",
	  "ALTER TABLE entire_with_key REPLICA IDENTITY FULL; ALTER TABLE entire_with_key ALTER body SET STORAGE EXTERNAL;\n",
	  "CREATE TABLE by_index (a int, b text NOT NULL); CREATE UNIQUE INDEX by_b ON by_index (b);\n",
	  "ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_b;\n",
	  "CREATE TABLE bare (a int, b float8); ALTER TABLE bare REPLICA IDENTITY NOTHING;\n";
	run_sql($node, 'postgres', encode_utf8(join('', @ddl)));
	create_slot($node, 'postgres', 'source');

	foreach my $id (1 .. 60)
	{
		push @changes, "INSERT INTO everything VALUES (" . join(', ', $id, map { random_value($_) } @leaves) . ");\n";
	}
	push @changes, "UPDATE everything SET id = id + 100 WHERE id % 2 = 0;\n";
	foreach my $table ('entire (a, b)', 'entire_with_key (a, b)', 'by_index (a, b)', 'bare (a, b)')
	{
		my $b = $table =~ /bare/ ? 'i / 3.0' : q('text "' || i);
		my ($name) = split(/ /, $table);
		my $key = $table =~ /by_index/ ? q(b = b || '!') : 'a = -a';
		push @changes, "BEGIN; INSERT INTO $table SELECT i, $b FROM generate_series(1, 100) AS i; SAVEPOINT s;\n",
		  "UPDATE $name SET a = a + 5000; ROLLBACK TO s; UPDATE $name SET $key WHERE a % 3 = 0;\n",
		  "UPDATE $name SET a = a WHERE a % 5 = 0; DELETE FROM $name WHERE a % 7 = 0;\n",
		  "SELECT pg_logical_emit_message(true, 'in \"$name\"', 'content é \\');\n",
		  "SELECT pg_logical_emit_message(false, 'out of it', '\\x00ff'::bytea); COMMIT;\n";
	}
	push @changes, <<'SQL';
INSERT INTO "odd "" schema"."Ta\ble" SELECT i, 'é"' || i, (SELECT string_agg(md5(j::text), '') FROM generate_series(1, 300) AS j), 'n'
	FROM generate_series(1, 50) AS i;
UPDATE "odd "" schema"."Ta\ble" SET note = 'changed';
UPDATE "odd "" schema"."Ta\ble" SET "Quo""te" = -"Quo""te", "é" = "é" || '\' WHERE "Quo""te" > 25;
UPDATE entire_with_key SET body = (SELECT string_agg(md5(j::text), '') FROM generate_series(1, 300) AS j) WHERE a < 20;
UPDATE entire_with_key SET b = 'x', a = a + 1000 WHERE a < 20;
SELECT pg_logical_emit_message(false, 'alone', '');
TRUNCATE entire, by_index, "odd "" schema"."Ta\ble";
DELETE FROM everything WHERE id > 130;
SQL
	run_sql($node, 'postgres', encode_utf8(join('', @changes)));
	return;
}

# The text of a record's time, from the header's microseconds since 2000.
sub time_text
{
	my ($time) = @_;
	return strftime('%Y-%m-%dT%H:%M:%S', gmtime(946684800 + int($time / 1000000)))
	  . sprintf('.%06dZ', $time % 1000000);
}

# The members of before that are in the key, as the key's text.
sub old_key_of
{
	my ($record) = @_;
	my $key = $record->{key};

	return undef unless $key && $record->{before} && $record->{op} eq 'update';
	my %old = map { $_ => $record->{before}{$_} } keys %$key;
	return $json->encode(\%old) eq $json->encode($key) ? undef : $json->encode(\%old);
}

# check_frames(NAME, FRAMES, LINES): all that a header says is in the record, and the records are the lines
sub check_frames
{
	my ($name, $frames, $expected) = @_;
	my $messages = eval { read_frames($frames) };
	my $records = output_file('out');
	my @found;
	my %wrong;
	my %relations;
	my $open;
	my $last_seq = 0;
	my ($keys, $old_keys) = (0, 0);

	ok($messages, "$name: every byte is as the protocol has it") or return diag($@);
	foreach my $message (@$messages)
	{
		$wrong{'a message within another transaction'}++ if $open && $open->{commit_lsn} != $message->{commit_lsn};
		$wrong{'end_lsn before commit_lsn'}++ if $message->{end_lsn} < $message->{commit_lsn};
		$wrong{'timeline'}++ if $message->{timeline} != 1;
		foreach my $frame (@{ $message->{frames} })
		{
			if ($frame->{kind} eq 'R')
			{
				my ($schema, $table, $target) = unpack('n/a n/a n/a', $frame->{payload});
				$relations{ $frame->{relation} } = [ $schema, $table ];
				$wrong{'a target'}++ if $target ne '';
				next;
			}
			$open = $message;
			push @found, $frame->{payload} if $frame->{payload} ne '';
			if ($frame->{kind} eq 'C')
			{
				$wrong{'seq of a commit frame'}++
				  if $frame->{seq} != ($message->{transactional} ? $last_seq + 1 : 0);
				($open, $last_seq) = (undef, 0);
			}
			$last_seq = $frame->{seq} if $frame->{kind} eq 'D';
			next if $frame->{payload} eq '';
			my $record = $json->decode($frame->{payload});
			$wrong{'op'}++ if substr($record->{op}, 0, 1) ne $frame->{op};
			$wrong{'commit_lsn'}++ if $record->{commit_lsn} ne lsn_text($message->{commit_lsn});
			$wrong{'seq'}++ if $record->{seq} != $frame->{seq};
			$wrong{'part'}++ if ($record->{part} // 0) != $frame->{part};
			$wrong{'xid'}++ if ($record->{xid} // 0) != $message->{xid};
			$wrong{'time'}++ if ($record->{ts} // '') ne ($message->{time} ? time_text($message->{time}) : '');
			if (defined $record->{table})
			{
				my $relation = $relations{ $frame->{relation} };
				my $names = join("\n", @$record{qw(schema table)});
				utf8::encode($names);
				$wrong{'relation'}++ if !$relation || join("\n", @$relation) ne $names;
			}
			elsif ($frame->{relation} != 0)
			{
				$wrong{'a relation where there is none'}++;
			}
			if ($record->{key})
			{
				$keys++;
				$wrong{'key'}++ if !defined $frame->{key} || !$frame->{key_is_inside}
				  || $json->encode($json->decode($frame->{key})) ne $json->encode($record->{key});
			}
			elsif (defined $frame->{key})
			{
				$wrong{'a key where there is none'}++;
			}
			my $old_key = old_key_of($record);
			$old_keys++ if defined $old_key;
			$wrong{'old key'}++
			  if ($old_key // '') ne (defined $frame->{old_key} ? $json->encode($json->decode($frame->{old_key})) : '');
		}
	}
	$wrong{'no commit frame at the end'}++ if $open;
	is(join(', ', map { "$_ ($wrong{$_})" } sort keys %wrong), '', "$name: headers say what the records say");
	cmp_ok($keys, '>', 200, "$name: keys were compared");
	cmp_ok($old_keys, '>', 50, "$name: old keys were compared");
	PostgreSQL::Test::Utils::append_to_file($records, join('', map { "$_\n" } @found));
	same_files("$name: payloads are the lines", $expected, $records);
	return;
}

$node->stop;
done_testing();
