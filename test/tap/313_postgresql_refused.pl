# Records that the sink's server refuses: found among all others, whoever refuses them and when.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcPostgresqlSink;
use CdcStream;
use CdcTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = make_node('both');
my $db = conninfo($node, 'postgres');
my $sink = sink_uri($node, 'sink');
my $dir = PostgreSQL::Test::Utils::tempdir();
my $slots = 0;

$node->safe_psql('postgres', 'CREATE DATABASE sink');
$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY, v text)');
# the first record of the batch, the last, some in the middle, and two neighbours
my @bad = (1, 500, 501, 777, 2000);
create_slot($node, 'postgres', 's');
$node->safe_psql('postgres',
	'INSERT INTO t SELECT g, CASE WHEN g IN (' . join(', ', @bad) . ") THEN 'bad' ELSE 'good' END FROM generate_series(1, 2000) g");

# refuses(NAME, SQL, PATTERN): the sink's table refuses the bad records; without --on-error that is the end, and
# with it they alone are set aside
sub refuses
{
	my ($name, $sql, $message) = @_;
	my $slot = 's' . ++$slots;
	my $table = "r$slots";
	my $dead = "$dir/$slot.ndjson";

	$node->safe_psql('postgres', "SELECT pg_copy_logical_replication_slot('s', '$slot')");
	$node->safe_psql('sink', "CREATE TABLE $table (LIKE cdc_records INCLUDING ALL); " . $sql =~ s/THE_TABLE/$table/gr);
	my ($code, $log) = run_client($db, $slot, $sink, '--until=now', "--sink-table=$table");
	is($code, 2, "$name: exit code 2") or diag($log);
	like($log, qr{record \S+ seq 1 of public.t was refused by sink "postgresql": .*$message}, "$name: the first is named");
	is($node->safe_psql('sink', "SELECT count(*) FROM $table"), 0, "$name: nothing was stored");
	($code, $log) = run_client($db, $slot, $sink, '--until=now', "--sink-table=$table", "--on-error=dead-letter:file://$dead");
	is($code, 0, "$name: set aside") or diag($log);
	is(join(' ', map { /"id":(\d+)/ } @{ read_lines($dead) }), join(' ', @bad), "$name: all of them, and nothing else");
	is($node->safe_psql('sink', "SELECT count(*), count(DISTINCT key), count(*) FILTER (WHERE record #>> '{after,v}' = 'bad') FROM $table"),
		'1995|1995|0', "$name: the others are stored");
	return;
}

# makes the tables
create_slot($node, 'postgres', 'empty');
my ($first_code, $first_log) = run_client($db, 'empty', $sink, '--until=now');
is($first_code, 0, 'the tables are made') or diag($first_log);

refuses('a constraint', q(ALTER TABLE THE_TABLE ADD CONSTRAINT no_bad CHECK (record #>> '{after,v}' <> 'bad')), qr/violates check constraint "no_bad" \(SQLSTATE 23514\)/);
refuses('a trigger', q(CREATE FUNCTION complain() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	RAISE WARNING 'said of each row'; IF NEW.record #>> '{after,v}' = 'bad' THEN RAISE 'not with me'; END IF; RETURN NEW; END $$;
	CREATE TRIGGER complain BEFORE INSERT ON THE_TABLE FOR EACH ROW EXECUTE FUNCTION complain()), qr/not with me \(SQLSTATE P0001\)/);
refuses('a deferred constraint', q(CREATE CONSTRAINT TRIGGER later AFTER INSERT ON THE_TABLE DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION complain()), qr/not with me \(SQLSTATE P0001\)/);
refuses('a limit', q(CREATE INDEX ON THE_TABLE ((repeat(md5(key::text), CASE WHEN record #>> '{after,v}' = 'bad' THEN 100000 ELSE 1 END) || key::text))),
	qr/index row.*54000/);

# a failure that no record has by itself is not taken for a record's
$node->safe_psql('sink', q(CREATE TABLE many (LIKE cdc_records INCLUDING ALL);
	CREATE FUNCTION too_many() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN IF (SELECT count(*) FROM new) > 1500 THEN RAISE 'too many'; END IF; RETURN NULL; END $$;
	CREATE TRIGGER many AFTER INSERT ON many REFERENCING NEW TABLE AS new FOR EACH STATEMENT EXECUTE FUNCTION too_many()));
$node->safe_psql('postgres', "SELECT pg_copy_logical_replication_slot('s', 'many')");
my ($code, $log) = run_client($db, 'many', $sink, '--until=now', '--sink-table=many', '--retry-for=0');
is($code, 3, 'a failure of the batch as a whole: exit code 3') or diag($log);
like($log, qr/too many.*\n.*DETAIL +Each record of the batch was taken when it was tried by itself/, 'says so');
is($node->safe_psql('sink', 'SELECT count(*) FROM many'), 0, 'and nothing was stored');

$node->stop;
done_testing();
