# FaultSnapshot: rounds of the fault runner that begin with tables that hold rows already, and deliver these too.
#
# Beside the bank there are three tables full of rows, which change all the while: rows are updated (those with a
# value out of line too, which is not logged again), deleted and inserted again, given other keys in either
# direction, and moved between partitions, partly in savepoints that are rolled back.  What the sink has got in
# the end is replayed as a consumer would: by keys, an update of a row that is not there is an insert, and a record
# whose identity does not rise is one that came again.
package FaultSnapshot;

use strict;
use warnings;

use Exporter qw(import);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

use CdcTest;
use FaultBank;
use FaultCheck;

our @EXPORT = qw(
	snapshot_create snapshot_scripts snapshot_plan snapshot_kinds
	check_changes check_rows doubled_row rising_records
);

# What of the bank's is made fit: a row without a key cannot be known again, and an update that moves a row from
# where the snapshot has not been yet to where it has been has to carry all values (doc/snapshot.md).
my $schema = q(
	ALTER TABLE entry ADD COLUMN id bigserial PRIMARY KEY;
	ALTER TABLE letter ALTER body SET STORAGE MAIN;
	CREATE TABLE archive (id int PRIMARY KEY, v int NOT NULL, body text);
	ALTER TABLE archive ALTER body SET STORAGE EXTERNAL;
	CREATE TABLE moved (id int PRIMARY KEY, v int NOT NULL, body text);
	ALTER TABLE moved ALTER body SET STORAGE EXTERNAL;
	ALTER TABLE moved REPLICA IDENTITY FULL;
	CREATE TABLE shelf (a text, b int, v int, PRIMARY KEY (a, b)) PARTITION BY RANGE (b);
	CREATE TABLE shelf_1 PARTITION OF shelf FOR VALUES FROM (0) TO (500000);
	CREATE TABLE shelf_2 PARTITION OF shelf FOR VALUES FROM (500000) TO (10000000);
);

# Every row that gets another key gets one that nobody else has.
my $functions = q(
	CREATE FUNCTION shuffle(one int, other int, n int) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		CASE n % 8
			WHEN 0 THEN UPDATE archive SET v = v + 1 WHERE id = one;
			WHEN 1 THEN
				DELETE FROM archive WHERE id = other;
				INSERT INTO archive VALUES (other, n, text_of(20 + n % 3000)) ON CONFLICT DO NOTHING;
			WHEN 2 THEN
				UPDATE archive SET id = id + 1000000 WHERE id = one
					AND NOT EXISTS (SELECT FROM archive WHERE id = one + 1000000);
			WHEN 3 THEN
				UPDATE moved SET v = v + 1, id = CASE WHEN id > 1000000 THEN id - 1000000 ELSE id + 1000000 END
					WHERE id IN (one, one + 1000000);
			WHEN 4 THEN
				UPDATE shelf SET v = v + 1, b = CASE WHEN b >= 500000 THEN b - 500000 ELSE b + 500000 END
					WHERE b IN (one, one + 500000);
			WHEN 5 THEN
				UPDATE shelf SET v = v + 1 WHERE b = other;
				BEGIN
					UPDATE archive SET v = -1 WHERE id BETWEEN one AND one + 5;
					DELETE FROM moved WHERE id = other;
					RAISE division_by_zero;
				EXCEPTION WHEN division_by_zero THEN
				END;
			WHEN 6 THEN UPDATE archive SET v = v + 1 WHERE id BETWEEN one AND one + 20;
			WHEN 7 THEN UPDATE moved SET v = v + 1 WHERE id = other;
		END CASE;
	EXCEPTION WHEN unique_violation THEN
	END $$;
);

my @tables = qw(archive moved shelf_1 shelf_2);

# snapshot_create(NODE, ROWS): beside the bank; before any slot
sub snapshot_create
{
	my ($node, $rows) = @_;
	$node->safe_psql('postgres', 'CREATE EXTENSION cdc_decoder;' . $schema . $functions . qq(
		INSERT INTO archive SELECT g, 0, text_of(CASE WHEN g % 20 = 0 THEN 3000 ELSE 40 END)
			FROM generate_series(1, $rows / 2) g;
		INSERT INTO moved SELECT g, 0, text_of(CASE WHEN g % 50 = 0 THEN 3000 ELSE 40 END)
			FROM generate_series(1, $rows / 4) g;
		INSERT INTO shelf SELECT chr(97 + g % 26), g, 0 FROM generate_series(1, $rows / 4) g;
		INSERT INTO letter SELECT nextval('letters'), g % 300, text_of(g) FROM generate_series(1, 300) g;
		INSERT INTO scratch SELECT g, text_of(g) FROM generate_series(1, 100) g;
		INSERT INTO entry SELECT now(), 1, 2, g, 'before' FROM generate_series(1, 100) g;
		ANALYZE));
	return;
}

# What pgbench runs besides, as FaultBank has it.
sub snapshot_scripts
{
	my ($rows) = @_;
	return (shuffle => [ 120, qq(
		\\set one random(1, $rows / 2)
		\\set other random(1, $rows / 2)
		\\set n random(1, 1000000)
		SELECT shuffle(:one, :other, :n);) ]);
}

# snapshot_plan(SINK, PLAN): clients read so slowly that faults meet the snapshot, and so fast that it ends.  One
# that must not be started again does not give up either.
sub snapshot_plan
{
	my ($sink, @plan) = @_;
	foreach my $fault (@plan)
	{
		my @arguments = @{ $fault->{arguments} };
		@arguments = ((grep { !/^--retry-for=/ } @arguments), '--retry-for=5min') unless $sink->resumes_snapshot;
		$fault->{arguments} = [ @arguments, '--snapshot=initial', '--max-rate=' . pick(500, 1500, 5000),
			'--snapshot-workers=' . pick(1, 3) ];
	}
	return;
}

# Of these kinds of faults those that may come before existing rows are through: where a client that is started
# again cannot know how far they were delivered, the ones that it outlives.
sub snapshot_kinds
{
	my ($sink, @kinds) = @_;
	@kinds = grep { $_ ne 'end_early' } @kinds;    # the end waits until they are through
	return @kinds if $sink->resumes_snapshot;
	return grep { !/client/ || $_ eq 'pause_client' } @kinds;
}

# ------------------------------------------------------------------------------------------------
# The checks, each of which returns what is wrong, or undef
# ------------------------------------------------------------------------------------------------

sub lines_to_file
{
	my (@lines) = @_;
	my $to = output_file('lines');
	append_to_file($to, join('', map { "$_\n" } @lines));
	return $to;
}

sub is_row
{
	my ($line) = @_;
	return $line =~ /"op": ?"snapshot"/;    # the types json and jsonb write it differently
}

sub identity
{
	my ($line) = @_;
	my ($high, $low) = $line =~ m{"commit_lsn": ?"([0-9A-F]+)/([0-9A-F]+)"} or die "no identity in: $line";
	my ($seq) = $line =~ /"seq": ?(\d+)/ or die "no identity in: $line";
	my ($part) = $line =~ /"part": ?(\d+)/;
	return sprintf('%08X/%08X %020d %05d', hex $high, hex $low, $seq, $part // 0);
}

# check_changes(TRUTH, DELIVERED): what is no existing row is what the source's log says, as without them
sub check_changes
{
	my ($truth, $delivered) = @_;
	return compare_records($truth, lines_to_file(grep { !is_row($_) } @{ read_lines($delivered) }));
}

# doubled_row(LINES): (what tells of a row that was delivered twice as an existing one, or undef; how many rows there
# are).  A row without a key is known by all that it has.
sub doubled_row
{
	my (@lines) = @_;
	my (%seen, $twice);

	foreach my $line (grep { is_row($_) } @lines)
	{
		my ($table) = $line =~ /"table": ?"([^"]*)"/;
		my ($key) = $line =~ /"key": ?(\{[^{}]*\})/ ? $1 : $line =~ /"after": ?(\{[^{}]*\})/;
		my $row = join(' ', $table, $key =~ tr/ //dr);
		$twice //= "row $row came twice:\n$seen{$row}\n$line" if $seen{$row};
		$seen{$row} = $line;
	}
	return ($twice, scalar keys %seen);
}

my $applier = q(
	CREATE FUNCTION list(names text[], prefix text) RETURNS text LANGUAGE sql IMMUTABLE RETURN
		(SELECT string_agg(prefix || quote_ident(name), ', ') FROM unnest(names) AS name);

	CREATE FUNCTION keys_of(object jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE RETURN
		(SELECT array_agg(name ORDER BY name COLLATE "C") FROM jsonb_object_keys(object) AS name);

	CREATE PROCEDURE take_away(t text, key text[], old jsonb) LANGUAGE plpgsql AS $$
	BEGIN
		EXECUTE format('DELETE FROM ONLY %s AS t USING jsonb_populate_record(NULL::%s, $1) AS old WHERE (%s) = (%s)',
			t, t, list(key, 't.'), list(key, 'old.')) USING old;
	END $$;

	CREATE PROCEDURE put(t text, key text[], new jsonb) LANGUAGE plpgsql AS $$
	DECLARE
		columns text[] := keys_of(new);
	BEGIN
		CALL take_away(t, key, new);
		EXECUTE format('INSERT INTO %s (%s) SELECT %s FROM jsonb_populate_record(NULL::%s, $1)',
			t, list(columns, ''), list(columns, ''), t) USING new;
	END $$;

	CREATE PROCEDURE apply(record jsonb) LANGUAGE plpgsql AS $$
	DECLARE
		t text := quote_ident(record->>'schema') || '.' || quote_ident(record->>'table');
		old jsonb := coalesce(record->'before', record->'key');
		columns text[] := keys_of(record->'after');
		key text[] := keys_of(record->'key');
		changed bigint;
	BEGIN
		CASE record->>'op'
			WHEN 'insert', 'snapshot' THEN
				CALL put(t, key, record->'after');
			WHEN 'update' THEN
				EXECUTE format('UPDATE ONLY %s AS t SET (%s) = ROW (%s) FROM jsonb_populate_record(NULL::%s, $1) AS new,
					jsonb_populate_record(NULL::%s, $2) AS old WHERE (%s) = (%s)', t, list(columns, ''),
					list(columns, 'new.'), t, t, list(key, 't.'), list(key, 'old.')) USING record->'after', old;
				GET DIAGNOSTICS changed = ROW_COUNT;
				IF changed = 0 THEN
					CALL put(t, key, record->'after');
				END IF;
			WHEN 'delete' THEN
				CALL take_away(t, key, old);
			WHEN 'truncate' THEN
				EXECUTE 'TRUNCATE ONLY ' || t;
			WHEN 'message' THEN
				IF record->>'prefix' = 'ddl' THEN
					EXECUTE record->>'content';
				END IF;
		END CASE;
	END $$;

	CREATE PROCEDURE replay() LANGUAGE plpgsql AS $$
	DECLARE
		row record;
	BEGIN
		FOR row IN SELECT number, line::jsonb AS record FROM records ORDER BY number LOOP
			IF row.number % 1000 = 0 THEN
				COMMIT;
			END IF;
			BEGIN
				CALL apply(row.record);
			EXCEPTION WHEN OTHERS THEN
				RAISE 'record % cannot be replayed: %: %', row.number, SQLERRM, row.record;
			END;
		END LOOP;
	END $$;
);

# rising_records(LINES): what a consumer keeps, records whose identity is past all before: (a file of them, how many
# others there were)
sub rising_records
{
	my (@lines) = @_;
	my $last = '';
	my @kept = grep { my $identity = identity($_); my $rises = $identity gt $last; $last = $identity if $rises; $rises } @lines;
	return (lines_to_file(@kept), @lines - @kept);
}

# check_rows(NODE, DELIVERED, SINK, [STATISTICS]): replayed it is what the tables hold, and no row comes twice
# where the sink promises that.  STATISTICS, a reference to a hash, gets the numbers of rows and of transactions.
sub check_rows
{
	my ($node, $delivered, $sink, $statistics) = @_;
	my @lines = @{ read_lines($delivered) };
	my ($kept, $again) = rising_records(@lines);
	my ($twice, $rows) = doubled_row(@lines);

	my %transactions = map { is_row($_) ? () : (substr(identity($_), 0, 17) => 1) } @lines;
	@{$statistics}{ 'rows', 'transactions' } = ($rows, scalar keys %transactions) if $statistics;
	return 'no existing row was delivered' if $rows == 0;
	return "$again records came again, or late" if $again > 0 && $sink->exactly_once;
	return $twice if $twice && $sink->rows_once;
	$node->safe_psql('postgres', 'DROP DATABASE IF EXISTS replay');
	$node->safe_psql('postgres', 'CREATE DATABASE replay');
	$node->safe_psql('replay', bank_schema() . $schema . $applier);
	load_records($node, 'replay', $kept, 'records');
	my ($status, undef, $stderr) =
	  $node->psql('replay', 'SET synchronous_commit = off; ANALYZE; CALL replay()', on_error_die => 0);
	return "replay: $stderr" if $status != 0;
	return compare_tables($node, bank_tables(), @tables);
}

1;
