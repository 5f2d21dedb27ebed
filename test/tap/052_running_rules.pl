# Rules changed while a stream runs take effect at their commit, and what was streamed is what decoding the
# same WAL later gives, byte by byte.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcTest;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = make_node('running');
$node->safe_psql('postgres', q(
	CREATE EXTENSION cdc_decoder;
	CREATE TABLE t (id serial PRIMARY KEY, a int, secret text DEFAULT 'secret');
	CREATE TABLE marker (k int PRIMARY KEY);
	CREATE PUBLICATION p FOR TABLE t, marker;));
create_slot($node, 'postgres', 'source');
$node->safe_psql('postgres', "SELECT pg_copy_logical_replication_slot('source', 'running')");
my %options = (pipeline => 'p', batch_bytes => 0, transaction_records => 'on');
my $file = output_file('running');
my ($output, $complaints) = ('', '');
my $stream = start_stream();

# One after the other: each row is as the rules were when it was written.
$node->safe_psql('postgres', 'INSERT INTO t (a) VALUES (0)'); # before there is a pipeline
$node->safe_psql('postgres', q(SELECT cdc.create_pipeline('p', '{p}')));
expect(q(INSERT INTO t (a) VALUES (1)), qr/"after":\{"id":2,"a":1,"secret":"secret"\}/, 'the pipeline');
$node->safe_psql('postgres', q(SELECT cdc.drop_column('p', 't', 'secret')));
expect(q(INSERT INTO t (a) VALUES (2)), qr/"after":\{"id":3,"a":2\}/, 'a column dropped');
$node->safe_psql('postgres', q(SELECT cdc.set_column('p', 't', 'twice', 'a * 2')));
expect(q(INSERT INTO t (a) VALUES (3)), qr/"after":\{"id":4,"a":3,"twice":6\}/, 'a member added');
$node->safe_psql('postgres', q(SELECT cdc.set_column('p', 't', 'twice', 'a * 20')));
expect(q(INSERT INTO t (a) VALUES (4)), qr/"after":\{"id":5,"a":4,"twice":80\}/, 'a member changed');
$node->safe_psql('postgres', q(SELECT cdc.set_metadata('p', '{"region": "eu"}')));
expect(q(INSERT INTO t (a) VALUES (5)), qr/"region":"eu","schema".*"id":6,/, 'metadata');
$node->safe_psql('postgres', q(BEGIN; SELECT cdc.set_column('p', 't', 'never', '1'); ROLLBACK;));
expect(q(INSERT INTO t (a) VALUES (6)), qr/"after":\{"id":7,"a":6,"twice":120\}/, 'nothing that is rolled back');
$node->safe_psql('postgres', q(SELECT cdc.apply_pipeline('{"pipeline": "p", "publications": ["p"], "options": {"source": "elsewhere"},
	"rules": [{"relation": "public.t", "kind": "drop", "member": "secret"}]}')));
expect(q(INSERT INTO t (a) VALUES (7)), qr/"source":"elsewhere","schema".*"after":\{"id":8,"a":7\}/, 'a document applied');
$node->safe_psql('postgres', q(ALTER TABLE t ADD COLUMN more text DEFAULT 'more'; ALTER PUBLICATION p SET TABLE t (id, a), marker;));
expect(q(INSERT INTO t (a) VALUES (8)), qr/"after":\{"id":9,"a":8\}/, 'a publication altered');
$node->safe_psql('postgres', 'ALTER PUBLICATION p SET TABLE t, marker');

# At once: writers, and rules that change among them.
my %scripts = (
	write => q(INSERT INTO t (a) VALUES (:client_id);),
	longer => q(
		BEGIN;
		INSERT INTO t (a) VALUES (:client_id);
		SAVEPOINT s;
		INSERT INTO t (a) VALUES (-1);
		ROLLBACK TO s;
		UPDATE t SET a = a + 1 WHERE id = (SELECT max(id) FROM t);
		COMMIT;),
	rules => q(
		\set k :k + 1
		BEGIN;
		INSERT INTO t (a) VALUES (-2);
		SELECT cdc.set_column('p', 't', 'version', ':k');
		INSERT INTO marker VALUES (:k);
		COMMIT;));
my @writers = (bench(\'write', 4, 300), bench('longer', 2, 200), bench('rules', 1, 120, '-D', 'k=0'));
foreach my $writer (@writers)
{
	ok($writer->{handle}->finish, "pgbench: $writer->{name}") or diag(${ $writer->{stderr} });
}
$node->safe_psql('postgres', 'INSERT INTO marker VALUES (0)');
wait_for(qr/"after":\{"k":0\}/, 'all of it');
my $end = endpos($node);
is($stream->pumpable ? 'running' : 'ended', 'running', 'the stream runs still') or diag($complaints);
stop_stream();
like($complaints, qr/pipeline "p" does not exist at this place in the WAL/, 'it said that there was no pipeline in the beginning');

check_versions();
same_files('decoded later it is the same', $file, decode($node, 'postgres', 'source', options => \%options, endpos => $end));
$node->restart;
same_files('and after a restart', $file, decode($node, 'postgres', 'source', options => \%options, endpos => $end));
is($node->safe_psql('postgres', 'VACUUM FULL cdc.rule; VACUUM FULL cdc.pipeline; SELECT 1'), '1', 'rules rewritten');
same_files('and after their tables were rewritten', $file, decode($node, 'postgres', 'source', options => \%options, endpos => $end));

# A dropped pipeline ends a running stream, and says so.
$complaints = '';
$stream = start_stream();
$node->safe_psql('postgres', q(SELECT cdc.drop_pipeline('p')));
$node->safe_psql('postgres', 'INSERT INTO t (a) VALUES (100)');
wait_until(sub { $complaints =~ /was dropped at this place/ }, 'the error');
like($complaints, qr/pipeline "p" was dropped at this place in the WAL/, 'a stream whose pipeline was dropped ends with an error');
$stream->finish;
unlike(slurp_bytes($file), qr/"a":100/, 'and with nothing sent that the pipeline would have transformed');
$node->stop;
done_testing();

sub start_stream
{
	local %ENV = $node->_get_env();
	return IPC::Run::start(
		[ $node->installed_command('pg_recvlogical'), '--dbname', $node->connstr('postgres'), '-S', 'running', '--start', '--no-loop',
			'-F', '0', '-s', '1', '-f', $file, slot_options(%options) ],
		'<', \undef, '>', \$output, '2>', \$complaints, IPC::Run::timeout($CdcTest::timeout));
}

# Ends by itself when told so, with all that it has written.
sub stop_stream
{
	$stream->signal('INT');
	$stream->finish;
	return;
}

sub wait_until
{
	my ($condition, $what) = @_;

	foreach (1 .. $CdcTest::timeout * 20)
	{
		return if $condition->();
		$stream->pump_nb if $stream->pumpable;
		usleep(50_000);
	}
	die "waited in vain for $what: $complaints";
}

sub wait_for
{
	my ($pattern, $what) = @_;
	wait_until(sub { -e $file && slurp_bytes($file) =~ $pattern }, $what);
	return;
}

sub expect
{
	my ($sql, $pattern, $name) = @_;

	$node->safe_psql('postgres', $sql);
	my ($value) = $sql =~ /VALUES \((\d+)\)/;
	wait_for(qr/"a":$value[,}]/, $name);
	my ($line) = grep { /"a":$value[,}]/ } @{ read_lines($file) };
	like($line, $pattern, "takes effect at its commit: $name");
	return;
}

sub bench
{
	my ($name, $clients, $transactions, @more) = @_;
	my ($script, $stderr) = (output_file('pgbench'), '');
	$name = $$name if ref $name;

	append_to_file($script, $scripts{$name});
	local %ENV = $node->_get_env();
	my $handle = IPC::Run::start(
		[ $node->installed_command('pgbench'), '-n', '-c', $clients, '-t', $transactions, @more, '-f', $script, $node->connstr('postgres') ],
		'<', \undef, '>', \my $ignored, '2>', \$stderr, IPC::Run::timeout($CdcTest::timeout));
	return { name => $name, handle => $handle, stderr => \$stderr };
}

# A marker is committed with the rule of its number.  No row has a later rule than the last marker before
# it; rows written and committed in between have that one.  A transaction that was under way meanwhile has
# for each row the rule of its place in the WAL, so later rows never have an earlier rule than those before.
sub check_versions
{
	my ($last, $rows, $early, $wrong, $changes) = (0, 0, 0, '', 0);
	my ($transaction, $before) = ('', 0);

	foreach my $line (@{ read_lines($file) })
	{
		if ($line =~ /"after":\{"k":(\d+)\}/)
		{
			$changes++ if $1 > 0;
			$last = $1 if $1 > 0;
			next;
		}
		next unless $line =~ /"table":"t"/ && $last > 0;
		my ($commit_lsn) = $line =~ /"commit_lsn":"([^"]+)"/;
		my ($version) = $line =~ /"version":(\d+)/;
		($transaction, $before) = ($commit_lsn, 0) if $commit_lsn ne $transaction;
		$rows++ if defined $version && $version == $last;
		$early++ if !defined $version || $version < $last;
		$wrong .= "$line\n" if defined $version && ($version > $last || $version < $before);
		$before = $version if defined $version;
	}
	is($changes, 120, 'each change of rules is in the stream');
	is($wrong, '', 'no row has a rule from before its time, or from after it');
	cmp_ok($rows, '>', $early, "rows have the rule that was committed before them ($rows; $early had been written before it)");
	return;
}
