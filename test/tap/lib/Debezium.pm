# Debezium: tests that compare format=debezium with the Debezium connector itself (script/debezium-engine).
package Debezium;

use strict;
use warnings;

use Cwd qw(abs_path);
use CdcFrames;
use CdcTest;
use Encode qw(encode_utf8);
use Exporter qw(import);
use File::Basename qw(dirname);
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(debezium_missing debezium_node capture our_events same_events masked quoted_keys);

my $top = abs_path(dirname(abs_path(__FILE__)) . '/../../..');
my $json = JSON::PP->new->utf8;

# Why there can be no connector here; undef: there can.
sub debezium_missing
{
	return $ENV{CDC_DEBEZIUM_MISSING} if $ENV{CDC_DEBEZIUM_MISSING};
	return 'needs the Debezium connector, and there is no java' unless grep { -x "$_/java" } split(/:/, $ENV{PATH});
	return undef if jars();
	return 'needs the Debezium connector: script/debezium-engine fetch has not been run';
}

# Those of the version that the project file names.
sub jars
{
	my ($version) = slurp_file("$top/test/e2e/debezium/pom.xml") =~ m{debezium-embedded</artifactId>\s*<version>(.*?)</version>};
	my $home = (getpwuid($<))[7];
	my @found = grep { -f "$_/debezium-embedded-$version.jar" } grep { defined } $ENV{CDC_DEBEZIUM_JARS},
	  map { "$_/debezium/$version/jars" } '/opt/cdc_decoder', "$home/.cache/cdc_decoder";

	return $found[0];
}

# A server that the connector can reach.
sub debezium_node
{
	my ($name) = @_;
	my $node = make_node($name, "listen_addresses = '127.0.0.1'", 'wal_sender_timeout = 60s', "timezone = 'UTC'");

	$node->safe_psql('postgres', 'CREATE ROLE debezium SUPERUSER REPLICATION LOGIN');
	append_to_file($node->data_dir . '/pg_hba.conf', "host all debezium 127.0.0.1/32 trust\n");
	$node->reload;
	return $node;
}

# capture(NODE, [NAME, DATABASE, SLOT, { PROPERTY => VALUE }]...): what the connector sends of the WAL behind each slot, as
# hashes of topic, key, value and headers, by name.
sub capture
{
	my ($node, @wanted) = @_;
	my $folder = PostgreSQL::Test::Utils::tempdir();
	my ($stdout, $stderr, %events) = ('', '');

	foreach my $one (@wanted)
	{
		my ($name, $db, $slot, $properties) = @$one;
		my %all = (
			'name' => $name,
			'connector.class' => 'io.debezium.connector.postgresql.PostgresConnector',
			'offset.storage' => 'org.apache.kafka.connect.storage.MemoryOffsetBackingStore',
			'database.hostname' => '127.0.0.1', 'database.port' => $node->port, 'database.user' => 'debezium',
			'database.password' => 'none', 'database.dbname' => $db, 'topic.prefix' => 'shop',
			'plugin.name' => 'pgoutput', 'slot.name' => "debezium_$name",
			'publication.name' => 'debezium', 'publication.autocreate.mode' => 'disabled', 'snapshot.mode' => 'no_data',
			'poll.interval.ms' => 50, 'extended.headers.enabled' => 'false', 'custom.metric.tags' => "capture=$name", 'converter.schemas.enable' => 'false',
			'capture.output' => "$folder/$name.ndjson", 'capture.end' => 'the_end', %$properties);

		$node->safe_psql($db, "SELECT pg_copy_logical_replication_slot('$slot', 'debezium_$name', false, 'pgoutput')");
		append_to_file("$folder/$name.properties", join('', map { "$_=$all{$_}\n" } sort keys %all));
	}
	local $ENV{CDC_DEBEZIUM_JARS} = jars();
	IPC::Run::run([ "$top/script/debezium-engine", 'run', "$folder/classes", map { "$folder/$_->[0].properties" } @wanted ],
		'<', \undef, '>', \$stdout, '2>', \$stderr, IPC::Run::timeout(300)) or die "the connector failed: $stdout$stderr";
	note($stderr);
	foreach my $name (map { $_->[0] } @wanted)
	{
		$events{$name} = [ map { event_of($_) } @{ read_lines("$folder/$name.ndjson") } ];
		$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('debezium_$name')");
	}
	return %events;
}

# What is bytes of UTF-8 stays so.
sub event_of
{
	my ($line) = @_;
	my $event = $json->decode($line);
	my %headers = map { $_ => JSON::PP->new->utf8->canonical->encode($event->{headers}{$_}) } keys %{ $event->{headers} };

	foreach my $name ('topic', 'key', 'value')
	{
		utf8::encode($event->{$name}) if defined $event->{$name};
	}
	return { %$event, headers => \%headers };
}

# The same of ours, made from frames as a sink makes it.
sub our_events
{
	my ($node, $db, $slot, %options) = @_;
	my $file = decode($node, $db, $slot, options => { framing => 'frames', format => 'debezium', 'topic.prefix' => 'shop',
		publication_names => 'debezium', %options });
	my (%target, @events);

	foreach my $message (@{ read_frames($file) })
	{
		foreach my $frame (@{ $message->{frames} })
		{
			if ($frame->{kind} eq 'R')
			{
				$target{ $frame->{relation} } = (unpack('n/a* n/a* n/a*', $frame->{payload}))[2];
				next;
			}
			next if $frame->{payload} eq '';
			my %headers;
			$headers{'__debezium.newkey'} = canonical($frame->{old_key}) if $frame->{op} eq 'd' && defined $frame->{old_key};
			$headers{'__debezium.oldkey'} = canonical($frame->{old_key}) if $frame->{op} eq 'i' && defined $frame->{old_key};
			my %event = (topic => $target{ $frame->{relation} }, key => $frame->{key}, value => $frame->{payload}, headers => \%headers);
			return \@events if $event{topic} eq 'shop.public.the_end';
			push @events, \%event;
			push @events, { %event, value => undef } if $frame->{op} eq 'd' && $message->{tombstones};
		}
	}
	die 'the end is missing';
}

sub canonical
{
	my ($text) = @_;
	return JSON::PP->new->utf8->canonical->encode($json->decode($text));
}

# same_events(NAME, THEIRS, OURS): the same topics, keys, values and headers in the same order.
sub same_events
{
	my ($name, $theirs, $ours) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($expected, $got) = (output_file('expected'), output_file('got'));

	append_to_file($expected, join('', map { shown($_) } @$theirs));
	append_to_file($got, join('', map { shown($_) } @$ours));
	same_files("$name: the same " . @$theirs . ' events', $expected, $got);
	return;
}

sub shown
{
	my ($event) = @_;
	my $headers = $event->{headers};
	return join(' ', $event->{topic}, $event->{key} // '-', (map { "$_=$headers->{$_}" } sort keys %$headers),
		defined $event->{value} ? masked($event->{value}) : '-') . "\n";
}

# Times of processing, the version, and the first half of sequence, which is the end of the transaction that happened to be
# read before.
sub masked
{
	my ($value) = @_;

	$value =~ s/(^\{"op":"m","ts_ms":)\d+/$1TIME/;
	$value =~ s/("payload":\{"op":"m","ts_ms":)\d+/$1TIME/;
	# what we add where the connector has null for a value that it does not know
	$value =~ s/("ts_ns":\d+),"unchanged":\[[^]]*\](\}*)$/$1$2/;
	$value =~ s/,"ts_ms":\d+,"ts_us":\d+,"ts_ns":\d+(\}*)$/,TIMES$1/;
	$value =~ s/"version":"(?:3\.6\.1\.Final|cdc_decoder 1\.0)"/"version":VERSION/;
	$value =~ s/"sequence":"\[(?:null|\\"\d+\\"),/"sequence":"[BEFORE,/;
	# the same characters: Java's pairs are escaped
	$value =~ s/\\u(D[89AB][0-9A-F]{2})\\u(D[CDEF][0-9A-F]{2})/encode_utf8(chr(0x10000 + (((hex $1) - 0xD800) << 10) + (hex $2) - 0xDC00))/ge;
	# the connector takes each message for one of its own
	$value =~ s/"data_collection_order":\d+/"data_collection_order":NTH/ if $value =~ /"op":"m"/;
	# a list in any order
	$value =~ s/("data_collections":\[)(.*?)(\])/$1 . join(',', sort(split(m{,(?=\{)}, $2))) . $3/e;
	# of a message outside transactions WAL has no time
	$value =~ s/"ts_(ms|us|ns)":\d+/"ts_$1":NONE/g if $value =~ /"op":"m"/ && $value =~ /"txId":null/;
	return $value;
}

1;
