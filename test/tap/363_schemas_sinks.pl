# Schema records in the sinks that know positions: beside the records, of each version one, there before the
# first record of the version; no part of the sequence, of positions or of what is exactly once.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcPostgresqlSink;
use CdcStream;
use CdcTest;
use GrpcServer;
use HttpReceiver;
use NatsServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RedisServer;
use Test::More;

my $node = make_node('schemas');
my $db = conninfo($node, 'postgres');
my @on = ('--option=schemas=on');

$node->safe_psql('postgres', 'CREATE DATABASE sink');
$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY, v text)');

my $redis = RedisServer->new(appendfsync => 'no');
my $nats = NatsServer->new;
my $grpc = GrpcServer->new;
my $http = HttpReceiver->new;

# Of each sink: its URI; its records, a JSON text each, in order; its schema records: [name, JSON text] each.
my %sinks = (
	postgresql => {
		uri => sink_uri($node, 'sink'),
		records => sub { lines($node->safe_psql('sink', 'SELECT record FROM cdc_records ORDER BY commit_lsn, seq')) },
		schemas => sub {
			map { [ split(/\|/, $_, 2) ] } lines($node->safe_psql('sink',
				q(SELECT schema || '.' || "table" || ':' || version, record FROM cdc_records_schemas ORDER BY since, version)))
		},
	},
	redis => {
		uri => $redis->uri('/{{cdc}:{schema}.{table}'),
		records => sub { map { $_->[1] } @{ $redis->entries('{cdc}:public.t') } },
		schemas => sub { pairs(@{ $redis->command('HGETALL', '{cdc}:{schema}.{table}:cdc-schemas') // [] }) },
	},
	nats => {
		uri => $nats->uri,
		records => sub { map { $_->{data} } @{ $nats->messages('cdc') } },
		schemas => sub {
			map {
				die "not its id: $_->{headers}" unless $_->{headers} =~ /^Nats-Msg-Id: *\Q$_->{subject}\E\r$/m;
				[ $_->{subject} =~ s/^cdc-schemas\.cdc\.(\w+)\.(\w+)\.(\w+)$/$1.$2:$3/r, $_->{data} ]
			} @{ $nats->messages('cdc-schemas') };
		},
	},
	grpc => {
		uri => $grpc->url,
		records => sub { $grpc->dump },
		schemas => sub { map { /^(\S+)\t(\S+)\t(.*)/; [ "$1:$2", $3 ] } $grpc->schemas('relation', 'version', 'value') },
	},
	http => {
		uri => $http->url,
		records => sub { grep { !/"op": *"schema"/ } $http->records },
		schemas => sub {
			map { [ /"schema":"(\w+)","table":"(\w+)","version":"(\w+)"/ ? "$1.$2:$3" : '', $_ ] }
			  grep { /"op":"schema"/ } $http->records;
		},
		at_least_once => 1,
	},
);

sub lines { return split(/\n/, $_[0]); }

sub pairs
{
	my (@list) = @_;
	my @pairs;
	push @pairs, [ splice(@list, 0, 2) ] while @list;
	return @pairs;
}

# The versions that records have, each once, in order.
sub versions_of
{
	my %seen;
	return grep { !$seen{$_}++ } map { /"schema_version": *"(\w+)"/ ? $1 : 'none' } @_;
}

sub ids_of
{
	return join(' ', map { /"after": *\{[^}]*"id": *(\d+)/ ? $1 : '-' } @_);
}

sub stream
{
	my ($name, $slot, @args) = @_;
	my ($code, $log) = run_client($db, $slot, $sinks{$name}{uri}, '--until=now', @args);

	is($code, 0, "$name: streamed") or diag($log);
	return $log;
}

foreach my $name (sort keys %sinks)
{
	my $sink = $sinks{$name};
	$node->safe_psql('postgres', 'DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v text)');
	create_slot($node, 'postgres', $name);

	# the first version, and another one in the same stream
	run_sql($node, 'postgres', 'INSERT INTO t VALUES (1), (2); ALTER TABLE t ADD COLUMN a int; INSERT INTO t VALUES (3);');
	stream($name, $name, @on);
	my @records = $sink->{records}->();
	my @schemas = $sink->{schemas}->();
	is(ids_of(@records), '1 2 3', "$name: the records, and nothing else among them");
	my @versions = versions_of(@records);
	is(scalar(@versions), 2, "$name: of two versions");
	is(join(' ', sort map { $_->[0] } @schemas), join(' ', sort map { "public.t:$_" } @versions),
		"$name: one schema record of each, by relation and version");
	is(scalar(grep { $_->[1] =~ /"op": *"schema"/ && $_->[1] =~ /"columns": *\[/ } @schemas), 2, "$name: these are what they say");

	# again: nothing is new, then more of the version that is known
	stream($name, $name, @on);
	is(scalar($sink->{schemas}->()), 2, "$name: without records none comes");
	$node->safe_psql('postgres', 'INSERT INTO t VALUES (4)');
	stream($name, $name, @on);
	is(ids_of($sink->{records}->()), '1 2 3 4', "$name: the next start goes on behind the last record");
	is(scalar($sink->{schemas}->()), $sink->{at_least_once} ? 3 : 2, "$name: the schema that came again "
		. ($sink->{at_least_once} ? 'is told by its version' : 'is the one that was there'));

	# killed in the middle, while schema records come between the records
	$node->safe_psql('postgres', "DO \$\$ BEGIN FOR i IN 1..40 LOOP EXECUTE 'ALTER TABLE t ALTER a SET DEFAULT ' || i; "
		. "INSERT INTO t SELECT g FROM generate_series(100 * i, 100 * i + 49) g; COMMIT; END LOOP; END \$\$");
	my $client = start_client($db, $name, $sink->{uri}, args => [ @on, '--commit-interval=0', '--max-in-flight=64KiB' ]);
	wait_until("$name: in the middle", sub { ids_of($sink->{records}->()) =~ / 5\d\d\b/ });
	kill_client($client, 'KILL');
	stream($name, $name, @on);
	@records = $sink->{records}->();
	my $expected = join(' ', 1 .. 4, map { 100 * $_ .. 100 * $_ + 49 } 1 .. 40);
	if ($sink->{at_least_once})
	{
		my %seen;
		is(ids_of(grep { !$seen{$_}++ } @records), $expected, "$name: each record arrived, in order");
	}
	else
	{
		is(ids_of(@records), $expected, "$name: each record once, in order");
	}
	my %told = map { $_->[0] => 1 } $sink->{schemas}->();
	is(join(' ', grep { !$told{"public.t:$_"} } versions_of(@records)), '', "$name: the schema of each is there");
	is(scalar(keys %told), 42, "$name: of each version") unless $sink->{at_least_once};
	$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('$name')");
}

# What the PostgreSQL sink's page tells to ask.
my ($section) = slurp_file("$FindBin::RealBin/../../doc/sink-postgresql.md") =~ /^## Schema records$(.*?)^## /ms;
my @columns = map { /`([^`]+)`/g } map { (split /\|/)[1] } grep { !/cdc_records_schemas/ } $section =~ /^(\| `.*)$/mg;
is(join(' ', sort @columns),
	$node->safe_psql('sink', q(SELECT string_agg(attname, ' ' ORDER BY attname COLLATE "C") FROM pg_attribute WHERE attrelid = 'cdc_records_schemas'::regclass AND attnum > 0)),
	'the columns that the page tells of');
my ($query) = $section =~ /^```\n(SELECT r\.record.*?;)$/ms or die 'no query';
is($node->safe_psql('sink', "SELECT count(*), count(*) FILTER (WHERE columns LIKE '%\"name\": \"id\"%') FROM (" . ($query =~ s/;$//r) . ') q(after, columns_)
	CROSS JOIN LATERAL (SELECT columns_::text) t(columns)'), '2004|2004', 'each record has its columns');

# In order where there is an order to be seen: a schema record before the first record of its version.
my (%told, @early);
foreach ($http->records)
{
	$told{$1} = 1 if /"op":"schema".*?"version":"(\w+)"/;
	push @early, $_ if /"schema_version":"(\w+)"/ && !$told{$1};
}
is(scalar(@early), 0, 'http: no record before its schema');
my @requests = $http->requests;
my ($mixed) = grep { ($_->{headers}{'cdc-schema-count'} // 0) > 0 && $_->{headers}{'cdc-record-count'} > 0 } @requests;
is($mixed->{headers}{'cdc-schema-count'} + $mixed->{headers}{'cdc-record-count'}, $mixed->{records},
	'http: the headers count them apart');
like($mixed->{headers}{'idempotency-key'}, qr/:0:[0-9A-F]+\/[0-9A-F]+-\d+-0\.\.[0-9A-F]+\/[0-9A-F]+-\d+-0\+[0-9a-f]{16}$/,
	'http: the key tells of them');
my %keys;
$keys{ $_->{headers}{'idempotency-key'} }{ $_->{digest} } = 1 foreach @requests;
is(scalar(grep { keys %$_ > 1 } values %keys), 0, 'http: no two bodies under one key');

# A sink that does not take them ends the stream, with the way out: they cannot be diverted.
sub refused
{
	my ($name, $code, $pattern, @args) = @_;
	my ($exit, $log) = run_client($db, 'refused', $sinks{$name}{refusing} // $sinks{$name}{uri}, '--until=now', '--retry-for=0', @on, @args);

	is($exit, $code, "$name: exit code $code");
	like($log, $pattern, "$name: says why");
	return;
}

create_slot($node, 'postgres', 'refused');
$node->safe_psql('postgres', 'CREATE TABLE r (id int PRIMARY KEY); INSERT INTO r VALUES (1)');
my $letters = 'file://' . output_file('letters');
$http->behave(refuse => '"op":"schema"');
refused('http', 2, qr/schema.*was answered with 422.*It is a schema record.*--option=schemas=off/s, "--on-error=dead-letter:$letters");
$http->behave();
$grpc->behave(refuse => '"op":"schema"', refuse_by => 'INVALID_ARGUMENT');
refused('grpc', 2, qr/INVALID_ARGUMENT: no schema is wanted/, "--on-error=dead-letter:$letters");
$grpc->behave();
$sinks{redis}{refusing} = $redis->uri('/other');
$redis->command('SET', '{other}:cdc-schemas', 'x');
refused('redis', 2, qr/schema records to key "\{other\}:cdc-schemas".*WRONGTYPE/);
is($redis->command('EXISTS', 'other'), 0, 'redis: nothing of the transaction was done');
$redis->command('DEL', '{other}:cdc-schemas');
$sinks{redis}{uri} = $sinks{redis}{refusing};
stream('redis', 'refused', @on);
is($redis->command('HLEN', '{other}:cdc-schemas') . ' ' . $redis->command('XLEN', 'other'), '1 1', 'redis: mended, it goes on');
$node->safe_psql('postgres', 'INSERT INTO r VALUES (2)');
$node->safe_psql('sink', 'ALTER TABLE cdc_records_schemas ADD CHECK ("table" <> \'r\') NOT VALID');
refused('postgresql', 2, qr/check constraint.*a schema record, which --on-error cannot divert/s, "--on-error=dead-letter:$letters");
$node->safe_psql('sink', 'DROP TABLE cdc_records_schemas; CREATE TABLE cdc_records_schemas (source text)');
refused('postgresql', 1, qr/table public.cdc_records_schemas has no column "schema" \(text or character varying\)/);
$nats->api('STREAM.DELETE.cdc-schemas');
$nats->make_stream('cdc-schemas', ['elsewhere']);
$sinks{nats}{refusing} = $nats->uri('/other.{schema}.{table}');
refused('nats', 3, qr/no stream takes subject "cdc-schemas\.other\.public\.r\./);
done_testing();
