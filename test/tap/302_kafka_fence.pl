# kafka://: a second client shuts the first one out, which says so; a transaction that took too long is begun anew;
# a broker that is silent holds nothing up and costs no memory; brokers and passwords that are wrong.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use KafkaBroker;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $missing = kafka_missing();
plan skip_all => $missing if $missing;

my $broker = KafkaBroker->new('transaction.abort.timed.out.transaction.cleanup.interval.ms=300');
my $sasl_port = PostgreSQL::Test::Cluster::get_free_port();
$broker->add_properties(
	"listeners=PLAINTEXT://127.0.0.1:$broker->{port},CONTROLLER://127.0.0.1:$broker->{controller},SASL_PLAINTEXT://127.0.0.1:$sasl_port",
	"advertised.listeners=PLAINTEXT://127.0.0.1:$broker->{port},SASL_PLAINTEXT://127.0.0.1:$sasl_port",
	'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT',
	'sasl.enabled.mechanisms=PLAIN',
	'listener.name.sasl_plaintext.plain.sasl.jaas.config='
	  . 'org.apache.kafka.common.security.plain.PlainLoginModule required user_cdc="hush-hush";');
$broker->start;
my $kafka = 'kafka://' . $broker->address;
my $node = make_node('kafka_fence', 'wal_sender_timeout = 2s');
my $db = conninfo($node, 'postgres');

$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY, v text)');
create_slot($node, 'postgres', $_) foreach 'two', 'late';

sub insert
{
	my ($where, @ids) = @_;
	$where->safe_psql('postgres', "INSERT INTO t SELECT unnest('{" . join(',', @ids) . "}'::int[])");
	return;
}

sub ids
{
	my ($topic, %options) = @_;
	return join(' ', map { $_->{key} =~ /(\d+)/ } $broker->consume($topic, %options));
}

# A copy of the server, streamed by a client that knows nothing of the first: the same stream
my $first = start_client($db, 'two', "$kafka/two");
insert($node, 1);
wait_until('the first record', sub { ids('two') eq '1' });
$node->backup('copy');
my $copy = PostgreSQL::Test::Cluster->new('kafka_copy');
$copy->init_from_backup($node, 'copy');
$copy->start;
create_slot($copy, 'postgres', 'two');
my $second = start_client(conninfo($copy, 'postgres'), 'two', "$kafka/two", args => ['--accept=gap']);
wait_log($second, qr/streaming slot/);
insert($node, 2);
is(wait_client($first), 2, 'the client that was shut out stops');
like(client_log($first), qr{another client has taken over the stream \d+/postgres/two of topic "cdc-positions": pid $second->{pid} on host},
	'and names the other');
insert($copy, 3);
wait_until('the second one goes on', sub { ids('two') eq '1 3' });
is(kill_client($second, 'TERM'), 0, 'the second ends when it is asked to');
is(ids('two'), '1 3', 'what the first had not committed is not to be seen');
$copy->stop;

# Stopped in the midst of a transaction, for longer than it may last
my $client = start_client($db, 'late', "$kafka/late?transaction.timeout.ms=3000", args => ['--commit-interval=1s']);
my ($id, $frozen) = (100, 0);
wait_log($client, qr/streaming slot/);
until ($frozen || $id > 120)
{
	insert($node, ++$id);
	wait_until('a record', sub { ids('late', isolation => 'read_uncommitted') =~ /\b$id\b/ });
	kill 'STOP', $client->{pid};
	# unless this test was so slow that it was committed meanwhile
	$frozen = ids('late') !~ /\b$id\b/;
	kill 'CONT', $client->{pid} unless $frozen;
}
ok($frozen, 'a client was stopped in the midst of a transaction');
my $end = $broker->end_offset('late');
wait_until('the broker ends the transaction', sub { $broker->end_offset('late') > $end });
kill 'CONT', $client->{pid};
my $wanted = $node->safe_psql('postgres', 'SELECT string_agg(id::text, \' \' ORDER BY id) FROM t');
wait_until('the record', sub { ids('late') =~ /\b$id\b/ });
is(ids('late'), $wanted, 'it is delivered again, once');
like(client_log($client), qr/trying again/, 'in a new session');
unlike(client_log($client), qr/another client/, 'no second client is blamed');
is(kill_client($client, 'TERM'), 0, 'and the client goes on');

# A broker that is silent for several times wal_sender_timeout
my $rows = 100_000;
my %delivery = (silent1 => 'exactly-once', silent2 => 'at-least-once');
my @slots = sort keys %delivery;
create_slot($node, 'postgres', $_) foreach @slots;
my $impatient = conninfo($node, 'postgres', options => '-c wal_sender_timeout=2s');
my %clients = map {
	$_ => start_client($impatient, $_, "$kafka/$_?delivery=$delivery{$_}", args => ['--max-in-flight=4MiB'])
} @slots;
wait_log($clients{$_}, qr/streaming slot/) foreach @slots;
kill 'STOP', $broker->pid;
$node->safe_psql('postgres', "INSERT INTO t SELECT g, repeat('v', 50) FROM generate_series(1001, 1000 + $rows) g");
foreach my $slot (@slots)
{
	my $walsender = walsender_pid($node, 'postgres', $slot);

	ok($node->poll_query_until('postgres',
			"SELECT backend_start < now() - interval '5 s' AND reply_time > now() - interval '1 s'
			 FROM pg_stat_replication WHERE pid = $walsender"),
		"$delivery{$slot}: the server hears from the client while the broker is silent");
	slurp_file("/proc/$clients{$slot}{pid}/status") =~ /^VmHWM:\s+(\d+) kB/m or die 'no VmHWM';
	note("$delivery{$slot}: $1 kB");
	cmp_ok($1, '<', client_sanitized() ? 1024 * 1024 : 40 * 1024, "$delivery{$slot}: memory stays below 40 MiB");
}
kill 'CONT', $broker->pid;
foreach my $slot (@slots)
{
	my @got;

	wait_until("$delivery{$slot}: all to be delivered", sub { (@got = $broker->consume($slot)) >= $rows });
	is(scalar @got, $rows, "$delivery{$slot}: each record once");
	is(scalar(grep { $got[$_]{headers}{'cdc-seq'} != $_ + 1 } 0 .. $#got), 0, "$delivery{$slot}: in order");
	is(kill_client($clients{$slot}, 'TERM'), 0, "$delivery{$slot}: the client ends as it should");
	unlike(client_log($clients{$slot}), qr/trying again/, "$delivery{$slot}: and it needed no second try");
}

# Passwords
my $file = output_file('conf');
my $login = "kafka://127.0.0.1:$sasl_port/login?security.protocol=sasl_plaintext&sasl.mechanism=PLAIN&config=$file";
create_slot($node, 'postgres', 'login');
insert($node, 1_000_000);
append_to_file($file, "# of librdkafka\nsasl.username = cdc\nsasl.password = hush-hush # quiet\n");
my ($code, $log) = run_client($db, 'login', $login, '--until=now');
is($code, 0, 'a password from a file') or diag($log);
is(ids('login'), '1000000', 'opens the door');
append_to_file($file, "sasl.password = guessed\n");
($code, $log) = run_client($db, 'login', $login, '--until=now');
is($code, 2, 'a wrong one does not');
like($log, qr/Authentication failed.*sasl\.password of the sink/s, 'it says so') or diag($log);
unlike($log, qr/guessed|hush/, 'and shows none');

# Longer than brokers allow
($code, $log) = run_client($db, 'login', "$kafka/login?transaction.timeout.ms=1000000", '--until=now');
is($code, 1, 'a transaction that may last longer than brokers allow');
like($log, qr/\(INVALID_TRANSACTION_TIMEOUT\).*transaction\.max\.timeout\.ms/s, 'is an error that says so') or diag($log);

# Nobody there
my $nobody = PostgreSQL::Test::Cluster::get_free_port();
($code, $log) = run_client($db, 'login', "kafka://127.0.0.1:$nobody/x", '--until=now', '--retry-for=0');
is($code, 3, 'no broker: may pass');
like($log, qr/brokers 127\.0\.0\.1:$nobody: .*Connection refused/, 'it says why') or diag($log);

$node->stop;
$broker->stop;
done_testing();
