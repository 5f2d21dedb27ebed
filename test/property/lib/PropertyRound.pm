# PropertyRound: one round of test/property/run: a database of random tables, random changes to them, and what
# must hold of every stream made of these.
package PropertyRound;

use strict;
use warnings;
use utf8;

use CdcFrames;
use CdcReplica;
use CdcTest;
use CdcTypes;
use Encode qw(decode_utf8 encode_utf8);
use Exporter qw(import);
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PropertyChanges;
use PropertySchema;
use Test::More;

our @EXPORT = qw(property_nodes property_round property_totals);

# How often the catalog is read and changes are made, and how many transactions each time.
my $chapters = 4;
my $transactions = 14;

# What a session may have set.
my @settings = (
	[ DateStyle => 'SQL,DMY', 'German,MDY', 'Postgres,YMD' ], [ IntervalStyle => 'sql_standard', 'postgres_verbose', 'iso_8601' ],
	[ TimeZone => 'Asia/Kathmandu', 'America/St_Johns', 'UTC' ], [ extra_float_digits => -15, 0, 3 ], [ bytea_output => 'escape', 'hex' ],
	[ search_path => 'nowhere', 'pg_temp,public' ], [ xmlbinary => 'hex' ], [ xmloption => 'document' ],
	[ quote_all_identifiers => 'on' ], [ array_nulls => 'off' ], [ logical_decoding_work_mem => '64kB' ], [ work_mem => '64kB' ],
	[ enable_seqscan => 'off' ], [ enable_indexscan => 'off' ], [ row_security => 'off' ], [ lc_numeric => 'C' ],
	[ session_replication_role => 'replica' ], [ default_transaction_read_only => 'on' ], [ max_stack_depth => '500kB' ]);

my %totals;

# ------------------------------------------------------------------------------------------------
# Servers
# ------------------------------------------------------------------------------------------------

# A primary, and from 16 on a standby that can decode, too.
sub property_nodes
{
	my $primary = make_node('property', 'max_prepared_transactions = 50', 'logical_decoding_work_mem = 256kB', 'fsync = off');
	my $standby;

	if ($primary->safe_psql('postgres', 'SHOW server_version_num') >= 160000)
	{
		$primary->safe_psql('postgres', "SELECT pg_create_physical_replication_slot('standby', true)");
		$primary->backup('base');
		$standby = PostgreSQL::Test::Cluster->new('property_standby');
		$standby->init_from_backup($primary, 'base', has_streaming => 1);
		$standby->append_conf('postgresql.conf', "primary_slot_name = 'standby'\nhot_standby_feedback = on\n");
		$standby->start;
	}
	return { primary => $primary, standby => $standby };
}

# It waits for a record that the primary writes.
sub create_slot_on_standby
{
	my ($nodes, $db, $slot) = @_;
	my $standby = $nodes->{standby};
	my ($out, $err) = ('', '');

	$nodes->{primary}->wait_for_replay_catchup($standby);
	local %ENV = $standby->_get_env();
	my $psql = IPC::Run::start([ $standby->installed_command('psql'), '-XAtq', '-d', $standby->connstr($db), '-c',
			"SELECT pg_create_logical_replication_slot('$slot', 'cdc_decoder')" ],
		'<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout($CdcTest::timeout));
	# it has begun to wait once the slot is there
	$standby->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_replication_slots WHERE slot_name = '$slot' AND restart_lsn IS NOT NULL")
	  or die "no slot on the standby: $err";
	$nodes->{primary}->safe_psql('postgres', 'SELECT pg_log_standby_snapshot()');
	$psql->finish or die "no slot on the standby: $err";
	return;
}

# ------------------------------------------------------------------------------------------------
# A round
# ------------------------------------------------------------------------------------------------

# property_round(NODES, SEED): all its tests in one subtest
sub property_round
{
	my ($nodes, $seed) = @_;
	my $node = $nodes->{primary};
	my $db = "round_$seed";

	srand($seed);
	my $passed = subtest "seed $seed" => sub {
		eval {
			my $schema = prepare($nodes, $db);
			make_changes($node, $db, $schema);
			my $all = decode($node, $db, $db);
			note(scalar(@{ read_lines($all) }) . ' records');
			count_records($all);
			strictly_rising('identities rise strictly', identities($all));
			check_replay($node, $db, $all);
			check_sessions($node, $db, $all);
			check_framing($node, $db, $all);
			check_publication($node, $db, $schema, $all);
			check_standby($nodes, $db, $all);
			check_other_format($node, $db);
			1;
		} or fail('the round was run to its end') or diag(substr($@, 0, 3000));
	};
	diag("test/property/run --seed=$seed --rounds=1 repeats it") unless $passed;
	clean_up($nodes, $db);
	return $passed;
}

sub prepare
{
	my ($nodes, $db) = @_;
	my $node = $nodes->{primary};
	my $schema = new_schema();

	foreach my $name ($db, "replica_$db")
	{
		$node->safe_psql('postgres', "CREATE DATABASE $name");
		run_sql($node, $name, encode_utf8("SET client_encoding = 'UTF8';\n" . schema_ddl($schema)));
	}
	$node->safe_psql($db, q(
		CREATE FUNCTION ddl(command text) RETURNS void LANGUAGE plpgsql AS
			$$ BEGIN EXECUTE command; PERFORM pg_logical_emit_message(true, 'ddl', command); END $$));
	run_sql($node, $db, encode_utf8("SET client_encoding = 'UTF8';\nCREATE PUBLICATION one_schema FOR TABLES IN SCHEMA $schema->{published};\n"));
	create_slot_on_standby($nodes, $db, $db) if $nodes->{standby};
	create_slot($node, $db, $db);
	return $schema;
}

sub make_changes
{
	my ($node, $db, $schema) = @_;
	my $errors = '';

	foreach my $chapter (1 .. $chapters)
	{
		my $tables = read_tables($node, $db);
		my $complaints = '';
		# what fails is rolled back, as anywhere
		run_sql($node, $db, encode_utf8(random_script($schema, $tables, $transactions)), on_error => 0, stderr => \$complaints);
		$errors .= $complaints;
		$totals{tables} += @$tables if $chapter == $chapters;
	}
	my %kinds;
	$kinds{$_}++ foreach $errors =~ /ERROR:  (.*)/g;
	note("$kinds{$_} x $_") foreach sort keys %kinds;
	unlike($errors, qr/syntax error|server closed the connection|cdc_decoder/, 'changes are well-formed');
	$totals{'transactions'} += $chapters * $transactions;
	return;
}

sub count_records
{
	my ($file) = @_;

	foreach my $line (@{ read_lines($file) })
	{
		$totals{records}++;
		$totals{$1}++ if $line =~ /^\{"op":"(\w+)"/;
		$totals{'unchanged TOAST'}++ if $line =~ /,"unchanged":\[/;
		$totals{'changed key'}++ if $line =~ /^\{"op":"update".*,"key":\{.*"before":/;
		$totals{DDL}++ if $line =~ /"prefix":"ddl"/;
	}
	return;
}

# ------------------------------------------------------------------------------------------------
# What must hold
# ------------------------------------------------------------------------------------------------

# Applied to empty tables it gives the source's.
sub check_replay
{
	my ($node, $db, $file) = @_;
	my $replica = "replica_$db";
	my $list = q(SELECT string_agg(c.oid::regclass::text, E'\n;' ORDER BY c.oid::regclass::text COLLATE "C") FROM pg_class AS c
		WHERE c.relkind IN ('r', 'p') AND c.oid >= 16384 AND c.oid <> coalesce(to_regclass('public.records'), 0));

	$node->safe_psql($replica, replica_sql());
	load_records($node, $replica, $file, 'records');
	my ($status, undef, $stderr) = $node->psql($replica, 'CALL apply_all()');
	is($status, 0, 'every record finds the row that it is about') or diag(substr($stderr, 0, 3000));
	my $tables = $node->safe_psql($db, $list);
	is($node->safe_psql($replica, $list), $tables, 'the same tables');
	my @differ = grep { contents($node, $replica, $_) ne contents($node, $db, $_) } split(/\n;/, $tables);
	is(join('; ', @differ), '', 'the same rows in every table');
	return;
}

sub random_settings
{
	return map { my ($name, @values) = @$_; ($name => pick(@values)) } (shuffled(@settings))[ 0 .. between(4, $#settings) ];
}

# Decoded again: in sessions with other settings, by SQL, in batches, through a slot that was copied before.
sub check_sessions
{
	my ($node, $db, $all) = @_;

	foreach (1 .. 2)
	{
		my %session = random_settings();
		my $options = join(' ', map { "-c $_=$session{$_}" } sort keys %session);
		same_files("a walsender with $options", $all, decode($node, $db, $db, pgoptions => $options));
	}
	my %session = random_settings();
	my $settings = join('', map { "SET $_ = '$session{$_}';\n" } grep { !/search_path|logical_decoding/ } sort keys %session);
	same_files('by SQL', $all, decode_by_sql($node, $db, $db, settings => $settings . "SET search_path = nowhere;\n"));
	foreach my $batch (shuffled(1, 200, 5000, 65536, 16 * 1024 * 1024))
	{
		same_files("batches of $batch bytes", $all, decode($node, $db, $db, options => { batch_bytes => $batch }));
		last if chance(2);
	}
	$node->safe_psql($db, "SELECT pg_copy_logical_replication_slot('$db', 'bookmark')");
	same_files('through a copied slot', $all, decode($node, $db, 'bookmark'));
	$node->safe_psql($db, "SELECT pg_drop_replication_slot('bookmark')");
	return;
}

# Frames carry the same records.
sub check_framing
{
	my ($node, $db, $all) = @_;
	my $batch = pick(0, 300, 65536);
	my $messages = eval { read_frames(decode($node, $db, $db, options => { framing => 'frames', batch_bytes => $batch })) };
	my $records = output_file('out');

	ok($messages, 'every byte of the frames is as the protocol has it') or return diag($@);
	append_to_file($records, join('', map { "$_->{payload}\n" } grep { $_->{kind} ne 'R' && $_->{payload} ne '' } map { @{ $_->{frames} } } @$messages));
	same_files("frames in batches of $batch bytes carry the lines", $all, $records);
	my ($last, $wrong) = ([ 0, 0, 0 ], 0);
	foreach my $message (@$messages)
	{
		foreach my $frame (grep { $_->{kind} ne 'R' } @{ $message->{frames} })
		{
			my $next = [ $message->{commit_lsn}, @{$frame}{qw(seq part)} ];
			my $order = $next->[0] <=> $last->[0] || $next->[1] <=> $last->[1] || $next->[2] <=> $last->[2];
			# a commit frame without a record may stand at the place of a message outside transactions
			$wrong++ if $order < 0 || ($order == 0 && $frame->{kind} ne 'C');
			$last = $next;
		}
	}
	is($wrong, 0, "the frames' identities rise");
	return;
}

# A publication of a schema's tables selects their lines and changes none.  (A partitioned table itself is
# published as its partitions, so its own truncate record is not.)
sub check_publication
{
	my ($node, $db, $schema, $all) = @_;
	my $namespace = as_json($node, $db, $schema->{published});
	my %roots = map { as_json($node, $db, $_) => 1 } @{ $schema->{roots} };
	my $expected = output_file('out');
	my @kept;

	foreach my $line (@{ read_lines($all) })
	{
		my ($op, $its, $table) = $line =~ /^\{"op":"(insert|update|delete|truncate)",.*?"schema":("(?:[^"\\]|\\.)*"),"table":("(?:[^"\\]|\\.)*")/;
		next if defined $op && ($its ne $namespace || ($op eq 'truncate' && $roots{"$its.$table"}));
		push @kept, "$line\n";
	}
	append_to_file($expected, join('', @kept));
	my $got = decode($node, $db, $db, options => { publication_names => 'one_schema' });
	return is(-s $got, 0, 'a publication of nothing that was changed selects nothing') unless @kept;
	return same_files("a publication of a schema's tables selects their lines", $expected, $got);
}

# A quoted identifier as the string that JSON has, "schema.table" as two.
sub as_json
{
	my ($node, $db, $name) = @_;
	$name = encode_utf8($name);
	return $node->safe_psql($db, "SET client_encoding = 'UTF8'; SELECT string_agg(to_json(part)::text, '.' ORDER BY n)
		FROM unnest(parse_ident(\$name\$$name\$name\$)) WITH ORDINALITY AS parts (part, n)");
}

sub check_standby
{
	my ($nodes, $db, $all) = @_;
	my ($primary, $standby) = @{$nodes}{qw(primary standby)};

	return unless $standby;
	$primary->wait_for_replay_catchup($standby);
	same_files('decoded on the standby', $all, decode_by_sql($standby, $db, $db));
	return;
}

# Another format, in two sessions.
sub check_other_format
{
	my ($node, $db) = @_;
	my $format = pick('wal2json', 'cloudevents');
	my %session = random_settings();
	my $options = join(' ', map { "-c $_=$session{$_}" } sort keys %session);
	my $once = decode($node, $db, $db, options => { format => $format });

	same_files("format=$format with $options", $once, decode($node, $db, $db, options => { format => $format }, pgoptions => $options));
	return;
}

sub clean_up
{
	my ($nodes, $db) = @_;
	my ($primary, $standby) = @{$nodes}{qw(primary standby)};

	$standby->safe_psql('postgres', "SELECT pg_drop_replication_slot('$db')") if $standby;
	$primary->safe_psql('postgres', "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '$db'");
	$primary->safe_psql('postgres', "DROP DATABASE $db");
	$primary->safe_psql('postgres', "DROP DATABASE replica_$db");
	return;
}

# What there was of each kind in all rounds.
sub property_totals
{
	return \%totals;
}

1;
