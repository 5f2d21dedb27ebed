# The commands in doc/sink-kafka.md do what the page says, and its table of messages is true to the sources.
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

my $page = slurp_file("$FindBin::RealBin/../../doc/sink-kafka.md");
my @commands = $page =~ /^```sh\n(.*?)^```$/msg;
my ($expected) = $page =~ /^```text\n(key .*?)^```$/ms;
my $broker = KafkaBroker->new->start;
my $address = $broker->address;
my $node = make_node('kafka_page');
my $client = client_binary();
my $db = $node->connstr('shop');

# The page's database, broker and program are those of this test; Ctrl-C is --until=now.
s/\blocalhost:9092\b/$address/g foreach @commands;
$commands[0] =~ s/\bcdc_client stream --dbname=shop\b/$client stream --dbname="$db" --until=now --progress=off/ or die 'no command';

sub run_page
{
	my ($script) = @_;

	delete local $ENV{CDC_CLIENT};
	my ($stdout, $stderr) = run_command([ 'sh', '-e', '-c', $script ]);
	is($?, 0, "the page's command") or diag("$script\n$stderr");
	return $stdout;
}

# LSNs, transaction ids and times differ from run to run.
sub without_numbers
{
	my ($text) = @_;
	$text =~ s{\b0/[0-9A-F]{4,}}{0/X}g;
	$text =~ s/"xid":\d+/"xid":0/g;
	$text =~ s/"ts":"[^"]+"/"ts":""/g;
	$text =~ s/\s+\z//;
	return $text;
}

$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', 'CREATE TABLE orders (id int PRIMARY KEY, total numeric)');
run_page($commands[0]);
$node->safe_psql('shop', 'INSERT INTO orders VALUES (1, 9.50)');
$node->safe_psql('shop', 'DELETE FROM orders');
run_page($commands[0]);
is(without_numbers(run_page($commands[1])), without_numbers($expected), 'what arrived is what the page shows');
my $positions = run_page($commands[2]);
like($positions, qr{^\d+/shop/shop_kafka \{"system_identifier":}m, 'the position');
like($positions, qr{^\d+/shop/shop_kafka#client \{"client":\{.*"pid":\d+}m, 'and who streams');

# What the log says: the words between what is filled in stand in the sources, or in librdkafka
my $sources = join('', map { slurp_file($_) } glob("$FindBin::RealBin/../../client/kafka/*.c"));
$sources =~ s/"\s*\n\s*"//g;
my ($table) = $page =~ /^## What goes wrong\n(.*?)^Everything else/ms;
my $checked = 0;
foreach my $message ($table =~ /^\| `([^`]+)`/mg)
{
	next if $message =~ /^(Connect to|…)/; # librdkafka's own words
	foreach my $words (split(/"[^"]*"|…|\d[\w\/]*|\([A-Z_]+\)/, $message))
	{
		$words =~ s/^[\s:.;]+|[\s:.;]+$//g;
		next if length $words < 12;
		ok(index($sources, $words) >= 0, "the sources have: $words");
		$checked++;
	}
}
cmp_ok($checked, '>', 8, 'the table has messages');

$node->stop;
$broker->stop;
done_testing();
