# Databases that are not UTF-8: valid UTF-8 from a walsender, \uXXXX from the SQL functions, the same JSON
# from both, and U+FFFD where nobody can know what a byte means.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcTest;
use Encode ();
use JSON::PP;
use Test::More;

# a byte that is wrong is an error, and the text that was converted stays as it is
my $strict = Encode::FB_CROAK | Encode::LEAVE_SRC;
my $json = JSON::PP->new->canonical->allow_nonref;
my $node = make_node('encodings');
my $seed = seed_random(5);

# What a database of the encoding can hold, as Unicode text: letters of one, two and three bytes, and
# such whose bytes are quotes, backslashes or control characters in some encoding or other.
my %alphabets = (
	LATIN1 => "\x{e9}\x{fc}\x{df}\x{ff}\x{a0}\x{80}\x{9f}",
	LATIN9 => "\x{20ac}\x{e9}\x{152}",
	WIN1251 => "\x{416}\x{44f}\x{2116}",
	KOI8R => "\x{416}\x{44f}\x{2550}",
	EUC_JP => "\x{65e5}\x{672c}\x{8a9e}\x{ff71}\x{3042}",
	EUC_KR => "\x{d55c}\x{ae00}",
	UTF8 => "\x{e9}\x{65e5}\x{1f600}\x{10fffd}");
my %perl_name = (LATIN1 => 'iso-8859-1', LATIN9 => 'iso-8859-15', WIN1251 => 'cp1251', KOI8R => 'koi8-r',
	EUC_JP => 'euc-jp', EUC_KR => 'euc-kr', UTF8 => 'utf-8');

test_encoding($_) foreach sort keys %alphabets;
test_sql_ascii();
test_high_char();

sub create_database
{
	my ($db, $encoding) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $db ENCODING '$encoding' TEMPLATE template0 LOCALE 'C'");
	return;
}

# decoded_both(DB, NAME): the records as Perl has them, after checking that both ways agree
sub decoded_both
{
	my ($db, $name, %options) = @_;
	my $streamed = read_lines(decode_slot($db, %options));
	my $called = read_lines(decode_by_sql($node, $db, 'source', options => \%options));
	my @streamed_text = map { eval { Encode::decode('UTF-8', $_, $strict) } } @$streamed;
	my @records = map { length > 20000 ? { text => $_ } : $json->decode($_) } grep { defined } @streamed_text;

	is(scalar(grep { !defined } @streamed_text), 0, "$name: a walsender's output is valid UTF-8");
	is(scalar(grep { /[^\x20-\x7f]/ } @$called), 0, "$name: the SQL functions' output is ASCII")
	  unless $db eq 'db_utf8';
	is(scalar(@$called), scalar(@$streamed), "$name: as many records from both");
	my @called = map { unescaped($_) } @$called;
	my ($differs) = grep { $streamed->[$_] ne $called[$_] } 0 .. $#$streamed;
	ok(@$streamed && !defined $differs, "$name: both are the same but for \\uXXXX")
	  or diag(defined $differs ? substr("streamed: $streamed->[$differs]\ncalled:   $called->[$differs]", 0, 2000) : 'no records');
	return @records;
}

# Escapes of what is not ASCII, as UTF-8; all others stay.
sub unescaped
{
	my ($line) = @_;
	$line =~ s{\\u(d[89ab]..)\\u(d[c-f]..)|\\u(?!00[0-7])(....)|(\\.)}{
		defined $4 ? $4
		: Encode::encode('UTF-8', chr(defined $3 ? hex $3 : 0x10000 + ((hex($1) - 0xd800) << 10) + hex($2) - 0xdc00)) }ge;
	return $line;
}

sub decode_slot
{
	my ($db, %options) = @_;
	return CdcTest::decode($node, $db, 'source', options => \%options);
}

sub random_string
{
	my ($letters) = @_;
	return join('', map { pick(@$letters, 'a', '"', '\\', "\n", "\x01", "\x7f", 'plain text') } 1 .. between(1, 60));
}

sub quoted
{
	my ($text, $quote) = @_;
	$text =~ s/\Q$quote\E/$quote$quote/g;
	return "$quote$text$quote";
}

# Names, text, json, enum labels, composites, messages: all in the database's encoding.
sub test_encoding
{
	my ($encoding) = @_;
	my $db = 'db_' . lc $encoding;
	my @letters = split(//, $alphabets{$encoding});
	my $odd = "$letters[0]\"$letters[1]\\ $letters[-1]";
	my @rows = map { random_string(\@letters) } 1 .. 50;
	# longer than a piece that is converted at a time, to be cut at every place of a character
	my @long = map { ('x' x $_) . $letters[-1] x 40000 . $letters[0] x 30000 } 0 .. 2;
	my $encoded = sub { return Encode::encode($perl_name{$encoding}, $_[0], $strict) };
	my $names = sub { return quoted($_[0], '"') };
	my $table = $names->("schema $odd") . '.' . $names->("table $odd");
	my $sql = 'CREATE TYPE mood AS ENUM (' . quoted("label $odd", "'") . ");\n"
	  . 'CREATE TYPE part AS (' . $names->("field $odd") . " text);\n"
	  . 'CREATE SCHEMA ' . $names->("schema $odd") . ";\n"
	  . "CREATE TABLE $table (id int PRIMARY KEY, " . $names->("column $odd") . " text, j json, jb jsonb, m mood, p part, n name, c char(9));\n"
	  . "CREATE TABLE long (t text);\n";
	my $n = 0;
	my $inserts = "SELECT pg_logical_emit_message(false, " . quoted("first $odd", "'") . ', ' . quoted($odd, "'") . ");\n";

	create_database($db, $encoding);
	run_sql($node, $db, $encoded->($sql), client_encoding => $encoding);
	create_slot($node, $db, 'source');
	foreach my $row (@rows)
	{
		my $document = $json->encode({ $row => [ $row, 1 ] });
		$inserts .= "INSERT INTO $table VALUES (" . join(', ', ++$n, quoted($row, "'"), quoted($document, "'"),
			quoted($document, "'"), quoted("label $odd", "'"), 'ROW(' . quoted($row, "'") . ')',
			quoted($odd, "'"), quoted("$letters[0]\"", "'")) . ");\n";
		$inserts .= 'SELECT pg_logical_emit_message(' . pick('true', 'false') . ", 'prefix', " . quoted($row, "'") . ");\n";
	}
	$inserts .= "INSERT INTO long VALUES (" . quoted($_, "'") . ");\n" foreach @long;
	run_sql($node, $db, $encoded->($inserts), client_encoding => $encoding);

	my @records = decoded_both($db, $encoding);
	my %wrong;
	my $first = shift @records;
	is($first->{prefix}, "first $odd", "$encoding: the prefix of a message that comes first of all");
	is($first->{content}, $odd, "$encoding: its content");
	foreach my $row (@rows)
	{
		my ($insert, $message) = (shift @records, shift @records);
		my $after = $insert->{after} // {};
		my %expected = (schema => "schema $odd", table => "table $odd");
		$wrong{$_}++ foreach grep { $insert->{$_} ne $expected{$_} } keys %expected;
		$wrong{'text'}++ if ($after->{"column $odd"} // '') ne $row;
		$wrong{'json'}++ if $json->encode($after->{j}) ne $json->encode({ $row => [ $row, 1 ] });
		$wrong{'jsonb'}++ if $json->encode($after->{jb}) ne $json->encode({ $row => [ $row, 1 ] });
		$wrong{'enum'}++ if ($after->{m} // '') ne "label $odd";
		$wrong{'composite'}++ if ($after->{p}{"field $odd"} // '') ne $row;
		$wrong{'name'}++ if ($after->{n} // '') ne $odd;
		$wrong{'char'}++ if ($after->{c} // '') ne "$letters[0]\"       ";
		$wrong{'message'}++ if ($message->{content} // '') ne $row;
		$wrong{'replaced'}++ if exists $insert->{replaced} || exists $message->{replaced};
	}
	is(join(', ', map { "$_ ($wrong{$_})" } sort keys %wrong), '', "$encoding: every text is what it was");
	is(scalar(grep { (shift @records)->{text} =~ /"t":"\Q$_\E"\}\}\z/ } @long), scalar @long, "$encoding: long texts");
	is(scalar @records, 0, "$encoding: no other records");
	# frames are bytes: UTF-8 in either case
	my $frames = slurp_bytes(decode_by_sql($node, $db, 'source', options => { framing => 'frames' }));
	ok(index($frames, Encode::encode('UTF-8', $letters[-1])) > 0, "$encoding: frames from the SQL functions are UTF-8");
	$node->safe_psql($db, "SELECT pg_drop_replication_slot('source')");
	return;
}

# What is valid UTF-8 stays; each other byte becomes U+FFFD and is counted.
sub test_sql_ascii
{
	create_database('db_sql_ascii', 'SQL_ASCII');
	run_sql($node, 'db_sql_ascii', "CREATE TABLE t (id int PRIMARY KEY, a text, b text);\n"
		. "CREATE TABLE \"t\xff\" (id int PRIMARY KEY, \"c\xfe\" text);\n", client_encoding => 'SQL_ASCII');
	create_slot($node, 'db_sql_ascii', 'source');
	run_sql($node, 'db_sql_ascii', join("\n",
		"SELECT pg_logical_emit_message(false, 'p\xff', 'x');",
		"INSERT INTO t VALUES (1, 'plain', 'caf\xc3\xa9 \xe6\x97\xa5');",
		"INSERT INTO t VALUES (2, 'a\xffb', '\xc3');",
		"INSERT INTO t VALUES (3, '\xed\xa0\x80', '\xf5\x80\x80\x80');",
		"INSERT INTO t VALUES (4, '\xc0\xaf', '\xe6\x97\"\xe6\x97\xa5');",
		"INSERT INTO \"t\xff\" VALUES (1, 'ok');",
		"UPDATE t SET id = 20, b = 'ok' WHERE id = 2;",
		"INSERT INTO t VALUES (5, repeat('\xff', 100000), '');",
		"SELECT pg_logical_emit_message(true, 'p', 'caf\xe9');", ''), client_encoding => 'SQL_ASCII');

	my @records = decoded_both('db_sql_ascii', 'SQL_ASCII');
	my $bad = "\x{fffd}";
	my @found = map { [ $_->{after}{a}, $_->{after}{b}, $_->{replaced} ] } @records[ 1 .. 4 ];
	is($records[0]{prefix}, "p$bad", 'SQL_ASCII: prefix of a message that comes first of all');
	is($records[0]{replaced}, 1, 'SQL_ASCII: what is replaced in a message is counted');
	is_deeply(\@found, [
		[ 'plain', "caf\x{e9} \x{65e5}", undef ],
		[ "a${bad}b", $bad, 2 ],
		[ $bad x 3, $bad x 4, 7 ],
		[ $bad x 2, "$bad$bad\"\x{65e5}", 4 ] ], 'SQL_ASCII: valid UTF-8 stays, other bytes are replaced and counted');
	is($records[5]{table}, "t$bad", 'SQL_ASCII: a table\'s name');
	is($records[5]{after}{"c$bad"}, 'ok', 'SQL_ASCII: a column\'s name');
	is($records[5]{replaced}, 2, 'SQL_ASCII: replaced in names, counted in each record');
	is($records[6]{replaced}, 1, 'SQL_ASCII: an update counts what is in this record');
	like($records[7]{text}, qr/"a":"(?:$bad){10000}/, 'SQL_ASCII: many in one value');
	like($records[7]{text}, qr/"replaced":100000\}\z/, 'SQL_ASCII: all of them counted');
	ok(!exists $records[8]{content}, 'SQL_ASCII: a message that is no text');
	is($records[8]{content_base64}, 'Y2Fm6Q==', 'SQL_ASCII: has its bytes in base64');
	$node->safe_psql('db_sql_ascii', "SELECT pg_drop_replication_slot('source')");
	return;
}

# A "char" may be any byte, in a UTF-8 database too.
sub test_high_char
{
	$node->safe_psql('db_utf8', 'CREATE TABLE high (id int PRIMARY KEY, c "char")');
	create_slot($node, 'db_utf8', 'source');
	$node->safe_psql('db_utf8', 'INSERT INTO high SELECT i, i::"char" FROM generate_series(-128, 127) AS i');
	my @records = decoded_both('db_utf8', '"char" in UTF8');
	is(scalar @records, 256, '"char": every byte gives a record');
	return;
}

$node->stop;
done_testing();
