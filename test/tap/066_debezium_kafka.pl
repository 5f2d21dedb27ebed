# format=debezium through the Kafka sink: topics, keys, values, headers and tombstones in a real broker are those that
# 065_debezium.pl compares with the connector's; and doc/format-debezium.md is true.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use Debezium;
use JSON::PP ();
use KafkaBroker;
use PostgreSQL::Test::Utils;
use Test::More;

my $missing = kafka_missing();
plan skip_all => $missing if $missing;

my $sources = "$FindBin::RealBin/../e2e/debezium";
my $broker = KafkaBroker->new->start;
my $node = make_node('debezium_kafka', "timezone = 'UTC'");
my @options = ('--format=debezium', '--option=topic.prefix=shop', '--option=publication_names=debezium');

$node->safe_psql('postgres', 'CREATE DATABASE kinds');
run_sql($node, 'kinds', slurp_file("$sources/kinds.sql") . 'CREATE PUBLICATION debezium FOR ALL TABLES;');
create_slot($node, 'kinds', $_) foreach 'kinds', 'streamed', 'plain', 'without';
run_sql($node, 'kinds', slurp_file("$sources/kinds_changes.sql"));

is(stream('streamed', 'unused', '--option=provide.transaction.metadata=on', '--option=skipped.operations=none'), 0, 'streamed');
my (%expected, %ids);
push @{ $expected{ $_->{topic} } }, $_ foreach @{ our_events($node, 'kinds', 'kinds', 'provide.transaction.metadata' => 'on', 'skipped.operations' => 'none') };
cmp_ok(scalar keys %expected, '>', 10, 'there are topics');
foreach my $topic (sort keys %expected)
{
	my @got = consume($topic);
	# the end of the workload is behind what our_events() gives
	splice(@got, scalar @{ $expected{$topic} }) if $topic eq 'shop.transaction';
	is_deeply([ map { plain($_) } @got ], [ map { plain($_) } @{ $expected{$topic} } ], "topic $topic");
	$ids{ join(' ', map { $_ // '-' } @{ $_->{all} }{ 'cdc-commit-lsn', 'cdc-seq', 'cdc-part', 'cdc-op' }) }++ foreach @got;
}
is(scalar(grep { $_ > 1 } values %ids), 0, 'no two messages of one record and kind');
is(scalar(grep { !defined $_->{value} } map { @$_ } values %expected) > 5, 1, 'there are tombstones');

# The second start goes on behind the first, within a change of two parts, too.
is(stream('streamed', 'unused'), 0, 'streamed again');
is(scalar consume('shop.public.plain'), scalar @{ $expected{'shop.public.plain'} }, 'nothing twice');

# Who says so in the URI or by the option gets no tombstones.
is(stream('plain', 'unused?tombstones=off', '--option=topic.prefix=quiet'), 0, 'streamed without tombstones');
is(scalar(grep { !defined $_->{value} } consume('quiet.public.plain')), 0, 'none by the URI');
is(stream('without', 'unused', '--option=topic.prefix=still', '--option=tombstones.on.delete=off'), 0, 'streamed without tombstones');
is(scalar(grep { !defined $_->{value} } consume('still.public.plain')), 0, 'none by the option');
is(scalar(grep { $_->{all}{'__debezium.newkey'} } consume('still.public.plain')), 1, 'but the headers');

check_page();
$node->stop;
$broker->stop;
done_testing();

sub stream
{
	my ($slot, $topic, @arguments) = @_;
	my @some = grep { my $option = $_; !grep { (split(/=/, $_))[1] eq (split(/=/, $option))[1] } grep { /^--option/ } @arguments } @options;
	my ($code, $log) = run_client(conninfo($node, 'kinds'), $slot, 'kafka://' . $broker->address . "/$topic", '--until=now', @some, @arguments);
	diag($log) if $code != 0;
	return $code;
}

# What a topic has: key, value, headers of the connector's names, and all headers.
sub consume
{
	my ($topic) = @_;
	my ($stdout, $stderr) = run_command([ 'kcat', '-C', '-q', '-e', '-J', '-b', $broker->address, '-t', $topic, '-o', 'beginning', '-X', 'isolation.level=read_committed' ]);
	my @messages;

	foreach my $line (split(/\n/, $stdout))
	{
		my $message = JSON::PP->new->utf8->decode($line);
		my %all = @{ $message->{headers} // [] };
		my %headers = map { $_ => Debezium::canonical($all{$_}) } grep { /^__debezium/ } keys %all;

		# kcat leaves the value of a message without one out, or has null
		push @messages, { topic => $topic, key => bytes($message->{key}), value => bytes($message->{payload}), headers => \%headers, all => \%all };
	}
	return @messages;
}

sub bytes
{
	my ($text) = @_;
	utf8::encode($text) if defined $text;
	return $text;
}

sub plain
{
	my ($message) = @_;
	return join(' ', map { $_ // '-' } @$message{ 'topic', 'key', 'value' }, %{ $message->{headers} });
}

# The page's sql is run, its json is what comes out, its commands work.
sub check_page
{
	my $page = slurp_file("$FindBin::RealBin/../../doc/format-debezium.md");
	my ($address, $client, $db) = ($broker->address, client_binary(), $node->connstr('shop'));
	my ($blocks, $arrived) = (0, '');
	my @on;

	$node->safe_psql('postgres', 'CREATE DATABASE shop');
	$node->safe_psql('shop', 'CREATE PUBLICATION dbz_publication FOR ALL TABLES');
	create_slot($node, 'shop', 'page');
	$node->safe_psql('shop', "SELECT pg_create_logical_replication_slot('debezium', 'pgoutput')");
	while ($page =~ /^(?:```(sql|json|sh)\n(.*?)^```$|<!-- options: (.*?) -->)/msg)
	{
		my ($kind, $block, $options) = ($1, $2, $3);
		if (defined $options)
		{
			@on = map { split(/=/, $_, 2) } split(/ /, $options);
		}
		elsif ($kind eq 'sql')
		{
			ok(defined eval { run_sql($node, 'shop', $block) }, 'the page: ' . ($block =~ /^(.{1,60})/)[0]) or diag($@);
		}
		elsif ($kind eq 'json')
		{
			my @lines = @{ read_lines(decode_by_sql($node, 'shop', 'page', options => { format => 'debezium', 'topic.prefix' => 'shop', @on })) };
			my @wanted = split(/\n/, $block);
			my @found = grep { length } @lines;
			$blocks++;
			is(join("\n", map { page_masked($_) } @found), join("\n", map { page_masked($_) } @wanted), "the page: records $blocks");
			$node->safe_psql('shop', "SELECT pg_replication_slot_advance('page', pg_current_wal_insert_lsn())");
			@on = ();
		}
		else
		{
			# each command has something to deliver
			$node->safe_psql('shop', 'INSERT INTO orders VALUES (' . (100 + pos $page) . ", 'carl', 2.50, NULL)");
			$block =~ s/\blocalhost:9092\b/$address/g;
			$block =~ s/\bcdc_client stream --dbname=shop\b/$client stream --dbname="$db" --until=now --progress=off/;
			# other records than those above of the same names are in the topic
			$block =~ s/topic\.prefix=shop\b/topic.prefix=page/;
			$block =~ s/shop\.public\.orders/page.public.orders/;
			my ($stdout, $stderr) = run_command([ 'bash', '-e', '-c', $block ]);
			is($?, 0, 'the page: ' . ($block =~ /(--sink\S+|-t \S+)/)[0]) or diag("$block\n$stderr");
			$arrived .= $stdout;
		}
	}
	is($blocks, 4, 'the page has examples');
	like($arrived, qr/^\{"id":\d+\} \{"before":null,"after":\{"id":\d+,"customer":"carl","total":"2\.50"/m, 'what its commands deliver and show');
	return;
}

# What differs from run to run.
sub page_masked
{
	my ($line) = @_;
	$line =~ s/"(ts_.s|txId|lsn)":\d+/"$1":0/g;
	$line =~ s/\[\\"\d+\\",\\"\d+\\"\]/SEQUENCE/g;
	$line =~ s/"id":"\d+:\d+"/"id":"XID:LSN"/g;
	return $line;
}
