# format=cloudevents: each record keeps the rules of CloudEvents 1.0 and its JSON event format, and its data is our own
# record, byte for byte.	In frames it has the same identity and keys as our own, and so have wal2json's.
use strict;
use warnings;

use Encode qw(decode_utf8 encode_utf8);
use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcFrames;
use CdcTest;
use CdcTypes;
use JSON::PP ();
use Test::More;

seed_random(10);
my $node = make_node('cloudevents');
my $json = JSON::PP->new->utf8;

make_changes();
my $ours = read_lines(decode($node, 'postgres', 'source', options => { transaction_records => 'on', source => 'shöp/1' }));
my $events = read_lines(decode($node, 'postgres', 'source',
	options => { format => 'cloudevents', transaction_records => 'on', source => 'shöp/1' }));

is(scalar @$events, scalar @$ours, 'as many events as records: ' . @$ours);
keep_the_rules();
same_data();
same_frames();
$node->stop;
done_testing();

sub make_changes
{
	my @leaves = leaf_types();
	my (@ddl, @changes, @names);

	push @ddl, "SET client_encoding = 'UTF8';\n", qq(CREATE SCHEMA "odd "" schema";\n), qq(CREATE TABLE "odd "" schema"."Ta\\ble" (a int);\n);
	push @changes, "SET client_encoding = 'UTF8';\n";
	foreach my $n (1 .. 12)
	{
		my @types = map { random_type(\@ddl, 3, \@leaves) } 1 .. between(2, 6);
		my $i = 0;
		my $name = quote_name(pick('plain', 'Quo"te', 'sla/sh', 'é', 'sp ace', '%41', "ap'os", '?#') . $n);
		push @ddl, "CREATE TABLE $name (id text PRIMARY KEY, " . join(', ', map { quote_name(random_column_name(++$i)) . " $_->{name}" } @types) . ");\n",
		  "ALTER TABLE $name REPLICA IDENTITY " . pick('FULL', 'DEFAULT', 'NOTHING') . ";\n";
		foreach my $id (1 .. 8)
		{
			my $key = quote_text(pick('plain', 'qu"ote', "back\\", "tab\t", "\x7f", "\x{85}", "\x{FFFF}", 'é漢', "\x{1F600}") . $id);
			push @changes, "INSERT INTO $name VALUES (" . join(', ', $key, map { random_value($_) } @types) . ");\n";
		}
		push @changes, "UPDATE $name SET id = id || '!' WHERE id LIKE '%3';\nDELETE FROM $name WHERE id LIKE '%4';\nTRUNCATE $name;\n";
	}
	push @changes, "SELECT pg_logical_emit_message($_);\n"
	  foreach "true, 'note', 'text'", "false, 'aside', ''", "true, '', '\\xff'::bytea", "true, E'a\\x02b', 'x'", "true, 'outbox:orders:1', '{\"a\":1}'";
	run_sql($node, 'postgres', encode_utf8(join('', @ddl)));
	create_slot($node, 'postgres', 'source');
	run_sql($node, 'postgres', encode_utf8(join('', @changes)));
	return;
}

# What the published JSON schema and the specification say, as a check of one event; returns what it breaks.
sub broken_rules
{
	my ($event) = @_;
	my @broken;
	my $is_text = sub { return defined $_[0] && !ref $_[0] && $_[0] ne '' };

	foreach my $name (keys %$event)
	{
		push @broken, "the name of attribute \"$name\"" unless $name =~ /^[a-z0-9]{1,20}$/;
		push @broken, "\"$name\" is no text" if $name ne 'data' && !$is_text->($event->{$name});
		push @broken, "\"$name\" has a control character or a noncharacter"
		  if $name ne 'data' && $event->{$name} =~ /[\x00-\x1F\x7F-\x9F\x{FDD0}-\x{FDEF}]|[\x{FFFE}\x{FFFF}]/;
	}
	foreach my $required ('id', 'source', 'specversion', 'type')
	{
		push @broken, "no \"$required\"" unless $is_text->($event->{$required});
	}
	push @broken, 'specversion' unless $event->{specversion} eq '1.0';
	push @broken, 'datacontenttype' unless $event->{datacontenttype} eq 'application/json';
	# RFC 3986: an absolute path of segments
	push @broken, "source \"$event->{source}\"" unless $event->{source} =~ m{^(/([A-Za-z0-9._~-]|%[0-9A-F]{2})+)+$};
	push @broken, 'type' unless $event->{type} =~ /^cdc\.[a-z]+$/;
	# RFC 3339
	push @broken, 'time' if exists $event->{time}
	  && $event->{time} !~ /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}Z$/;
	push @broken, 'sequence' unless $event->{sequence} =~ /^[0-9A-F]{16}-[0-9A-F]{16}-[0-9A-F]{4}$/;
	push @broken, 'data' unless ref $event->{data} eq 'HASH';
	return @broken;
}

sub keep_the_rules
{
	my (%broken, %seen, %kinds, %with);
	my $last = '';
	my $order = 0;

	foreach my $line (@$events)
	{
		my $event = $json->decode($line);
		$broken{$_}++ foreach broken_rules($event);
		$broken{'twice: ' . "$event->{source} $event->{id}"}++ if $seen{ $event->{source} }{ $event->{id} }++;
		$order++ if $event->{sequence} le $last;
		$last = $event->{sequence};
		$kinds{ $event->{type} }++;
		$with{$_}++ foreach keys %$event;
		# the subject is the key, where an attribute can be
		$broken{'subject'}++ if $event->{data}{key} && ref $event->{data}{key} && $event->{subject}
		  && $json->canonical->encode($json->decode(encode_utf8($event->{subject}))) ne $json->canonical->encode($event->{data}{key});
	}
	is(join("\n", sort keys %broken), '', 'all rules are kept, and no event is there twice');
	is($order, 0, 'sequence rises, compared as text');
	is(join(' ', sort keys %kinds), 'cdc.begin cdc.commit cdc.delete cdc.insert cdc.message cdc.outbox cdc.truncate cdc.update', 'each kind was there');
	cmp_ok($with{subject}, '<', $with{data}, 'some have no subject');
	cmp_ok($with{subject}, '>', 50, 'most have');
	# the check itself finds what is wrong
	my %good = (id => '1', source => '/cdc/a', specversion => '1.0', type => 'cdc.insert', datacontenttype => 'application/json',
		sequence => '0' x 16 . '-' . '0' x 16 . '-0000', time => '2026-01-31T23:59:59.123456Z', data => {});
	is(join(' ', broken_rules(\%good)), '', 'a good event passes the check');
	is(scalar(broken_rules({ %good, %$_ })), 1, 'a bad one does not: ' . join(' ', %$_))
	  foreach { Upper => 'x' }, { subject => '' }, { source => '/a b' }, { source => '/%4' }, { time => '2026-01-31 23:59:59Z' }, { specversion => '1.1' },
	  { data => 'text' }, { subject => "a\x01" };
	return;
}

# data is our own record without what attributes say.
sub same_data
{
	my $different = 0;

	foreach my $i (0 .. $#$ours)
	{
		my $record = $ours->[$i];
		$record =~ s{"commit_lsn":"([0-9A-F/]+)","seq":(\d+)(?:,"part":(\d+))?(?:,"xid":(\d+))?(?:,"ts":"([^"]+)")?}{}
		  or die "no identity in $record";
		my ($id, $xid, $ts) = ("$1-$2" . (defined $3 ? "-$3" : ''), $4, $5);
		$record =~ s/,,/,/;
		$record =~ s/,\}$/}/;
		my ($attributes, $data) = $events->[$i] =~ /^(.*?),"data":(.*)\}$/ or die "no data in $events->[$i]";
		my $event = $json->decode("$attributes}");
		next if $data eq $record && $event->{id} eq $id && ($event->{xid} // '') eq ($xid // '') && ($event->{time} // '') eq ($ts // '');
		diag("expected: $record\nfound:    $data\n$attributes") if $different++ == 0;
	}
	is($different, 0, 'data is our own record');
	return;
}

sub frames_of
{
	my (%options) = @_;
	my @frames;

	foreach my $message (@{ read_frames(decode($node, 'postgres', 'source', options => { framing => 'frames', %options })) })
	{
		push @frames, map { { %$_, commit_lsn => $message->{commit_lsn} } } grep { $_->{kind} ne 'R' } @{ $message->{frames} };
	}
	return \@frames;
}

sub same_frames
{
	my $own = frames_of(format => 'cdc');
	my $identity = sub { my ($frame) = @_; return "$frame->{commit_lsn} $frame->{seq} $frame->{part} $frame->{kind} $frame->{op}" };

	foreach my $format ('cloudevents', 'wal2json')
	{
		my $found = frames_of(format => $format, $format eq 'wal2json' ? ('include-transaction' => 'off') : ());
		is(join("\n", map { $identity->($_) } @$found), join("\n", map { $identity->($_) } @$own), "$format: the same frames");
		# keys are text here, so a key is the same in each format
		foreach my $key ('key', 'old_key')
		{
			is(join("\n", map { $_->{$key} // '-' } @$found), join("\n", map { $_->{$key} // '-' } @$own), "$format: the same $key");
		}
		cmp_ok(scalar(grep { $_->{old_key} } @$found), '>', 2, "$format: some keys change");
	}
	return;
}
