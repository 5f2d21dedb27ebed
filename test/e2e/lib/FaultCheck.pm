# FaultCheck: whether what was delivered is what the source's log says.
#
# The truth is the log itself, decoded once more through a slot that was copied before anything
# happened.  Each check returns what is wrong, or undef.
package FaultCheck;

use strict;
use warnings;

use Exporter qw(import);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

use CdcTest;
use FaultBank;

our @EXPORT = qw(truth_file as_jsonb compare_records compare_tables first_occurrences replay_records);

# truth_file(NODE, SLOT): every record from the slot's place to the end of the log, one on each line
sub truth_file
{
	my ($node, $slot) = @_;
	return decode($node, 'postgres', $slot, options => { batch_bytes => 65536 });
}

# as_jsonb(NODE, FILE): the same lines as the type jsonb writes them, in a new file; for sinks that store
# them so
sub as_jsonb
{
	my ($node, $file) = @_;
	my $to = output_file('jsonb');
	my $table = 'as_jsonb_' . ($file =~ tr/a-zA-Z0-9/_/cr =~ s/.*(.{20})$/$1/r);

	load_records($node, 'postgres', $file, $table);
	$node->safe_psql('postgres', qq(
		COPY (SELECT line::jsonb FROM $table ORDER BY number) TO '$to'
			WITH (FORMAT csv, DELIMITER E'\\x1f', QUOTE E'\\x1e', ESCAPE E'\\x1e', ENCODING 'UTF8');
		DROP TABLE $table));
	return $to;
}

# "0/16E2A10 3", as far as the record says.
sub identity_of
{
	my ($line) = @_;
	return 'nothing' unless defined $line;
	my ($lsn) = $line =~ m{"commit_lsn": ?"([0-9A-F]+/[0-9A-F]+)"};
	my ($seq) = $line =~ m{"seq": ?(\d+)};
	my ($part) = $line =~ m{"part": ?(\d+)};
	return join(' ', $lsn // '?', $seq // '?', $part // ());
}

# compare_records(TRUTH, DELIVERED): the same records in the same order, each exactly once, byte by byte
sub compare_records
{
	my ($truth_file, $delivered_file) = @_;
	my ($truth, $delivered) = (read_lines($truth_file), read_lines($delivered_file));
	my $count = @$truth > @$delivered ? @$truth : @$delivered;

	return 'the log holds no record' unless @$truth;
	foreach my $i (0 .. $count - 1)
	{
		my ($expected, $got) = ($truth->[$i], $delivered->[$i]);
		next if defined $expected && defined $got && $expected eq $got;
		my $counts = sprintf('record %d of %d delivered, %d expected', $i + 1, scalar @$delivered, scalar @$truth);
		my $what = sprintf("%s: expected %s, found %s", $counts, identity_of($expected), identity_of($got));
		my %place;
		$place{ $truth->[$_] } //= $_ foreach 0 .. $#$truth;
		if (!defined $got)
		{
			$what .= ": missing at the end";
		}
		elsif (!exists $place{$got})
		{
			$what .= ": a record that the log does not hold";
		}
		else
		{
			$what .= $place{$got} < $i ? ": delivered before, as record " . ($place{$got} + 1)
			  : ": comes " . ($place{$got} - $i) . " too early";
		}
		return $what . "\nexpected: " . substr($expected // '(end)', 0, 300) . "\nfound:    "
		  . substr($got // '(end)', 0, 300);
	}
	return undef;
}

# first_occurrences(FILE): of an at-least-once sink, the first of each identity, in a new file, and how many
# came again.  One that comes again with other bytes stays, so that the comparison finds it.
sub first_occurrences
{
	my ($file) = @_;
	my $to = output_file('first');
	my (%seen, $again);

	open(my $out, '>:raw', $to) or die "could not write $to: $!";
	foreach my $line (@{ read_lines($file) })
	{
		my $identity = identity_of($line);
		if (defined $seen{$identity} && $seen{$identity} eq $line)
		{
			$again++;
			next;
		}
		$seen{$identity} = $line;
		print $out "$line\n";
	}
	close($out) or die "could not write $to: $!";
	return ($to, $again // 0);
}

# What a consumer would do with each record, by its key; after each transaction the sum must be right.
my $applier = q(
	CREATE FUNCTION list(names text[], prefix text) RETURNS text LANGUAGE sql IMMUTABLE RETURN
		(SELECT string_agg(prefix || quote_ident(name), ', ') FROM unnest(names) AS name);

	CREATE FUNCTION keys_of(object jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE RETURN
		(SELECT array_agg(name ORDER BY name COLLATE "C") FROM jsonb_object_keys(object) AS name);

	CREATE PROCEDURE apply(record jsonb) LANGUAGE plpgsql AS $$
	DECLARE
		op text := record->>'op';
		t text := quote_ident(record->>'schema') || '.' || quote_ident(record->>'table');
		old jsonb := coalesce(record->'before', record->'key');
		columns text[] := keys_of(record->'after');
		key text[] := keys_of(record->'key');
		changed bigint := 1;
	BEGIN
		CASE op
			WHEN 'insert' THEN
				EXECUTE format('INSERT INTO %s (%s) SELECT %s FROM jsonb_populate_record(NULL::%s, $1)',
					t, list(columns, ''), list(columns, ''), t) USING record->'after';
			WHEN 'update' THEN
				EXECUTE format('UPDATE ONLY %s AS t SET (%s) = ROW (%s) FROM jsonb_populate_record(NULL::%s, $1) AS new,
					jsonb_populate_record(NULL::%s, $2) AS old WHERE (%s) = (%s)', t, list(columns, ''),
					list(columns, 'new.'), t, t, list(key, 't.'), list(key, 'old.')) USING record->'after', old;
				GET DIAGNOSTICS changed = ROW_COUNT;
			WHEN 'delete' THEN
				EXECUTE format('DELETE FROM ONLY %s AS t USING jsonb_populate_record(NULL::%s, $1) AS old WHERE (%s) = (%s)',
					t, t, list(key, 't.'), list(key, 'old.')) USING old;
				GET DIAGNOSTICS changed = ROW_COUNT;
			WHEN 'truncate' THEN
				EXECUTE 'TRUNCATE ONLY ' || t;
			WHEN 'message' THEN
				IF record->>'prefix' = 'ddl' THEN
					EXECUTE record->>'content';
				END IF;
		END CASE;
		IF changed <> 1 THEN
			RAISE 'changed % rows: %', changed, record;
		END IF;
	END $$;

	CREATE PROCEDURE replay(total bigint) LANGUAGE plpgsql AS $$
	DECLARE
		row record;
		lsn text;
		transactions bigint := 0;
	BEGIN
		FOR row IN SELECT number, line::jsonb AS record FROM records ORDER BY number LOOP
			IF row.record->>'commit_lsn' IS DISTINCT FROM lsn THEN
				CALL check_sum(lsn, total);
				transactions := transactions + 1;
				IF transactions % 200 = 0 THEN
					COMMIT;
				END IF;
				lsn := row.record->>'commit_lsn';
			END IF;
			BEGIN
				CALL apply(row.record);
			EXCEPTION WHEN OTHERS THEN
				RAISE 'record % cannot be replayed: %', row.number, SQLERRM;
			END;
		END LOOP;
		CALL check_sum(lsn, total);
		UPDATE replayed SET count = transactions;
	END $$;

	CREATE PROCEDURE check_sum(lsn text, total bigint) LANGUAGE plpgsql AS $$
	DECLARE
		sum bigint := (SELECT sum(balance) FROM checking) + (SELECT sum(balance) FROM savings)
			+ (SELECT sum(balance) FROM vault);
	BEGIN
		IF lsn IS NOT NULL AND sum IS DISTINCT FROM total THEN
			RAISE 'after transaction % the sum is %, not %', lsn, sum, total;
		END IF;
	END $$;

	CREATE TABLE replayed (count bigint);
	INSERT INTO replayed VALUES (0);
);

sub contents
{
	my ($node, $db, $table) = @_;
	return $node->safe_psql($db, qq(
		SELECT count(*), md5(string_agg(row, E'\\n' ORDER BY row COLLATE "C")) FROM (SELECT t::text AS row FROM $table AS t) AS rows));
}

# compare_tables(NODE, TABLES...): in database replay they hold what they hold in the source's
sub compare_tables
{
	my ($node, @tables) = @_;
	foreach my $table (@tables)
	{
		my ($got, $real) = (contents($node, 'replay', $table), contents($node, 'postgres', $table));
		return "replayed table $table has (rows|md5) $got, the source's $real" if $got ne $real;
	}
	return undef;
}

# replay_records(NODE, DELIVERED, [TRANSACTIONS]): into an empty database; sums after each transaction, and
# every table equal to the source's in the end.  TRANSACTIONS, a reference, gets how many there were.
sub replay_records
{
	my ($node, $file, $transactions) = @_;

	$node->safe_psql('postgres', 'DROP DATABASE IF EXISTS replay');
	$node->safe_psql('postgres', 'CREATE DATABASE replay');
	$node->safe_psql('replay', bank_schema() . $applier);
	load_records($node, 'replay', $file, 'records');
	# the sum's query must not be planned for empty tables
	my ($status, undef, $stderr) = $node->psql('replay',
		'SET synchronous_commit = off; ANALYZE; CALL replay(' . bank_total() . ')', on_error_die => 0);
	return "replay: $stderr" if $status != 0;
	my $wrong = compare_tables($node, bank_tables());
	$$transactions = $node->safe_psql('replay', 'SELECT count FROM replayed') if $transactions;
	return $wrong;
}

1;
