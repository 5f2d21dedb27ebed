# CdcTypes: random types and random values of them, for tests of the round trip.
#
# A type is { name => its SQL name, value => sub returning an SQL expression of it that is not NULL,
# element => may arrays be made of it }.  Values keep clear of what JSON or the type cannot give back:
# minus zero, a jsonb null in place of a value, json that is spaced unlike jsonb or repeats a key,
# arrays that do not start at 1, and arrays whose elements are JSON arrays themselves (jsonb[] of
# arrays): jsonb_populate_record takes such elements for another dimension.
package CdcTypes;

use strict;
use warnings;
use utf8;

use CdcTest;
use Exporter qw(import);

our @EXPORT = qw(forget_types quote_text quote_name leaf_types extension_types random_type random_column_name
	random_value);

my $made = 0;

# Types are numbered anew: names are of one database only.
sub forget_types
{
	$made = 0;
	return;
}

sub quote_text
{
	my ($text) = @_;
	$text =~ s/'/''/g;
	return "'$text'";
}

sub quote_name
{
	my ($name) = @_;
	$name =~ s/"/""/g;
	return qq("$name");
}

my @words = ('', ' ', 'a', "O'Brien", '"quoted"', 'back\\slash', "line\nbreak", "cr\r\n", "tab\t",
	join('', map { chr } 1 .. 31), "\x7f", 'é', 'Grüße', '漢字', "\x{1F600}\x{10FFFF}", "\x{2028}\x{FEFF}",
	'null', '{"a":1}', '[1,2]', 'NaN', '\\u0041', '\\x00', '%s', '$1', '</script>', '{}', ',', '()',
	"a'b\"c\\d\te", "\x{80}", "\x{FFFD}\x{FFFF}");

sub random_text
{
	my $text = '';

	return pick(@words) if chance(2);
	$text .= chance(3) ? pick(@words) : chr(between(32, 126)) x between(1, 9) for 1 .. between(1, 6);
	return $text;
}

sub random_digits
{
	my ($n) = @_;
	return join('', map { between(0, 9) } 1 .. $n);
}

sub random_numeric
{
	my $text = between(1, 9) . random_digits(between(0, chance(20) ? 2000 : 30));

	$text .= '.' . random_digits(between(1, chance(20) ? 2000 : 20)) if chance(2);
	$text = '0.' . ('0' x between(0, 40)) . between(1, 9) if chance(6);
	return (chance(2) ? '-' : '') . $text;
}

sub random_float
{
	my ($digits, $exponent) = @_;
	return sprintf('%s%d.%se%d', chance(2) ? '-' : '', between(1, 9), random_digits($digits),
		between(-$exponent, $exponent));
}

sub random_timestamp
{
	my $year = pick(between(1, 9999), between(1970, 2038), between(10000, 290000));
	my $text = sprintf('%04d-%02d-%02d %02d:%02d:%02d', $year, between(1, 12), between(1, 28), between(0, 23),
		between(0, 59), between(0, 59));

	$text .= '.' . random_digits(between(1, 6)) if chance(2);
	return $text;
}

sub random_json
{
	my ($depth, $array_allowed) = @_;
	my $kind = between(0, $depth > 0 ? 7 : 4);

	return pick('true', 'false') if $kind == 0;
	return pick('0', '-1', '1.50', '123456789012345678901234567890.123456789', '1e-30', '0.0001') if $kind == 1;
	return '{' . join(',', map { qq("k$_":) . (chance(5) ? 'null' : random_json($depth - 1, 1)) }
			1 .. between(0, 4)) . '}' if $kind >= 5 && (!$array_allowed || chance(2));
	return '[' . join(',', map { chance(5) ? 'null' : random_json($depth - 1, 1) } 1 .. between(0, 4)) . ']'
	  if $kind >= 5;
	my $text = random_text();
	$text =~ s/(["\\])/\\$1/g;
	$text =~ s/([\x00-\x1f])/sprintf('\\u%04x', ord $1)/ge;
	return qq("$text");
}

# One of the edges half of the time, else a random one.
sub leaf
{
	my ($name, $edges, $random, %more) = @_;
	my $cast = $more{cast} // $name;
	my $value = sub {
		my $text = !$random || chance(2) ? pick(@$edges) : $random->();
		return '(' . quote_text($text) . ")::$cast";
	};
	return { name => $name, value => $value, element => 1, %more };
}

# A value is an expression and no literal.
sub leaf_of_expressions
{
	my ($name, $expressions, %more) = @_;
	return { name => $name, element => 1, value => sub { return '(' . pick(@$expressions) . ")::$name" }, %more };
}

sub integer_leaf
{
	my ($name, $low, $high) = @_;
	return leaf($name, [ 0, 1, $low, $high ], sub { return between(-1000000, 1000000) % 32768 });
}

sub number_types
{
	return (
		leaf('bool', [ 't', 'f' ]),
		integer_leaf('int2', -32768, 32767),
		integer_leaf('int4', '-2147483648', '2147483647'),
		integer_leaf('int8', '-9223372036854775808', '9223372036854775807'),
		integer_leaf('oid', 0, '4294967295'),
		leaf('float4', [ 'NaN', 'Infinity', '-Infinity', '0', '0.1', '1e-45', '3.4028235e38', '16777217', '1e7' ],
			sub { return random_float(8, 36) }),
		leaf('float8', [ 'NaN', 'Infinity', '-Infinity', '0', '0.1', '0.30000000000000004', '5e-324', '1e15', '1e16',
			'1.7976931348623157e308', '9007199254740993' ], sub { return random_float(17, 300) }),
		leaf('numeric', [ 'NaN', 'Infinity', '-Infinity', '0', '0.00', '1', '10000', '0.0001', '1.10', '1e130',
			'1e-130', '-9999.9999', '12345678.00000' ], \&random_numeric),
		leaf('numeric(12,3)', [ '0', '-1', '999999999.999', 'NaN' ], sub { return between(-99999999, 99999999) / 1000 }),
		leaf('money', [ '0', '-92233720368547758.08', '92233720368547758.07', '1234.50', '-0.01' ]),
		leaf('bit(5)', [ '00000', '11111', '10110' ]),
		leaf('varbit', [ '', '1', '0', '101010101010101' ], sub {
			return join('', map { between(0, 1) } 1 .. between(1, 200)) }),
		leaf('bit varying(9)[]', [ '{}', '{1,NULL,0101}' ], undef, element => 0));
}

sub text_types
{
	return (
		leaf('text', \@words, sub { return chance(40) ? random_text() x 20000 : random_text() }),
		leaf('varchar(40)', \@words, sub { return substr(random_text(), 0, 40) }),
		leaf('char(45)', \@words, sub { return substr(random_text(), 0, 45) }),
		leaf('"char"', [ '', 'a', '"', '\\', "\n", "\x01", "\x7f" ]),
		leaf('name', [ '', 'a', '"', 'é', 'x' x 63 ], sub { return substr(random_text(), 0, 15) }),
		leaf('bytea', [ '\\x', '\\x00', '\\xff', '\\x5c78', '\\x00ff8081' ], sub {
			return '\\x' . join('', map { sprintf '%02x', between(0, 255) } 1 .. between(0, chance(20) ? 5000 : 50)) }),
		leaf('uuid', [ '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff',
			'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' ]),
		leaf('jsonb', [ '{}', '"null"', '0', 'true', '{"a":{"b":null}}' ], sub { return random_json(4, 0) }),
		leaf('json', [ '{}', '"null"', '0', 'true', '{"a":{"b":null}}' ], sub { return random_json(3, 0) },
			cast => 'jsonb::text::json'),
		leaf('xml', [ '', '<a/>', '<a b="c">d &amp; e</a>', 'text only', "<a>\n</a>", '<ключ>é</ключ>' ]),
		leaf('tsvector', [ '', 'a', 'a:1A b:2,3B', q('a\\\\b ''q'), "'it''s' 'x y':4" ]),
		leaf('tsquery', [ '', 'a & !b', 'a <-> c:*A | d', "'x y' <2> z" ]),
		leaf('jsonpath', [ '$', '$.a[*] ? (@ > 1)', 'strict $."x y".z', '$[0 to last]' ]),
		leaf('refcursor', [ '', 'c', 'a "b"' ]));
}

sub time_types
{
	return (
		leaf('date', [ 'infinity', '-infinity', '4714-11-24 BC', '5874897-12-31', '0001-01-01', '0001-12-31 BC',
			'2000-02-29', '10000-01-01' ], sub { return substr(random_timestamp(), 0, -9) =~ /^(\S+)/ ? $1 : die }),
		leaf('time', [ '00:00:00', '24:00:00', '23:59:59.999999', '12:30:00.1' ]),
		leaf('time(2)', [ '00:00:00', '24:00:00', '12:30:00.12' ]),
		leaf('timetz', [ '00:00:00+15:59', '24:00:00-15:59:59', '12:34:56.789-03:30', '23:59:59.999999+00' ]),
		leaf('timestamp', [ 'infinity', '-infinity', '4714-11-24 00:00:00 BC', '294276-12-31 23:59:59.999999',
			'0001-01-01', '0001-12-31 23:59:59 BC', '2000-01-01', '1999-12-31 23:59:59.000001' ], \&random_timestamp),
		leaf('timestamp(3)', [ '2000-01-01 00:00:00.123' ], \&random_timestamp),
		leaf('timestamptz', [ 'infinity', '-infinity', '4714-11-24 00:00:00+00 BC', '294276-12-31 23:59:59.999999+00',
			'2000-06-15 12:00:00.5+05:45', '0044-03-15 12:00:00+00 BC' ], sub { return random_timestamp() . '+00' }),
		leaf('interval', [ '0', '1 mon -1 day', '-1 mon +1 day 00:00:00.000001', '178000000 years', '-178000000 years',
			'1 year 2 mons -3 days 04:05:06.789', '-00:00:00.1', '-1 day +23:59:59.999999', '2562047788:00:54.775807',
			'-2562047788:00:54.775807', '1 day', '25:00:00', '-1 year -1 mon +30 days -00:00:00.5' ], sub {
			return sprintf('%d months %d days %d microseconds', between(-5000, 5000), between(-5000, 5000),
				between(-1e12, 1e12)) }),
		leaf('interval day to second(1)', [ '1 12:00:00.1', '-3 00:00:00' ]));
}

sub network_and_geometry_types
{
	return (
		leaf('inet', [ '192.168.0.1/24', '10.0.0.1', '::1', '::ffff:1.2.3.4', 'fe80::1/64', '0.0.0.0/0' ]),
		leaf('cidr', [ '192.168.0.0/24', '::/0', '10.1.2.3/32' ]),
		leaf('macaddr', [ '08:00:2b:01:02:03', 'ff:ff:ff:ff:ff:ff' ]),
		leaf('macaddr8', [ '08:00:2b:01:02:03:04:05' ]),
		leaf('point', [ '(0,0)', '(1e-300,1e300)', '(NaN,Infinity)', '(0.1,-0.30000000000000004)' ]),
		leaf('line', [ '{1,-1,0}', '{0.1,2,3}' ]),
		leaf('lseg', [ '[(0,0),(1,1.5)]' ]),
		leaf('box', [ '(1,1),(0,0)', '(0.1,2),(-3,-4)' ], undef),
		leaf('path', [ '[(0,0),(1,1)]', '((0,0),(1,1),(2,0.1))' ]),
		leaf('polygon', [ '((0,0),(1,1),(2,0.1))' ]),
		leaf('circle', [ '<(0,0),1>', '<(0.1,-2),Infinity>' ]));
}

sub range_types
{
	return (
		leaf('int4range', [ 'empty', '(,)', '[1,10)', '[1,)' ]),
		leaf('int8range', [ 'empty', '(,-9223372036854775807)', '[1,10)' ]),
		leaf('numrange', [ 'empty', '[1.50,2.000]', '(,0.1)', '[-Infinity,Infinity]' ]),
		leaf('daterange', [ 'empty', '[2000-01-01,2000-02-01)', '[-infinity,infinity]' ]),
		leaf('tsrange', [ '["2000-01-01 00:00:00","2000-01-02 12:34:56.789"]', '("0044-03-15 00:00:00 BC",)' ]),
		leaf('tstzrange', [ '["2000-01-01 00:00:00+00","2000-01-02 12:34:56.789+05:45"]', '[,infinity)' ]),
		leaf('int4multirange', [ '{}', '{[1,3),[5,6)}', '{(,)}' ]),
		leaf('nummultirange', [ '{}', '{[1.50,3),(5,6]}' ]),
		leaf('tstzmultirange', [ '{}', '{["2000-01-01 00:00:00+00","2000-01-02 00:00:00+00"]}' ]),
		leaf('datemultirange', [ '{[2000-01-01,2000-02-01),[2000-03-01,)}' ]));
}

sub catalog_types
{
	return (
		leaf_of_expressions('regclass', [ "'pg_class'", "'odd \"schema'.".quote_text('x'), '0', '4000000000' ]),
		leaf('regproc', [ 'pg_backend_pid', '-', 'array_in' ]),
		leaf('regprocedure', [ 'abs(integer)', '-', 'format(text,"any")' ]),
		leaf('regoper', [ '0', '||/', '|/' ]),
		leaf('regoperator', [ '+(integer,integer)', '0', '-(none,bigint)' ]),
		leaf('regtype', [ 'integer', 'double precision', 'int4[]', '-', '"char"', 'timestamp with time zone' ]),
		leaf('regrole', [ '-', 'pg_monitor' ]),
		leaf('regnamespace', [ 'pg_catalog', '-', 'public' ]),
		leaf('regconfig', [ 'english', '-' ]),
		leaf('regdictionary', [ 'english_stem', '-' ]),
		leaf('regcollation', [ '"C"', '-' ]),
		leaf('xid', [ 0, '4294967295' ]),
		leaf('cid', [ 0, '4294967295' ]),
		leaf('xid8', [ 0, '18446744073709551615' ]),
		leaf('tid', [ '(0,0)', '(4294967295,65535)' ]),
		leaf('pg_lsn', [ '0/0', 'FFFFFFFF/FFFFFFFF', '0/16E2A10' ]),
		leaf('pg_snapshot', [ '10:20:10,14', '1:1:' ]),
		leaf('txid_snapshot', [ '10:20:10,14' ]),
		leaf('oidvector', [ '', '1 2 4294967295' ]),
		leaf('int2vector', [ '', '1 -2 3' ]),
		leaf('aclitem', [ 'pg_monitor=r/pg_monitor', '=UC/pg_monitor' ], undef, domain => 0));
}

sub leaf_types
{
	my @leaves = (
		number_types(), text_types(), time_types(), network_and_geometry_types(), range_types(), catalog_types());

	# the regclass of a table that no search_path finds, and whose names need quoting
	foreach my $leaf (grep { $_->{name} eq 'regclass' } @leaves)
	{
		$leaf->{value} = sub {
			return pick("'pg_class'", q('"odd "" schema"."Ta\\ble"'), "'-'", '4000000000::oid') . '::regclass' };
	}
	return @leaves;
}

# Types of those extensions that are there.
sub extension_types
{
	my ($node, $db) = @_;
	my %types = (
		citext => leaf('citext', [ '', 'AbC', 'É"' ]),
		ltree => leaf('ltree', [ '', 'Top.Science', 'a.b_c' ]),
		cube => leaf('cube', [ '(1,2,3)', '(0),(1)' ], undef, domain => 0),
		seg => leaf('seg', [ '1 .. 2.50', '~5' ], undef, domain => 0),
		isn => leaf('isbn13', [ '978-0-393-04002-9' ], undef, domain => 0));
	my @found;

	foreach my $extension (sort keys %types)
	{
		next unless $node->safe_psql($db,
			"SELECT count(*) FROM pg_available_extensions WHERE name = '$extension'");
		$node->safe_psql($db, "CREATE EXTENSION $extension");
		push @found, $types{$extension};
	}
	return @found;
}

my @name_parts = ('plain', 'Quo"te', 'back\\slash', "new\nline", 'é', 'sp ace', 'ключ', "ta\tb", "ap'os", '{"x":', 'select',
	"\x01", '漢字');

sub random_column_name
{
	my ($n) = @_;
	return pick(@name_parts) . $n;
}

# A value of the type, or NULL.
sub random_value
{
	my ($type) = @_;
	return chance(6) ? "NULL::$type->{name}" : $type->{value}->();
}

sub array_of
{
	my ($element) = @_;
	my $name = $element->{name};
	# "bit(5)[]" is the array's name, its modifier would be lost in a cast of ARRAY[]
	my $value = sub {
		return "'{}'::${name}[]" if chance(6);
		return 'ARRAY[' . join(', ', map { random_value($element) } 1 .. between(1, 4)) . "]::${name}[]"
		  if chance(2);
		my ($rows, $columns) = (between(1, 3), between(1, 3));
		my $plane = sub {
			return 'ARRAY[' . join(', ', map {
				'ARRAY[' . join(', ', map { random_value($element) } 1 .. $columns) . ']' } 1 .. $rows) . ']';
		};
		return $plane->() . "::${name}[]" if chance(2);
		return 'ARRAY[' . join(', ', map { $plane->() } 1 .. 2) . "]::${name}[]";
	};
	return { name => "${name}[]", value => $value, element => 0 };
}

sub composite_of
{
	my ($ddl, @fields) = @_;
	my $name = 'composite_' . ++$made;
	my $n = 0;
	my @columns = map { quote_name(random_column_name(++$n)) . " $_->{name}" } @fields;

	# a dropped attribute in its midst
	if (chance(3))
	{
		splice(@columns, between(0, scalar @columns), 0, '"dropped" text');
		push @$ddl, "CREATE TYPE $name AS (" . join(', ', @columns) . ");\n",
		  "ALTER TYPE $name DROP ATTRIBUTE \"dropped\";\n";
	}
	else
	{
		push @$ddl, "CREATE TYPE $name AS (" . join(', ', @columns) . ");\n";
	}
	return { name => $name, element => 1, value => sub {
		return 'ROW(' . join(', ', map { random_value($_) } @fields) . ")::$name" } };
}

sub domain_over
{
	my ($ddl, $base) = @_;
	my $name = 'domain_' . ++$made;

	# jsonb_populate_record() reads no domain over a type that lacks binary input
	return $base unless $base->{domain} // 1;
	push @$ddl, "CREATE DOMAIN $name AS $base->{name};\n";
	return { name => $name, element => 1,
		value => sub { return '(' . $base->{value}->() . ")::$name" } };
}

sub enum_type
{
	my ($ddl) = @_;
	my $name = 'enum_' . ++$made;
	my @labels = grep { $_ ne '' && length($_) < 15 } @words;

	push @$ddl, "CREATE TYPE $name AS ENUM (" . join(', ', map { quote_text($_) } @labels) . ");\n";
	return { name => $name, element => 1, value => sub { return quote_text(pick(@labels)) . "::$name" } };
}

sub range_over_text
{
	my ($ddl) = @_;
	my $name = 'range_' . ++$made;
	my @bounds = sort map { quote_text($_) } grep { $_ ne '' && !/[^\x20-\x7e]/ } @words;

	push @$ddl, "CREATE TYPE $name AS RANGE (subtype = text, collation = \"C\");\n";
	return { name => $name, element => 1, value => sub {
		my ($low, $high) = (pick(@bounds), pick(@bounds));
		return "$name(least($low COLLATE \"C\", $high), greatest($low COLLATE \"C\", $high), "
		  . pick("'[)'", "'[]'", "'()'") . ')' } };
}

# random_type(DDL, DEPTH, LEAVES): appends to DDL what creates it
sub random_type
{
	my ($ddl, $depth, $leaves) = @_;
	my $kind = between(0, 11);

	return pick(@$leaves) if $depth == 0 || $kind < 3;
	return enum_type($ddl) if $kind == 3;
	return range_over_text($ddl) if $kind == 4;
	return domain_over($ddl, random_type($ddl, $depth - 1, $leaves)) if $kind == 5;
	if ($kind < 9)
	{
		my $element = random_type($ddl, $depth - 1, $leaves);
		return $element->{element} ? array_of($element) : $element;
	}
	return composite_of($ddl, map { random_type($ddl, $depth - 1, $leaves) } 1 .. between(1, 4));
}

1;
