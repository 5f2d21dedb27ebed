# A large transaction of which nothing is selected: the consumer neither hears of it nor times out.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcTest;
use Test::More;
use Time::HiRes qw(time);

# So many that decoding takes several times the timeout; 5 million and more by environment.
my $changes = $ENV{CDC_CHANGES} // 3_000_000;
my $timeout = 0.5;

# in memory, so that all the time goes into the callbacks and none into spilling
my $node = make_node('large_transaction', 'logical_decoding_work_mem = 1GB',
	sprintf('wal_sender_timeout = %dms', $timeout * 1000));

$node->safe_psql('postgres', q(
	CREATE TABLE t (id int);
	CREATE TABLE small (id int PRIMARY KEY);
	SELECT pg_replication_origin_create('elsewhere')));

test_filtered('origin=none', { origin => 'none' }, qq(
	SELECT pg_replication_origin_session_setup('elsewhere');
	BEGIN;
	INSERT INTO t SELECT generate_series(1, $changes);
	SELECT pg_logical_emit_message(true, 'p', 'also from there');
	COMMIT;
	SELECT pg_replication_origin_session_reset();));
# many prefixes to compare with, so that few messages take long
test_filtered('message_prefixes', { message_prefixes => join(',', map { "wanted $_" } 1 .. 600) }, qq(
	SELECT count(pg_logical_emit_message(true, 'p', 'x')) FROM generate_series(1, $changes / 8);));

sub test_filtered
{
	my ($name, $options, $sql) = @_;
	my $slot = create_slot($node, 'postgres', $name =~ /(\w+)/);

	$node->safe_psql('postgres', "$sql INSERT INTO small VALUES ((SELECT count(*) FROM small))");
	foreach my $framing ('lines', 'frames')
	{
		my $offset = -s $node->logfile;
		my $started = time;
		my $file = eval { decode($node, 'postgres', $slot,
			options => { %$options, framing => $framing, transaction_records => 'on' },
			# a consumer that speaks only when it is spoken to
			arguments => [ '--status-interval=0' ]) };
		my $took = time - $started;
		my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile, $offset);

		ok($file, "$name, $framing: the stream does not break") or diag($@);
		unlike($log, qr/replication timeout/, "$name, $framing: nor time out");
		cmp_ok($took, '>', 2 * $timeout, sprintf('%s, %s: took longer than the timeout', $name, $framing));
		next unless $file && $framing eq 'lines';
		my @ops = map { /^\{"op":"(\w+)"/ } @{ read_lines($file) };
		is("@ops", 'begin insert commit', "$name: not a record of it, begin and commit neither");
	}
	$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('$slot')");
	return;
}

$node->stop;
done_testing();
