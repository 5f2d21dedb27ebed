# Lookups in their surroundings, through a walsender: fed by logical replication, kept by dumps, added and used in
# one transaction while a stream runs, and when what they need is gone.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcTest;
use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;

my $json = JSON::PP->new;
my %options = (pipeline => 'p');
my $node = make_node('life', 'max_logical_replication_workers = 4');
my $version = $node->safe_psql('postgres', 'SHOW server_version_num');

test_subscriber();
test_dump();
test_one_transaction();
test_gone();
test_generated();
$node->stop;
done_testing();

# A database with users, orders that look up in them, and a slot of its name.
sub make_shop
{
	my ($db) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql($db, q(
		CREATE EXTENSION cdc_decoder;
		CREATE TABLE users (id int PRIMARY KEY, email text, bio text);
		CREATE TABLE orders (id serial PRIMARY KEY, user_id int);
		INSERT INTO users VALUES (1, 'one', 'short'), (2, 'two', (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 1000) i));
		SELECT cdc.create_pipeline('p');
		SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', '{"email": "email", "bio": "bio"}');));
	create_slot($node, $db, $db);
	return $db;
}

# The looked-up members of the orders in a slot, decoded twice.
sub looked_up
{
	my ($db, $slot, %more) = @_;
	my $file = decode($node, $db, $slot, options => { %options, %more });

	same_files("$slot: the same twice", $file, decode($node, $db, $slot, options => { %options, %more }));
	return [ map {
		my $after = $_->{after};
		join(' ', $after->{user_id} // 'none', $after->{email} // 'null', length($after->{bio} // ''), @{ $_->{errors} // [] })
	} grep { $_->{table} eq 'orders' && $_->{after} } map { $json->decode($_) } @{ read_lines($file) } ];
}

# A subscription's worker writes the reference: its triggers are fired there, too.
sub test_subscriber
{
	my $db = make_shop('subscriber');
	$node->safe_psql('postgres', 'CREATE DATABASE publisher');
	$node->safe_psql('publisher', q(
		CREATE TABLE users (id int PRIMARY KEY, email text, bio text);
		CREATE PUBLICATION users FOR TABLE users;));
	$node->safe_psql('publisher', q(SELECT pg_create_logical_replication_slot('subscription', 'pgoutput')));
	my $connection = $node->connstr('publisher');
	$node->safe_psql($db, qq(CREATE SUBSCRIPTION subscription CONNECTION \$\$$connection\$\$ PUBLICATION users
		WITH (create_slot = false, slot_name = 'subscription', copy_data = false)));
	$node->safe_psql('publisher', q(INSERT INTO users VALUES (3, 'three', repeat('x', 100000)), (4, 'four', NULL)));
	$node->wait_for_catchup('subscription');
	$node->safe_psql($db, 'INSERT INTO orders (user_id) VALUES (1), (3), (4)');
	$node->safe_psql('publisher', q(UPDATE users SET email = 'trois', id = 5 WHERE id = 3; DELETE FROM users WHERE id = 4));
	$node->wait_for_catchup('subscription');
	$node->safe_psql($db, 'INSERT INTO orders (user_id) VALUES (3), (4), (5)');
	$node->safe_psql('publisher', q(TRUNCATE users; INSERT INTO users VALUES (6, 'six', 'bio')));
	$node->wait_for_catchup('subscription');
	$node->safe_psql($db, 'INSERT INTO orders (user_id) VALUES (1), (5), (6)');
	is_deeply(looked_up($db, $db),
		[ '1 one 5', '3 three 100000', '4 four 0', '3 null 0', '4 null 0', '5 trois 100000', '1 null 0', '5 null 0', '6 six 3' ],
		'a reference that a subscription feeds');
	$node->safe_psql($db, q(DROP SUBSCRIPTION subscription));
	return;
}

# Dumped and restored: rows, triggers and rules; what was released is left to be dropped.
sub test_dump
{
	my $db = make_shop('dumped');
	$node->safe_psql($db, q(
		SELECT cdc.add_lookup('p', 'orders', '{id}', 'users', '{id}', '{"released": "email"}');
		SELECT cdc.remove_rule('p', 'orders', 'lookup', 'released');
		INSERT INTO orders (user_id) VALUES (2);));
	my $document = $node->safe_psql($db, q(SELECT cdc.export_pipeline('p')));
	foreach my $format ('plain', 'custom')
	{
		my $copy = "copy_$format";
		my $file = output_file('dump');
		$node->safe_psql('postgres', "CREATE DATABASE $copy");
		$node->command_ok([ 'pg_dump', '-F', $format, '-f', $file, '-d', $node->connstr($db) ], "dumped, $format");
		$node->command_ok(
			$format eq 'plain'
			? [ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($copy), '-f', $file ]
			: [ 'pg_restore', '--exit-on-error', '-d', $node->connstr($copy), $file ],
			"restored, $format");
		is($node->safe_psql($copy, q(SELECT cdc.export_pipeline('p'))), $document, "$format: the pipeline");
		create_slot($node, $copy, $copy);
		$node->safe_psql($copy, q(
			INSERT INTO orders (user_id) VALUES (1), (2);
			UPDATE users SET email = 'deux' WHERE id = 2;
			INSERT INTO orders (user_id) VALUES (2);
			UPDATE users SET bio = 'shorter' WHERE id = 2;
			INSERT INTO orders (user_id) VALUES (2);));
		is_deeply(looked_up($copy, $copy), [ '1 one 5', '2 two 32000', '2 deux 32000', '2 deux 7' ], "$format: looked up in what was restored");
		$node->safe_psql($copy, 'SELECT cdc.drop_unused_lookups()');
		$node->safe_psql($copy, "SELECT pg_drop_replication_slot('$copy')");
		$node->safe_psql($copy, 'SELECT cdc.drop_unused_lookups()');
		$node->safe_psql($copy, 'SELECT cdc.drop_unused_lookups()');
		is($node->safe_psql($copy, q(SELECT string_agg(relname, ' ') FROM pg_class WHERE relname LIKE 'lookup\_%' AND relkind = 'r')),
			'lookup_1', "$format: what was not used is dropped, what is used stays");
	}
	return;
}

# A lookup added, and used for a change of its reference, in one transaction.  A stream that follows closely comes to its
# commit before others see the new table: here, since a synchronous standby keeps the commit from ending.
sub test_one_transaction
{
	my $db = make_shop('at_once');
	my $file = output_file('running');
	my ($archive, $sql) = (output_file('wal'), output_file('sql'));

	mkdir $archive;
	$node->safe_psql($db, q(SELECT pg_copy_logical_replication_slot('at_once', 'running')));
	my $stream = start('pg_recvlogical', '-d', $node->connstr($db), '-S', 'running', '--start', '--no-loop', '-f', $file, '-s', '1', slot_options(%options));
	my $standby = start('pg_receivewal', '-d', $node->connstr('postgres') . ' application_name=slow', '--synchronous', '--no-loop', '-D', $archive);
	$node->poll_query_until('postgres', q(SELECT count(*) = 1 FROM pg_stat_replication WHERE application_name = 'slow' AND state = 'streaming')) or die 'no standby';
	$node->safe_psql('postgres', q(ALTER SYSTEM SET synchronous_standby_names = 'slow'));
	$node->reload;
	$node->poll_query_until('postgres', q(SELECT sync_state = 'sync' FROM pg_stat_replication WHERE application_name = 'slow')) or die 'no synchronous standby';

	$standby->{handle}->signal('STOP');
	append_to_file($sql, q(
		BEGIN;
		CREATE TABLE others (id int PRIMARY KEY, email text);
		INSERT INTO others VALUES (1, 'before');
		SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'others', '{id}', '{"bio": "id", "email": "email"}');
		INSERT INTO orders (user_id) VALUES (1), (2);
		UPDATE others SET email = 'after';
		INSERT INTO others VALUES (2, 'inserted');
		INSERT INTO orders (user_id) VALUES (1), (2);
		COMMIT;));
	my $writer = start('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($db), '-f', $sql);
	ok($node->poll_query_until('postgres', q(SELECT count(*) = 2 FROM pg_stat_activity
		WHERE wait_event = 'SyncRep' OR (backend_type = 'walsender' AND wait_event = 'Extension'))), 'a commit waits for its standby, and the stream for the commit');
	$standby->{handle}->signal('CONT');
	ok($writer->{handle}->finish, 'it goes on') or diag(${ $writer->{stderr} });
	$node->safe_psql('postgres', 'ALTER SYSTEM RESET synchronous_standby_names');
	$node->reload;
	$standby->{handle}->signal('INT');
	$standby->{handle}->finish;

	my $end = endpos($node);
	$node->poll_query_until($db, "SELECT confirmed_flush_lsn >= '$end' FROM pg_replication_slots WHERE slot_name = 'running'")
	  or die 'the stream does not come to the end: ' . ${ $stream->{stderr} };
	$stream->{handle}->signal('INT');
	$stream->{handle}->finish;
	unlike(${ $stream->{stderr} }, qr/ERROR:/, 'the stream has no error');
	is_deeply(looked_up($db, $db), [ '1 before 1', '2 null 0', '1 after 1', '2 inserted 1' ], 'it is looked up in what was just made');
	same_files('and was in the running stream', decode($node, $db, $db, options => \%options, endpos => $end), $file);
	return;
}

sub start
{
	my ($program, @arguments) = @_;
	my ($stdout, $stderr) = ('', '');
	local %ENV = $node->_get_env();
	my $handle = IPC::Run::start([ $node->installed_command($program), @arguments ],
		'<', \undef, '>', \$stdout, '2>', \$stderr, IPC::Run::timeout($CdcTest::timeout));

	return { handle => $handle, stderr => \$stderr };
}

# Gone: by a superuser who says that no slot needs it, which is not so.
sub test_gone
{
	my $db = make_shop('gone');
	$node->safe_psql($db, q(
		UPDATE users SET email = 'uno' WHERE id = 1;
		SELECT pg_replication_slot_advance('gone', pg_current_wal_lsn());
		INSERT INTO orders (user_id) SELECT 1 + i % 3 FROM generate_series(1, 60000) i;
		SELECT cdc.remove_rule('p', 'orders', 'lookup', 'email');
		INSERT INTO orders (user_id) VALUES (1);
		SELECT cdc.remove_rule('p', 'orders', 'lookup', 'bio');
		INSERT INTO orders (user_id) VALUES (2);));
	my ($code, undef, $error) = $node->psql($db, 'DROP TABLE cdc.lookup_1');
	like($error, qr/cannot be dropped while there are logical replication slots/, 'a shadow is not dropped as it is');
	$node->safe_psql($db, 'SET cdc.drop_with_slots = on; DROP TABLE cdc.lookup_1');
	my $found = looked_up($db, $db);
	is(scalar @$found, 60002, 'the slot goes on where it is dropped all the same');
	is(scalar(grep { /^\d null 0 bio email$/ } @$found), 60000, 'with null members named in errors');
	is_deeply([ @$found[ -2, -1 ] ], [ '1 null 0 bio', '2 null 0' ], 'until the rules end');
	# the walsender's memory does not grow with each of them
	my ($first, $last);
	decode_into(
		sub {
			my ($piece, $slot) = @_;
			my $pid = walsender_pid($node, $db, $slot) or return;
			my $memory = eval { memory_of($pid) } or return;
			$first //= $memory;
			$last = $memory;
		},
		$node, $db, $db, options => { %options, batch_bytes => 0 });
	ok(defined $first && $last - $first < 32 * 1024 * 1024, 'and memory stays what it was') or diag('it grew from ' . ($first // 'nothing') . ' to ' . ($last // 'nothing'));
	return;
}

# What no trigger sees.
sub test_generated
{
	my $db = make_shop('generated');
	$node->safe_psql($db, 'CREATE TABLE made (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED)');
	$node->safe_psql($db, q(SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'made', '{id}', '{"email": "twice", "bio": "a"}')));
	$node->safe_psql($db, 'INSERT INTO made VALUES (1, 10); INSERT INTO orders (user_id) VALUES (1); UPDATE made SET a = 11; INSERT INTO orders (user_id) VALUES (1)');
	is_deeply(looked_up($db, $db), [ '1 20 2', '1 22 2' ], 'a generated column is looked up');
	SKIP:
	{
		skip 'SET EXPRESSION needs PostgreSQL 17 or newer', 2 if $version < 170000;
		my ($code, undef, $error) = $node->psql($db, 'ALTER TABLE made ALTER COLUMN twice SET EXPRESSION AS (a * 3)');
		like($error, qr/generated columns of public.made that are looked up would be computed anew/, 'its expression is not changed under it');
		$node->safe_psql($db, q(
			BEGIN;
			SELECT cdc.remove_rule('p', 'orders', 'lookup', 'email');
			SELECT cdc.remove_rule('p', 'orders', 'lookup', 'bio');
			ALTER TABLE made ALTER COLUMN twice SET EXPRESSION AS (a * 3);
			SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'made', '{id}', '{"email": "twice", "bio": "a"}');
			COMMIT;
			INSERT INTO orders (user_id) VALUES (1)));
		is_deeply(looked_up($db, $db), [ '1 20 2', '1 22 2', '1 33 2' ], 'but where the lookup is made anew');
	}
	SKIP:
	{
		skip 'a virtual column needs PostgreSQL 18 or newer', 2 if $version < 180000;
		$node->safe_psql($db, 'ALTER TABLE made ADD COLUMN v int GENERATED ALWAYS AS (a + 1) VIRTUAL; ALTER TABLE orders ADD COLUMN v int GENERATED ALWAYS AS (user_id) VIRTUAL');
		my ($code, undef, $error) = $node->psql($db, q(SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'made', '{id}', '{"x": "v"}')));
		like($error, qr/column "v" of relation "made" is a virtual generated column/, 'virtual columns are not looked up');
		(undef, undef, $error) = $node->psql($db, q(SELECT cdc.add_lookup('p', 'orders', '{v}', 'made', '{id}', '{"x": "a"}')));
		like($error, qr/column "v" of relation "orders" is a virtual generated column/, 'nor is looked up by them');
	}
	return;
}
