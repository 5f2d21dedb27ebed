# What is looked up is what the changing transaction saw, whatever others do meanwhile: transactions over references
# and tables that look up, with savepoints, rollbacks, truncations and DDL, while a stream runs and tables and
# indexes are rewritten at random.  Each change writes what it saw into the row itself.  Then the same WAL again:
# later, in pieces, after a restart, after the references were dropped; the same bytes each time.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcTest;
use Digest::MD5 qw(md5_hex);
use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;

my $users = 8;
my $seed = seed_random(55);
my $json = JSON::PP->new;
my %options = (pipeline => 'p', batch_bytes => 0);
my $node = make_node('lookups', 'deadlock_timeout = 50ms', 'lock_timeout = 1s', 'max_prepared_transactions = 10', 'fsync = off');

prepare();
my ($stream, $running) = start_stream();
my @writers = map { start_script("writer $_", writer_script($_, 90)) } 1 .. 3;
my $maintainer = start_script('maintainer', maintainer_script(40));
finish_script($_) foreach @writers, $maintainer;
my $end = endpos_flushed();
stop_stream();

check_truth($running);
check_shadows();
my $whole = decode($node, 'postgres', 'start', options => \%options, endpos => $end);
same_files("seed $seed: decoded later it is the same", $running, $whole);
check_pieces($whole);
$node->restart;
same_files("seed $seed: after a restart", $whole, decode($node, 'postgres', 'start', options => \%options, endpos => $end));
foreach my $command ('VACUUM FULL', 'REINDEX DATABASE postgres', 'VACUUM')
{
	$node->safe_psql('postgres', $command);
	same_files("seed $seed: after $command", $whole, decode($node, 'postgres', 'start', options => \%options, endpos => $end));
}
$node->safe_psql('postgres', 'SET client_min_messages = error; DROP TABLE users, accounts');
same_files("seed $seed: after the references were dropped", $whole,
	decode($node, 'postgres', 'start', options => \%options, endpos => $end));
$node->stop;
done_testing();

# ------------------------------------------------------------------------------------------------
# The tables, and functions that change them under locks, so that what is seen is well-defined
# ------------------------------------------------------------------------------------------------

sub prepare
{
	$node->safe_psql('postgres', q(
		CREATE EXTENSION cdc_decoder;
		CREATE TABLE users (id int PRIMARY KEY, email text, bio text);
		ALTER TABLE users ALTER bio SET STORAGE EXTERNAL;
		CREATE TABLE accounts (k text, n int, v numeric, PRIMARY KEY (k, n));
		CREATE TABLE orders (id serial PRIMARY KEY, user_id int, k text, n bigint,
			e_email text, e_bio text, e_v numeric, e_before text);
		ALTER TABLE orders REPLICA IDENTITY FULL;

		-- key 0 stands for the table as a whole
		CREATE FUNCTION hold(kind text, key int) RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM pg_advisory_xact_lock_shared(0);
			IF kind = 'share' THEN PERFORM pg_advisory_xact_lock_shared(key); ELSE PERFORM pg_advisory_xact_lock(key); END IF;
		END $$;
		CREATE FUNCTION put_user(u int, e text, size int) RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM hold('change', u);
			INSERT INTO users VALUES (u, e, (SELECT string_agg(md5(e || i), '') FROM generate_series(1, size / 32) i))
				ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email, bio = CASE WHEN size < 0 THEN users.bio ELSE EXCLUDED.bio END;
		END $$;
		CREATE FUNCTION drop_user(u int) RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM hold('change', u);
			DELETE FROM users WHERE id = u;
		END $$;
		CREATE FUNCTION move_user(u int, v int) RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM hold('change', least(u, v)), hold('change', greatest(u, v));
			UPDATE users SET id = v WHERE id = u AND NOT EXISTS (SELECT FROM users WHERE id = v);
		END $$;
		CREATE FUNCTION all_users(what text) RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM pg_advisory_xact_lock(0);
			IF what = 'truncate' THEN TRUNCATE users;
			ELSIF what = 'delete' THEN DELETE FROM users;
			ELSE UPDATE users SET email = left(what || email, 20); END IF;
		END $$;
		CREATE FUNCTION put_account(new_k text, new_n int, new_v numeric) RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM hold('change', 1000 + new_n * 100 + ascii(new_k));
			IF new_v IS NULL THEN DELETE FROM accounts WHERE (k, n) = (new_k, new_n);
			ELSE INSERT INTO accounts VALUES (new_k, new_n, new_v) ON CONFLICT (k, n) DO UPDATE SET v = EXCLUDED.v; END IF;
		END $$;
		CREATE FUNCTION make_order(u int, new_k text, new_n int) RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM hold('share', u), hold('share', 1000 + new_n * 100 + ascii(new_k));
			INSERT INTO orders (user_id, k, n, e_email, e_bio, e_v) VALUES (u, new_k, new_n, (SELECT email FROM users WHERE users.id = u),
				(SELECT md5(bio) FROM users WHERE users.id = u), (SELECT v FROM accounts a WHERE (a.k, a.n) = (new_k, new_n)));
		END $$;
		CREATE FUNCTION change_order(nth int, u int) RETURNS void LANGUAGE plpgsql AS $$
		DECLARE
			o orders%ROWTYPE;
		BEGIN
			SELECT * INTO o FROM orders ORDER BY orders.id OFFSET nth LIMIT 1 FOR UPDATE;
			IF NOT FOUND THEN RETURN; END IF;
			PERFORM hold('share', least(u, o.user_id)), hold('share', greatest(u, o.user_id)), hold('share', 1000 + o.n::int * 100 + ascii(o.k));
			UPDATE orders SET user_id = u, e_email = (SELECT email FROM users WHERE users.id = u),
				e_bio = (SELECT md5(bio) FROM users WHERE users.id = u), e_v = (SELECT v FROM accounts a WHERE (a.k, a.n) = (o.k, o.n)),
				e_before = (SELECT email FROM users WHERE users.id = o.user_id) WHERE id = o.id;
		END $$;));
	create_slot($node, 'postgres', 'start');
	$node->safe_psql('postgres', q(
		INSERT INTO users SELECT i, 'user ' || i, repeat('b', i * 1000) FROM generate_series(1, 4) i;
		SELECT cdc.create_pipeline('p');
		SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', '{"email": "email", "bio": "bio"}');
		SELECT cdc.add_lookup('p', 'orders', '{n,k}', 'accounts', '{n,k}', '{"v": "v"}');
		SELECT pg_copy_logical_replication_slot('start', 'running');));
	return;
}

# ------------------------------------------------------------------------------------------------
# What happens, at random
# ------------------------------------------------------------------------------------------------

sub writer_script
{
	my ($writer, $count) = @_;
	my $sql = '';

	foreach my $i (1 .. $count)
	{
		my $prepared = chance(15);
		my $depth = 0;
		$sql .= "BEGIN;\n";
		foreach my $j (1 .. between(1, 8))
		{
			my $what = between(1, 30);
			if ($what <= 2) { $sql .= 'SAVEPOINT s' . ++$depth . ";\n" }
			elsif ($what <= 4 && $depth) { $sql .= 'ROLLBACK TO s' . between(1, $depth) . ";\n" }
			elsif ($what <= 5 && $depth) { $sql .= 'RELEASE s' . $depth-- . ";\n" }
			else { $sql .= 'SELECT ' . statement("$writer.$i.$j") . ";\n" }
		}
		$sql .= !$prepared ? (chance(5) ? "ROLLBACK;\n" : "COMMIT;\n")
		  : "PREPARE TRANSACTION 'w$writer.$i';\n" . (chance(3) ? 'ROLLBACK' : 'COMMIT') . " PREPARED 'w$writer.$i';\n";
		# what failed is over, prepared or not
		$sql .= "\\set ON_ERROR_STOP off\nROLLBACK;\n";
	}
	return $sql;
}

sub statement
{
	my ($tag) = @_;
	my $u = between(1, $users);
	my @accounts = ("'" . pick('a', 'b') . "'", between(1, 3));
	my $what = between(1, 40);

	return "put_user($u, 'e$tag', " . pick(-1, 64, 3200, 32000) . ')' if $what <= 8;
	return "drop_user($u)" if $what <= 10;
	return "move_user($u, " . between(1, $users) . ')' if $what <= 12;
	return "all_users('" . pick('x', 'y', 'delete', 'truncate') . "')" if $what <= 13;
	return 'put_account(' . join(', ', @accounts, pick('NULL', between(1, 99), '1.50')) . ')' if $what <= 18;
	return 'change_order(' . between(0, 50) . ", $u)" if $what <= 25;
	return 'make_order(' . join(', ', $u, @accounts) . ')';
}

sub maintainer_script
{
	my ($count) = @_;
	my $shadows = q(SELECT format('%s', shadow) FROM cdc.lookup WHERE released_by IS NULL);
	my @tables = ('users', 'accounts', 'orders', 'cdc.rule', 'cdc.pipeline', 'cdc.lookup');
	my @for_tables = ('VACUUM FULL %s', 'VACUUM %s', 'VACUUM (FREEZE) %s', 'REINDEX TABLE %s', 'ANALYZE %s');
	# not both: what REINDEX CONCURRENTLY makes lacks old rows, and CLUSTER copies what it finds by the index
	my $concurrently = chance(2);
	my $sql = '';

	foreach my $i (1 .. $count)
	{
		my $what = between(1, 26);
		push @for_tables, 'REINDEX TABLE CONCURRENTLY %s' if $i == 1 && $concurrently;
		if ($what <= 7) { $sql .= sprintf(pick(@for_tables), pick(@tables)) . ";\n" }
		elsif ($what <= 16)
		{
			my $command = pick(@for_tables, $concurrently ? () : 'CLUSTER %1$s USING %2$I');
			$sql .= "SELECT format('$command', shadow, c.relname) FROM cdc.lookup JOIN pg_index ON indrelid = shadow AND indisprimary"
			  . " JOIN pg_class c ON c.oid = indexrelid WHERE released_by IS NULL ORDER BY random() LIMIT 1 \\gexec\n";
		}
		elsif ($what == 17) { $sql .= pick('VACUUM', $concurrently ? 'REINDEX DATABASE CONCURRENTLY postgres' : 'REINDEX DATABASE postgres', 'VACUUM FULL pg_class', 'REINDEX SYSTEM postgres', 'CHECKPOINT') . ";\n" }
		elsif ($what <= 20)
		{
			my $column = pick('email', 'bio');
			$sql .= qq(SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', '{"more_$column": "$column"}');\n);
		}
		elsif ($what <= 22) { $sql .= "SELECT cdc.remove_rule('p', 'orders', 'lookup', 'more_" . pick('email', 'bio') . "');\n" }
		elsif ($what == 23) { $sql .= "SELECT cdc.drop_unused_lookups();\n" }
		elsif ($what == 24) { $sql .= "BEGIN;\nALTER TABLE users RENAME TO people;\nALTER TABLE people RENAME TO users;\nCOMMIT;\n" }
		elsif ($what == 25) { $sql .= "ALTER TABLE users ADD COLUMN junk_$i int DEFAULT 1;\nALTER TABLE users DROP COLUMN junk_$i;\n" }
		else { $sql .= "ALTER TABLE orders ADD COLUMN junk_$i text DEFAULT 'j';\nALTER TABLE orders DROP COLUMN junk_$i;\n" }
	}
	return $sql;
}

sub start_script
{
	my ($name, $sql) = @_;
	my $file = output_file('sql');
	my ($stdout, $stderr) = ('', '');
	local %ENV = $node->_get_env();

	append_to_file($file, $sql);
	my $handle = IPC::Run::start([ 'psql', '-X', '-A', '-t', '-q', '-d', $node->connstr('postgres'), '-f', $file ],
		'<', \undef, '>', \$stdout, '2>', \$stderr, IPC::Run::timeout($CdcTest::timeout));
	return { name => $name, handle => $handle, stderr => \$stderr };
}

# Locks that were not to be had are part of the game; anything else is not.
sub finish_script
{
	my ($script) = @_;
	my @expected = (
		qr/deadlock detected/, qr/canceling statement due to lock timeout/, qr/current transaction is aborted/,
		qr/savepoint "s\d+" does not exist/, qr/prepared transaction with identifier "[^"]+" does not exist/,
		qr/pipeline "p" has no rule "lookup" for member "more_/, qr/relation "[^"]+_ccnew\d*" already exists/,
		qr/cannot reindex.*concurrently/);

	$script->{handle}->finish;
	my @errors = grep { my $line = $_; /ERROR|FATAL|PANIC|server closed/ && !grep { $line =~ $_ } @expected } split /\n/, ${ $script->{stderr} };
	is_deeply(\@errors, [], "seed $seed: $script->{name} went through");
	return;
}

# ------------------------------------------------------------------------------------------------
# The running stream
# ------------------------------------------------------------------------------------------------

sub start_stream
{
	my $file = output_file('running');
	my ($stdout, $stderr) = ('', '');
	local %ENV = $node->_get_env();
	my $handle = IPC::Run::start(
		[ 'pg_recvlogical', '-d', $node->connstr('postgres'), '-S', 'running', '--start', '--no-loop', '-f', $file, '-s', '1', slot_options(%options) ],
		'<', \undef, '>', \$stdout, '2>', \$stderr, IPC::Run::timeout($CdcTest::timeout));
	return ({ handle => $handle, stderr => \$stderr }, $file);
}

# The end of all that was written, once the running stream has come there and said so.
sub endpos_flushed
{
	my $at = endpos($node);

	$node->poll_query_until('postgres', "SELECT confirmed_flush_lsn >= '$at' FROM pg_replication_slots WHERE slot_name = 'running'")
	  or die 'the stream does not come to the end: ' . ${ $stream->{stderr} };
	return $at;
}

sub stop_stream
{
	$stream->{handle}->signal('INT');
	$stream->{handle}->finish;
	unlike(${ $stream->{stderr} }, qr/ERROR:|FATAL:/, "seed $seed: the stream ran without an error");
	return;
}

# ------------------------------------------------------------------------------------------------
# What came of it
# ------------------------------------------------------------------------------------------------

sub told
{
	my ($value) = @_;
	return defined $value ? $value : 'nothing';
}

sub check_truth
{
	my ($file) = @_;
	my ($changes, $found, $long, $more) = (0, 0, 0, 0);
	my @wrong;

	foreach my $line (@{ read_lines($file) })
	{
		my $record = $json->decode($line);
		next if $record->{table} ne 'orders';
		push @wrong, "errors: $line" if $record->{errors};
		next if !$record->{after};
		my ($after, $before) = @{$record}{ 'after', 'before' };
		my $bio = defined $after->{bio} ? md5_hex($after->{bio}) : undef;
		my @compared = ([ 'email', $after->{email}, $after->{e_email} ], [ 'bio', $bio, $after->{e_bio} ], [ 'v', $after->{v}, $after->{e_v} ]);
		push @compared, [ 'more_email', $after->{more_email}, $after->{e_email} ] if exists $after->{more_email};
		push @compared, [ 'more_bio', $after->{more_bio}, $after->{bio} ] if exists $after->{more_bio};
		push @compared, [ 'before', $before->{email}, $after->{e_before} ] if $before;
		foreach my $pair (@compared)
		{
			my ($name, $got, $expected) = map { told($_) } @$pair;
			push @wrong, "$name is $got, but was $expected: $line" if $got ne $expected;
		}
		$changes++;
		$found++ if defined $after->{email};
		$long++ if defined $after->{bio} && length $after->{bio} > 10000;
		$more++ if exists $after->{more_email} || exists $after->{more_bio};
	}
	is(scalar @wrong, 0, "seed $seed: what was looked up is what was seen, in $changes changes ($found found, $long of them long, $more with more lookups)")
	  or diag(join("\n", map { substr($_, 0, 600) } @wrong[ 0 .. ($#wrong > 4 ? 4 : $#wrong) ]));
	cmp_ok($changes, '>', 100, "seed $seed: there were changes");
	cmp_ok($found, '>', 20, "seed $seed: that found what they looked up");
	return;
}

sub check_shadows
{
	my $wrong = $node->safe_psql('postgres', q(
		SELECT string_agg(format('SELECT %L, count(*) FROM (%s) AS wrong', shadow, format(
			CASE WHEN reference = 'users'::regclass THEN
				'SELECT id FROM users r FULL JOIN (SELECT * FROM %1$s WHERE part = 0) s ON r.id = s.c1 WHERE r.id IS NULL OR s.c1 IS NULL'
			ELSE 'SELECT k, n, v FROM accounts EXCEPT SELECT c2, c1, c3 FROM %1$s' END, shadow)), ' UNION ALL ')
		FROM cdc.lookup WHERE released_by IS NULL));
	my $counts = $node->safe_psql('postgres', $wrong);

	my @bad = grep { !/\|0$/ } split(/\n/, $counts);

	ok($counts ne '' && @bad == 0, "seed $seed: shadows say what their references say") or diag($counts);
	is($node->safe_psql('postgres', q(SELECT count(*) FROM users u
		JOIN LATERAL cdc.preview('p', 'orders', 1000000) p ON (p->'after'->>'user_id')::int = u.id
		WHERE p->'after'->>'email' IS DISTINCT FROM u.email OR p->'after'->>'bio' IS DISTINCT FROM u.bio)), 0, "seed $seed: so do previews");
	return;
}

# A new process each time, which goes on where the last one ended; what comes twice is the same twice.
sub check_pieces
{
	my ($file) = @_;
	my @expected = @{ read_lines($file) };
	my %place;
	my @wrong;
	my $next = 0;

	$place{$expected[$_] =~ /("commit_lsn":"[^"]+","seq":\d+)/ ? $1 : $_} = $_ foreach 0 .. $#expected;
	$node->safe_psql('postgres', q(SELECT pg_copy_logical_replication_slot('start', 'pieces')));
	my @ends = map { $expected[ between(0, $#expected) ] =~ /"commit_lsn":"([^"]+)"/ ? $1 : () } 1 .. 6;
	@ends = split /\n/, $node->safe_psql('postgres', 'SELECT DISTINCT unnest FROM unnest(ARRAY[' . join(', ', map { "'$_'::pg_lsn" } @ends, $end) . ']) ORDER BY 1');
	foreach my $stop (@ends)
	{
		my $piece = output_file('piece');
		my ($stdout, $stderr) = ('', '');
		local %ENV = $node->_get_env();
		IPC::Run::run(
			[ 'pg_recvlogical', '-d', $node->connstr('postgres'), '-S', 'pieces', '--start', '--no-loop', '-f', $piece, '--endpos', $stop,
				slot_options(%options) ],
			'<', \undef, '>', \$stdout, '2>', \$stderr, IPC::Run::timeout($CdcTest::timeout)) or die "pg_recvlogical failed: $stderr";
		foreach my $line (@{ read_lines($piece) })
		{
			my $at = $line =~ /("commit_lsn":"[^"]+","seq":\d+)/ ? $place{$1} : undef;
			push @wrong, $line if !defined $at || $at > $next || $expected[$at] ne $line;
			$next = $at + 1 if defined $at && $at == $next;
		}
		$node->poll_query_until('postgres', q(SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'pieces')) or die 'the slot stays active';
	}
	is(scalar @wrong, 0, "seed $seed: the same in " . @ends . ' pieces') or diag(substr($wrong[0], 0, 600));
	is($next, scalar @expected, "seed $seed: and all of it");
	return;
}
