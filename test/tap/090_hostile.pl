# What nobody should send, and what may go wrong on a server: every byte in names, options of all kinds, slots
# and libraries that are not what they should be, a slot that was lost.  The server never crashes, other
# sessions go on, and what is wrong is said.
use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use CdcTypes;
use Encode ();
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;

my $node = make_node('hostile', 'min_wal_size = 32MB', 'wal_sender_timeout = 10s');
my $dir = PostgreSQL::Test::Utils::tempdir();
my $seed = seed_random('random');

$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY)');
test_names('UTF8', map { chr } 1 .. 0x17f);
test_names('LATIN1', map { chr } 1 .. 0xff);
test_names('SQL_ASCII', map { chr } 1 .. 0xff);
test_options();
test_wrong_slots();
test_library();
test_extension();
test_lost_slot();
check_health('at last');

sub check_health
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is($node->safe_psql('postgres', 'SELECT 1'), '1', "$name: other sessions go on");
	unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC:|server process .* exited with exit code 2/, "$name: no process has crashed");
	return;
}

# ------------------------------------------------------------------------------------------------
# Names
# ------------------------------------------------------------------------------------------------

# Each character in the name of a schema, table, column, attribute and enum label, several in each name.
sub test_names
{
	my ($encoding, @characters) = @_;
	my $db = lc($encoding);
	# bytes as they are in the database, and what we say of those that are no UTF-8
	my $as_bytes = sub { $encoding eq 'UTF8' ? Encode::encode('UTF-8', $_[0]) : Encode::encode('ISO-8859-1', $_[0]) };
	my ($sql, @expected) = ('');

	$node->safe_psql('postgres', "CREATE DATABASE $db TEMPLATE template0 ENCODING '$encoding' LC_COLLATE 'C' LC_CTYPE 'C'");
	create_slot($node, $db, "names_$db");
	while (my @some = splice(@characters, 0, 12))
	{
		my $name = join('', @some);
		my $n = @expected;
		my ($label, $quoted, $type) = (quote_text("l$name"), quote_name("n$n$name"), quote_name("t$n$name"));

		$sql .= "CREATE SCHEMA $quoted; CREATE TYPE $quoted.$type AS ENUM ($label);\n"
		  . "CREATE TYPE $quoted.composite AS ($quoted int);\n"
		  . "CREATE TABLE $quoted.$quoted ($quoted int PRIMARY KEY, e $quoted.$type, c $quoted.composite);\n"
		  . "INSERT INTO $quoted.$quoted VALUES ($n, $label, ROW(1));\n";
		push @expected, $name;
	}
	run_sql($node, $db, $as_bytes->($sql), client_encoding => $encoding);
	my @lines = @{ read_lines(decode($node, $db, "names_$db", options => { framing => 'lines' })) };
	is(scalar @lines, scalar @expected, "$encoding: a record for each name");
	my $wrong = 0;
	foreach my $n (0 .. $#lines)
	{
		my $record = eval { JSON::PP->new->utf8->decode($lines[$n]) };
		# a byte that is no UTF-8 is U+FFFD where nothing says what it is
		my $name = $encoding eq 'SQL_ASCII' ? $expected[$n] =~ s/[\x80-\xff]/\x{fffd}/gr : $expected[$n];
		my $quoted = "n$n$name";
		next if $record && $record->{schema} eq $quoted && $record->{table} eq $quoted && $record->{key}{$quoted} == $n
		  && $record->{after}{$quoted} == $n && $record->{after}{e} eq "l$name" && $record->{after}{c}{$quoted} == 1;
		diag("$encoding: $lines[$n]") unless $wrong++;
	}
	is($wrong, 0, "$encoding: every name is what it is");
	$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('names_$db')");
	return;
}

# ------------------------------------------------------------------------------------------------
# Options
# ------------------------------------------------------------------------------------------------

sub random_option_value
{
	my @words = ('on', 'off', '1', '0', '-1', '', ' ', 'cdc', 'frames', 'lines', 'NaN', '99999999999999999999', '2147483648', '1e9', '0x10',
		'a,b', ',', 'string', 'all', 'none', '*', '%s%n', "\x{1F600}", 'x' x 5000, '"', '"a', "'", '\\', "a\nb", '64MB', '{', '[]', 'NULL');
	my $value = join('', map { pick(@words) } 1 .. between(1, 2));

	substr($value, between(0, length($value) - 1), 1) = chr(between(1, 255)) if length $value && chance(3);
	return $value;
}

# Thousands of calls in one session: each succeeds or fails with an error of ours, and the session goes on.
sub test_options
{
	my ($calls, $sql) = (3000, '');
	my @names = qw(protocol_version format framing batch_bytes source delete numeric bigint binary generated_columns messages
		message_prefixes origin publication_names pipeline transaction_records max_record_bytes schemas ddl include_xids format_version
		include-xids include-types add-tables filter-tables pretty-print);
	my $errors = '';
	my $look = "SELECT 'memory', sum(total_bytes) FROM pg_backend_memory_contexts;\n";

	create_slot($node, 'postgres', 'options');
	$node->safe_psql('postgres', 'INSERT INTO t VALUES (1)');
	foreach my $call (1 .. $calls)
	{
		my $options = join('', map { ', ' . quote_option(chance(6) ? random_option_value() : pick(@names)) . ', ' . quote_option(random_option_value()) }
			1 .. between(1, 4));
		$sql .= $look if $call == $calls / 3;
		$sql .= "SELECT count(*) FROM pg_logical_slot_peek_binary_changes('options', NULL, NULL$options);\n";
	}
	my $output = run_sql($node, 'postgres', Encode::encode('UTF-8', "SET client_encoding = 'UTF8';\n$sql$look"), on_error => 0, stderr => \$errors);
	my @memory = map { /^memory\|(\d+)/ ? $1 : () } split(/\n/, $output);
	is(scalar @memory, 2, "$calls random options: the session lives") or diag(substr($errors, -2000));
	my $failed = () = $errors =~ /ERROR: /g;
	my $succeeded = () = $output =~ /^\d+$/mg;
	is($failed + $succeeded, $calls, "$calls random options: each call succeeds or fails ($succeeded, $failed)");
	cmp_ok($succeeded, '>', 10, 'some succeed');
	my @strange = grep { !/option|output plugin produces|invalid byte sequence|syntax error|pipeline/ } $errors =~ /ERROR:  (.*)/g;
	is(scalar @strange, 0, 'those that fail say which option it is') or diag(join("\n", @strange[ 0 .. ($#strange > 5 ? 5 : $#strange) ]));
	cmp_ok($memory[1] - $memory[0], '<', 256 * 1024, "memory is flat (@memory)");
	check_health('options');
	$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('options')");
	return;
}

sub quote_option
{
	my ($text) = @_;
	return 'E' . quote_text($text =~ s/\\/\\\\/gr);
}

# ------------------------------------------------------------------------------------------------
# Slots and libraries
# ------------------------------------------------------------------------------------------------

# The client ends at once, not at some limit, and says what it is.
sub client_refuses
{
	my ($name, $slot, $code, $pattern, %more) = @_;
	my ($status, $log) = run_client(conninfo($node, $more{db} // 'postgres'), $slot, "file://$dir/$slot", '--until=now', @{ $more{args} // [] });

	is($status, $code, "$name: exit code $code") or diag($log);
	like($log, $pattern, "$name: is said");
	return;
}

sub test_wrong_slots
{
	$node->safe_psql('postgres', "SELECT pg_create_logical_replication_slot('theirs', 'pgoutput'), pg_create_physical_replication_slot('physical', true)");
	create_slot($node, 'utf8', 'elsewhere');
	create_slot($node, 'postgres', 'plain');
	client_refuses('a slot of another plugin', 'theirs', 1, qr/ERROR .*"theirs".*pgoutput/);
	client_refuses('a physical slot', 'physical', 1, qr/ERROR .*"physical"/);
	client_refuses('a slot of another database', 'elsewhere', 1, qr/ERROR .*"elsewhere".*utf8/);
	client_refuses('a slot that is not there', 'nothing', 2, qr/ERROR .*"nothing"/);
	foreach my $version (0, 2, 99)
	{
		like(decode_fails($node, 'postgres', 'plain', options => { protocol_version => $version }), qr/protocol_version.*"?$version/s, "protocol_version $version is refused");
	}
	$node->safe_psql('postgres', "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name <> 'plain'");
	check_health('wrong slots');
	return;
}

# Gone while the slot is there: the slot stays where it is, and goes on once the library is back.
sub test_library
{
	my $path = $node->safe_psql('postgres', 'SHOW dynamic_library_path');

	$node->safe_psql('postgres', 'INSERT INTO t VALUES (2)');
	$node->safe_psql('postgres', "ALTER SYSTEM SET dynamic_library_path = '/nonexistent'");
	$node->restart;
	client_refuses('no library', 'plain', 1, qr/could not access file "cdc_decoder".*\n.*HINT .*make install/);
	$node->safe_psql('postgres', "ALTER SYSTEM RESET dynamic_library_path");
	$node->restart;
	is($node->safe_psql('postgres', 'SHOW dynamic_library_path'), $path, 'the library is back');
	my ($status, $log) = run_client(conninfo($node, 'postgres'), 'plain', "file://$dir/plain", '--until=now');
	is($status, 0, 'and the slot goes on') or diag($log);
	like(slurp_bytes("$dir/plain"), qr/"after":\{"id":2\}/, 'with what was missed');
	return;
}

# The extension goes while its pipeline is streamed.
sub test_extension
{
	my $out = "$dir/extension";

	$node->safe_psql('postgres', q(CREATE EXTENSION cdc_decoder; SELECT cdc.create_pipeline('p');
		CREATE TABLE secret (a int PRIMARY KEY, b text); SELECT cdc.drop_column('p', 'secret', 'b')));
	my $client = start_client(conninfo($node, 'postgres'), 'extension', "file://$out", args => [ '--create-slot', '--commit-interval=20ms', '--option=pipeline=p' ]);
	wait_until('the slot', sub { $node->safe_psql('postgres', "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'extension' AND active") eq '1' });
	$node->safe_psql('postgres', "INSERT INTO secret VALUES (1, 'hidden')");
	wait_until('the record', sub { -e $out && slurp_bytes($out) =~ /"a":1/ });
	my ($status, undef, $stderr) = $node->psql('postgres', 'DROP EXTENSION cdc_decoder');
	isnt($status, 0, 'DROP EXTENSION is refused while a slot may need it');
	like($stderr, qr/slot/, 'for that reason');
	$node->safe_psql('postgres', "SET cdc.drop_with_slots = on; DROP EXTENSION cdc_decoder; INSERT INTO secret VALUES (2, 'hidden'); INSERT INTO t VALUES (3)");
	# changes are not sent as they are where the rules that changed them have gone
	$status = wait_client($client);
	is($status, 1, 'the client ends: exit code 1');
	like(client_log($client), qr/ERROR .*pipeline "p" was dropped at this place in the WAL.*\n.*\n.*HINT /, 'and says why');
	unlike(slurp_bytes($out), qr/hidden/, 'what its rules hid stays hidden');
	check_health('DROP EXTENSION');
	$node->poll_query_until('postgres', "SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'extension'");
	$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('extension')");
	return;
}

# Behind more WAL than max_slot_wal_keep_size.
sub test_lost_slot
{
	create_slot($node, 'postgres', 'lost');
	$node->safe_psql('postgres', "ALTER SYSTEM SET max_slot_wal_keep_size = '16MB'");
	$node->reload;
	$node->safe_psql('postgres', 'INSERT INTO t VALUES (10)');
	foreach (1 .. 6)
	{
		$node->safe_psql('postgres', "SELECT pg_switch_wal(); INSERT INTO t SELECT max(id) + 1 FROM t; CHECKPOINT");
	}
	is($node->safe_psql('postgres', "SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'lost'"), 'lost', 'the slot is lost');
	client_refuses('a lost slot', 'lost', 2, qr/ERROR .*"lost".*(?:\n.*)*HINT /);
	$node->safe_psql('postgres', 'ALTER SYSTEM RESET max_slot_wal_keep_size');
	$node->reload;
	return;
}

$node->stop;
done_testing();
