# format=debezium gives what the Debezium connector gives of the same WAL: topics, keys, values, headers, tombstones, for
# every type and mode and kind of change.  What differs on purpose is asserted at the end.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcTest;
use Debezium;
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;

my $missing = debezium_missing();
plan skip_all => $missing if $missing;

my $sources = "$FindBin::RealBin/../e2e/debezium";
my $node = debezium_node('debezium');
my %on = ('include.unknown.datatypes' => 'true');

foreach my $db ('types', 'kinds')
{
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	run_sql($node, $db, slurp_file("$sources/$db.sql") . 'CREATE PUBLICATION debezium FOR ALL TABLES;');
	create_slot($node, $db, $db);
	run_sql($node, $db, slurp_file("$sources/${db}_changes.sql"));
}

# Each mode of each option in one of them.
my @captures = (
	[ 'types_default', 'types', 'types', {} ],
	[ 'types_text', 'types', 'types', { 'decimal.handling.mode' => 'string', 'time.precision.mode' => 'connect', 'binary.handling.mode' => 'hex',
		'interval.handling.mode' => 'string', 'hstore.handling.mode' => 'map', 'include.unknown.datatypes' => 'true' } ],
	[ 'types_iso', 'types', 'types', { 'decimal.handling.mode' => 'double', 'time.precision.mode' => 'isostring', 'binary.handling.mode' => 'base64',
		'include.unknown.datatypes' => 'true', 'unavailable.value.placeholder' => 'not here' } ],
	[ 'types_micro', 'types', 'types', { 'time.precision.mode' => 'microseconds', 'binary.handling.mode' => 'base64-url-safe', 'include.unknown.datatypes' => 'true' } ],
	[ 'types_nano', 'types', 'types', { 'time.precision.mode' => 'nanoseconds',
		# it fails where it does not know a NOT NULL timestamp
		'table.exclude.list' => 'public.required_times' } ],
	[ 'types_schema', 'types', 'types', { 'converter.schemas.enable' => 'true', 'time.precision.mode' => 'adaptive_time_microseconds' } ],
	[ 'types_schema_text', 'types', 'types', { 'converter.schemas.enable' => 'true', 'decimal.handling.mode' => 'string', 'time.precision.mode' => 'connect',
		'interval.handling.mode' => 'string', 'hstore.handling.mode' => 'map', 'binary.handling.mode' => 'hex', 'include.unknown.datatypes' => 'true' } ],
	[ 'kinds_default', 'kinds', 'kinds', {} ],
	[ 'kinds_transactions', 'kinds', 'kinds', { 'provide.transaction.metadata' => 'true', 'skipped.operations' => 'none', 'binary.handling.mode' => 'hex',
		'decimal.handling.mode' => 'string' } ],
	[ 'kinds_schema', 'kinds', 'kinds', { 'converter.schemas.enable' => 'true', 'provide.transaction.metadata' => 'true', 'skipped.operations' => 'none' } ],
	[ 'kinds_bare', 'kinds', 'kinds', { 'tombstones.on.delete' => 'false', 'skipped.operations' => 'u,t' } ]);
my %theirs = capture($node, @captures);
my %ours;

foreach my $one (@captures)
{
	my ($name, $db, $slot, $properties) = @$one;
	my %options = %$properties;
	my $schema = delete $options{'converter.schemas.enable'};
	my ($excluded) = map { s/.*\.//r } delete $options{'table.exclude.list'} // 'none';

	$options{schema} = 'on' if $schema;
	$ours{$name} = our_events($node, $db, $slot, %options);
	same_events($name, [ grep { !differs($_) } @{ $theirs{$name} } ], [ grep { !differs($_) && $_->{topic} ne "shop.public.$excluded" } @{ $ours{$name} } ]);
}
cmp_ok(scalar @{ $theirs{types_default} }, '>', 60, 'there is much of types');
cmp_ok(scalar @{ $theirs{kinds_default} }, '>', 350, 'and of kinds');

# Kept out of the comparison: the tables for that, and what tells of all tables of a transaction.
sub differs
{
	my ($event) = @_;
	return 1 if $event->{topic} =~ /\.(differences|by_index|no_key)$/;
	# of a transaction that was replicated here the connector takes where it begins for 0
	return 1 if $event->{topic} eq 'shop.transaction' && ($event->{value} // '') =~ /"status":"BEGIN".*"ts_ms":1769860800120/;
	return $event->{topic} eq 'shop.transaction' && ($event->{value} // '') =~ /LogicalDecodingMessageId|"message"|by_index|no_key|differences/;
}

# ------------------------------------------------------------------------------------------------
# What differs on purpose (doc/format-debezium.md)
# ------------------------------------------------------------------------------------------------

sub rows
{
	my ($events, $table) = @_;
	return map { { %$_, value => $_->{value} ? JSON::PP->new->utf8->decode($_->{value}) : undef } } grep { $_->{topic} eq "shop.public.$table" } @$events;
}

my ($their) = map { $_->{value}{after} } rows($theirs{types_default}, 'differences');
my ($our) = map { $_->{value}{after} } rows($ours{types_default}, 'differences');
cmp_ok(length(delete $their->{negative}), '>', 1000, 'numeric of a negative scale: at scale 2046');
is(delete $our->{negative}, 'MAw=', 'numeric of a negative scale: the number itself, at scale 0');
is_deeply($their, { id => 1, f4 => 1.4e-45, iv => 1000000, nm => undef, ov => [], nan => undef, bta => undef, i4a => [ undef, undef ],
	tza => ['12:34:56Z'], hs => '{"aa":"y","a":"1","key2":"x","b":"2"}' }, 'what the connector makes of it');
is_deeply($our, { id => 1, f4 => 1e-45, iv => 1000001, nm => 'name', ov => [ 1, 2 ],
	nan => [ 'AJY=', undef ], bta => ['BQ=='], i4a => [ [ 1, 2 ], [ 3, 4 ] ], tza => ['12:34:56.7Z'], hs => '{"a":"1","b":"2","aa":"y","key2":"x"}' }, 'and what we do');

is_deeply([ map { $_->{key} } rows($theirs{kinds_default}, 'no_key') ], ['{"a":1}'], 'no primary key: a unique index is the key');
is_deeply([ map { $_->{key} } rows($ours{kinds_default}, 'no_key') ], [undef], 'no primary key: no key');
is_deeply([ map { ($_->{value}{op} // '') . ' ' . $_->{key} } rows($theirs{kinds_default}, 'by_index') ],
	[ 'c {"id":1}', 'd {"id":0}', ' {"id":0}', 'c {"id":1}' ], 'identity by an index: the primary key, of which old rows know nothing');
is_deeply([ map { ($_->{value}{op} // '') . ' ' . $_->{key} } rows($ours{kinds_default}, 'by_index') ],
	[ 'c {"k":"k"}', 'd {"k":"k"}', ' {"k":"k"}', 'c {"k":"l"}' ], 'identity by an index: that is the key');

# The first half of sequence: of theirs whatever was read before, of ours the commit.
my $last = 0;
my @commits = map { $_->{value} =~ /"sequence":"\[\\"(\d+)\\"/ ? $1 : () } grep { defined $_->{value} } @{ $ours{kinds_default} };
is(scalar(grep { my $falls = $_ < $last; $last = $_; $falls } @commits), 0, 'sequence never falls');
is(scalar @commits, scalar(grep { defined $_->{value} && $_->{value} =~ /"sequence"/ } @{ $ours{kinds_default} }), 'and is in every record');

# Decoding again gives the same bytes.
is_deeply(our_events($node, 'kinds', 'kinds'), $ours{kinds_default}, 'decoded again: the same');
$node->stop;
done_testing();
