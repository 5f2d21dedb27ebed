# Our own writers of numbers, times and strings against PostgreSQL's, over random bits: rows come in by binary
# COPY, so that any bits are as likely as any others, and each value's JSON must be the text that
# PostgreSQL makes of it.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcTest;
use Encode qw(encode);
use Test::More;

my $rows = $ENV{CDC_ROWS} // 30_000;
my $node = make_node('writers');
my $seed = seed_random('random');

# A fraction has all its six digits here, where PostgreSQL drops zeros at its end.
sub six_digits
{
	my ($text) = @_;
	return "regexp_replace(regexp_replace($text, '(\\.\\d+)', '\\100000'), '(\\.\\d{6})\\d*', '\\1')";
}

# Column: its type, its random value as binary COPY has it, and the text that we promise of it.
my @columns = (
	[ f4 => 'float4', \&random_float4, 'to_json(f4)::text' ],
	[ f8 => 'float8', \&random_float8, 'to_json(f8)::text' ],
	[ i2 => 'int2', sub { pack('s>', random_integer(16)) }, 'i2::text' ],
	[ i4 => 'int4', sub { pack('l>', random_integer(32)) }, 'i4::text' ],
	[ i8 => 'int8', sub { pack('q>', random_integer(64)) }, 'i8::text' ],
	[ o => 'oid', sub { pack('N', random_integer(32) & 0xffffffff) }, 'o::text' ],
	[ n => 'numeric', \&random_numeric, 'to_json(n::text)::text' ],
	[ ts => 'timestamp', \&random_timestamp, six_digits('to_json(ts)::text') ],
	[ tz => 'timestamptz', \&random_timestamp, six_digits(q(replace(to_json(tz)::text, '+00:00', 'Z'))) ],
	[ d => 'date', sub { pack('l>', pick(between(-2451507, 100000), between(-2451507, 2145031948))) }, 'to_json(d)::text' ],
	[ t => 'time', sub { pack('q>', pick(between(0, 86400) * 1_000_000, between(0, 86_400_000_000))) }, six_digits('to_json(t)::text') ],
	[ iv => 'interval', sub { pack('q> l> l>', random_integer(58), random_integer(30), random_integer(26)) }, 'to_json(iv)::text' ],
	[ u => 'uuid', sub { random_bytes(16) }, 'to_json(u)::text' ],
	[ by => 'bytea', sub { random_bytes(between(0, 40)) }, 'to_json(by)::text' ],
	[ s => 'text', \&random_string, 'to_json(s)::text' ]);

my $list = join(', ', map { "$_->[0] $_->[1]" } @columns);
$node->safe_psql('postgres', "CREATE TABLE w (id int PRIMARY KEY, $list)");
create_slot($node, 'postgres', 'w');
my $data = output_file('copy');
open(my $out, '>:raw', $data) or die "could not write $data: $!";
print $out pack('a11 N N', "PGCOPY\n\xff\r\n\0", 0, 0);
foreach my $id (1 .. $rows)
{
	print $out pack('n', 1 + @columns), pack('N/a', pack('N', $id));
	print $out pack('N/a', $_->[2]->()) foreach @columns;
}
print $out pack('n', 0xffff);
close($out);
chmod 0644, $data;
$node->safe_psql('postgres', "COPY w FROM '$data' (FORMAT binary)");
my $file = decode($node, 'postgres', 'w');
load_records($node, 'postgres', $file, 'records');
$node->safe_psql('postgres', q(CREATE TABLE decoded AS SELECT (line::json->'after'->>'id')::int AS id, line::json->'after' AS row FROM records));
is($node->safe_psql('postgres', 'SELECT count(*) FROM decoded'), $rows, 'a record for each row');

foreach my $column (@columns)
{
	my ($name, $type, undef, $expected) = @$column;
	my $settings = "SET TimeZone = 'UTC'; SET IntervalStyle = iso_8601; SET extra_float_digits = 1; SET bytea_output = hex;";
	my $wrong = $node->safe_psql('postgres', qq{$settings
		SELECT coalesce(sum(1), 0) || coalesce(': ' || min(its || ' for ' || theirs), '') FROM (SELECT (row->'$name')::text AS its, $expected AS theirs
			FROM decoded JOIN w USING (id)) AS pairs WHERE its IS DISTINCT FROM theirs});
	is($wrong, '0', "$type: all are as PostgreSQL writes them") or diag("repeat with CDC_SEED=$seed");
}
$node->stop;
done_testing();

# Of any number of bits up to so many.
sub random_integer
{
	my ($bits) = @_;
	my $n = unpack('q>', random_bytes(8)) >> (64 - between(1, $bits - 1));
	return chance(2) ? $n : -$n;
}

sub random_bytes
{
	my ($n) = @_;
	return join('', map { chr(int(rand(256))) } 1 .. $n);
}

# Any bits, but for minus zero, which JSON has not.
sub random_float4
{
	my $bits = chance(3) ? pack('f>', between(-10000, 10000) / pick(1, 10, 100, 1000)) : random_bytes(4);
	return $bits eq pack('f>', -0.0) ? pack('f>', 0) : $bits;
}

sub random_float8
{
	my $bits = chance(3) ? pack('d>', between(-10000000, 10000000) / pick(1, 10, 100, 1000, 1e6)) : random_bytes(8);
	return $bits eq pack('d>', -0.0) ? pack('d>', 0) : $bits;
}

# Digits to the base of 10,000 (numeric_recv(), utils/adt/numeric.c).
sub random_numeric
{
	my @digits = map { pick(0, 1, 10, 9999, between(0, 9999)) } 1 .. between(0, 12);
	my $weight = between(-6, 12);
	my $scale = between(0, 30);

	return pack('n n n n', 0, 0, pick(0xc000, 0xd000, 0xf000), 0) if chance(50);
	return pack('n s> n n n*', scalar @digits, $weight, chance(2) ? 0 : 0x4000, $scale, @digits);
}

# From 4713 BC on to 294276.
sub random_timestamp
{
	return pack('q>', 9223372036854775807) if chance(100);
	return pack('q>', between(-211813488000, 9223371331199) * 1_000_000 + pick(0, 999999, between(0, 999999)));
}

sub random_string
{
	my $text = join('', map { pick(sub { chr(between(1, 127)) }, sub { chr(between(0x80, 0x7ff)) }, sub { chr(between(0x800, 0xd7ff)) },
			sub { chr(between(0xe000, 0xfffd)) }, sub { chr(between(0x10000, 0x10ffff)) }, sub { pick('"', '\\', "\n", "\0" ^ "\1", 'plain text of some length') })->() }
		1 .. between(0, 20));
	no warnings 'nonchar';
	return encode('UTF-8', $text);
}
