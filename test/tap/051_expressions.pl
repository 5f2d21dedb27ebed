# Expressions through a walsender, where no snapshot is active when an output plugin is called: row filters and
# rules of every kind give what the SQL functions give, and what SQL itself gives; an error leaves the
# server, the walsender and the slot healthy.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcTest;
use IPC::Run ();
use Test::More;

my $node = make_node('expressions');
my $started = $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()');

# Of each kind; SQL functions that are not inlined are what crashes without a snapshot.
my %expressions = (
	round => 'round(n + 1.5)', round_digits => 'round(n, 1)', pad => q{lpad(t, 12)}, right_pad => q{rpad(t, 12)},
	format => q{format('%s-%L-%I', t, n, t)}, number => q{to_char(n, 'FM9999.00')}, day => q{to_char(at, 'YYYY-MM-DD HH24:MI')},
	month => q{to_char(at, 'TMMonth')}, grouped => q{to_char(n * 1000, '9G999D99')},
	joined => q{t || n || at}, concat => q{concat(t, n, at, span, list)}, object => q{jsonb_build_object('n', n, 'at', at)},
	truncated => q{date_trunc('day', at)}, hour => q{extract(hour FROM at)}, berlin => q{at AT TIME ZONE 'Europe/Berlin'},
	feeling => q{mood::text}, span_text => q{span::text}, later => q{at + interval '1 month'}, cut => q{substring(t from '[0-9]+')},
	overlap => q{(at::timestamp, span) OVERLAPS (at::timestamp, interval '1 day')}, logarithm => q{log(n + 1)}, bits => q{bit_length(t)},
	length => q{length(body)}, hash => q{cdc.mask_hash(t, 'salt')}, some => q{cdc.mask_partial(t, 1, 1)}, none => q{cdc.redact(t)},
	search => q{t ~ '^r' AND t SIMILAR TO 'r%'}, element => q{list[1] + 1}, words => q{array_to_string(list, ',')},
	path => q{doc #>> '{a,b}'}, query => q{jsonb_path_query_first(doc, '$.a.b')}, years => q{age(at::timestamp, timestamp '2000-01-01')},
	choice => q{CASE WHEN n > 5 THEN t ELSE lpad(t, 4) END});
my @members = sort keys %expressions;

$node->safe_psql('postgres', q(
	CREATE EXTENSION cdc_decoder;
	CREATE TYPE mood AS ENUM ('sad', 'ok');
	CREATE TABLE t (id int PRIMARY KEY, n numeric, t text, at timestamptz, span interval, list int[], mood mood, doc jsonb, body text);
	ALTER TABLE t REPLICA IDENTITY FULL;
	CREATE PUBLICATION filtered FOR TABLE t WHERE (n > round(1.5) AND lpad(t, 5) <> '   ro' OR id % 7 = 0);
	SELECT cdc.create_pipeline('p');));
create_slot($node, 'postgres', 'source');
run_sql($node, 'postgres', join('', map { "SELECT cdc.set_column('p', 't', '$_', \$e\$$expressions{$_}\$e\$);\n" } @members));
$node->safe_psql('postgres', q(
	INSERT INTO t SELECT i, i + 0.25, 'row ' || i, timestamptz '2026-01-31 12:00Z' + i * interval '1 hour', i * interval '1 hour',
		ARRAY[i, 2], (enum_range(NULL::mood))[1 + i % 2], format('{"a": {"b": %s}}', i)::jsonb, repeat('long', i * 100)
		FROM generate_series(1, 200) AS i;
	UPDATE t SET n = n + 1 WHERE id % 3 = 0;
	UPDATE t SET n = 1, t = 'ro' WHERE id % 5 = 0;
	DELETE FROM t WHERE id % 11 = 0;));

check_paths();
check_values();
check_filter();
check_errors();
check_many_errors();
check_health('in the end');
$node->stop;
done_testing();

# The walsender's bytes are those of the SQL functions, under whatever settings.
sub check_paths
{
	foreach my $options ({ pipeline => 'p' }, { pipeline => 'p', publication_names => 'filtered' }, { publication_names => 'filtered' })
	{
		my $name = join(', ', map { "$_=$options->{$_}" } sort keys %$options);
		my $file = decode($node, 'postgres', 'source', options => $options);
		cmp_ok(scalar @{ read_lines($file) }, '>', 100, "$name: a walsender decodes it");
		same_files("$name: the same by SQL", $file, decode_by_sql($node, 'postgres', 'source', options => $options));
		same_files("$name: the same under other settings", $file, decode($node, 'postgres', 'source', options => $options,
			pgoptions => '-c DateStyle=SQL,DMY -c TimeZone=Asia/Kathmandu -c IntervalStyle=sql_standard '
			  # 19 has no other strings than conforming ones
			  . ($node->safe_psql('postgres', 'SHOW server_version_num') < 190000 ? '-c standard_conforming_strings=off ' : '') . '-c search_path=nowhere -c lc_numeric=C -c extra_float_digits=-10'));
		check_health($name);
	}
	return;
}

# What SQL says of the rows that are there.
sub check_values
{
	my $file = decode($node, 'postgres', 'source', options => { pipeline => 'p' });
	my $pinned = q(SET DateStyle = 'ISO'; SET IntervalStyle = 'iso_8601'; SET TimeZone = 'UTC'; SET lc_numeric = 'C'; SET lc_time = 'C';);

	load_records($node, 'postgres', $file, 'records');
	my $expected = join(', ', map { "$expressions{$_} AS m_$_" } @members);
	my $pairs = join(', ', map { "('$_', m_$_\::text, after->>'$_')" } @members);
	my $wrong = $node->safe_psql('postgres', $pinned . qq{
		WITH last AS (
			SELECT DISTINCT ON (id) (line::jsonb->'after'->>'id')::int AS id, line::jsonb->'after' AS after FROM records
			WHERE line::jsonb ? 'after' ORDER BY id, number DESC
		), expected AS (SELECT id, $expected FROM t), compared AS (
			SELECT expected.id, member, wanted, found FROM expected JOIN last USING (id), LATERAL (VALUES $pairs) AS x (member, wanted, found))
		SELECT count(DISTINCT id), count(DISTINCT member),
			string_agg(format('%s of %s: %s, not %s', member, id, found, wanted), '; ') FILTER (WHERE wanted IS DISTINCT FROM found
				AND wanted IS DISTINCT FROM replace(replace(found, 'T', ' '), 'Z', '+00'))
		FROM compared});
	is($wrong, '182|' . scalar(@members) . '|', 'each value is what SQL gives');
	return;
}

# Row filters do not depend on what the records look like: the rows are those that SQL selects.
sub check_filter
{
	my $file = decode($node, 'postgres', 'source', options => { publication_names => 'filtered' });
	my %inserted = map { /"op":"insert".*"key":\{"id":(\d+)\}.*"t":"row \d+"/ ? ($1 => 1) : () } @{ read_lines($file) };
	my $expected = $node->safe_psql('postgres', q(
		SELECT count(*) FROM generate_series(1, 200) AS i WHERE i + 0.25 > round(1.5) OR i % 7 = 0));

	cmp_ok(scalar keys %inserted, '>=', $expected, 'what matches the filter is inserted');
	return;
}

sub check_errors
{
	$node->safe_psql('postgres', q(
		CREATE TABLE e (id int PRIMARY KEY, secret text);
		SELECT cdc.create_pipeline('e');
		SELECT cdc.set_column('e', 'e', 'secret', 'secret::int');));
	create_slot($node, 'postgres', 'error');
	$node->safe_psql('postgres', q(
		INSERT INTO e VALUES (1, '1');
		INSERT INTO e VALUES (2, '2'), (3, 'CLASSIFIED'), (4, '4');
		INSERT INTO e VALUES (5, '5');));
	my $file = decode($node, 'postgres', 'error', options => { pipeline => 'e', on_expression_error => 'null' });
	my ($bad) = grep { /"errors"/ } @{ read_lines($file) };
	my ($lsn, $seq) = $bad =~ m{"commit_lsn":"([^"]+)","seq":(\d+),};

	like($bad, qr/"after":\{"id":3,"secret":null\},"errors":\["secret"\]\}$/, 'null, and said so');
	my $error = decode_fails($node, 'postgres', 'error', options => { pipeline => 'e' });
	like($error, qr{pipeline "e", member "secret" of "public"\."e", commit_lsn \Q$lsn\E, seq $seq\b}, 'an error says where');
	like($error, qr/SQLSTATE 22P02/, 'and what');
	like($error, qr/on_expression_error=null/, 'and how to go on');
	unlike($error, qr/CLASSIFIED/, 'but not the value');
	unlike(slurp_bytes($node->logfile), qr/CLASSIFIED/, 'nor does the log') or diag('log_statement is none');
	$file = decode($node, 'postgres', 'error', options => { pipeline => 'e', strip_records => "$lsn:$seq" });
	like(slurp_bytes($file), qr/"seq":$seq,[^\n]*"stripped":true,"sqlstate":"22P02"\}\n[^\n]*"after":\{"id":4,"secret":4\}/,
		'named, it is sent without its row, and the next as ever');
	check_health('after an error in a rule');

	$node->safe_psql('postgres', 'CREATE PUBLICATION e FOR TABLE e WHERE (10 / (length(secret) - 10) < 100) WITH (publish = insert)');
	$node->safe_psql('postgres', q(INSERT INTO e VALUES (6, '6'), (7, 'CLASSIFIED')));
	$error = decode_fails($node, 'postgres', 'error', options => { publication_names => 'e' });
	like($error, qr/row filter of the publications of "public"\."e"/, 'a filter that fails is named');
	like($error, qr/SQLSTATE 22012/, 'and what it failed with');
	$file = decode($node, 'postgres', 'error', options => { publication_names => 'e', on_expression_error => 'null' });
	is(scalar @{ read_lines($file) }, 2, 'with null the row is sent');
	check_health('after an error in a filter');
	return;
}

# An error is caught in a subtransaction: memory does not grow with them, and catalogs are right afterwards.
sub check_many_errors
{
	my ($records, $errors, $early, $late) = (0, 0, 0, 0);

	create_slot($node, 'postgres', 'many');
	$node->safe_psql('postgres', q(
		INSERT INTO e SELECT i, 'no number' FROM generate_series(1001, 60000) AS i;
		ALTER TABLE e ADD COLUMN added int DEFAULT 7;
		INSERT INTO e SELECT i, 'no number' FROM generate_series(100001, 101000) AS i;));
	decode_into(
		sub {
			my ($piece, $slot) = @_;
			$records += $piece =~ tr/\n//;
			$errors += () = $piece =~ /"errors":\["secret"\]/g;
			my $pid = walsender_pid($node, 'postgres', $slot);
			return if $pid eq '' || !-e "/proc/$pid/status";
			$early ||= memory_of($pid) if $records > 5000;
			$late = memory_of($pid) if $records > 5000 && $records < 60000;
		},
		$node, 'postgres', 'many', options => { pipeline => 'e', on_expression_error => 'null' });
	is($records, 60000, 'all records arrive');
	cmp_ok($errors, '>', 59000, 'nearly each piece whole, each with its error');
	cmp_ok($late - $early, '<', 8 * 1024 * 1024, "memory does not grow (from $early to $late bytes)");
	my $last = read_lines(decode($node, 'postgres', 'many', options => { pipeline => 'e', on_expression_error => 'null' }))->[-1];
	like($last, qr/"after":\{"id":101000,"secret":null,"added":7\},"errors"/, 'columns are those of the time');
	return;
}

sub check_health
{
	my ($when) = @_;
	is($node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()'), $started, "$when: the server is the same");
	unlike(slurp_bytes($node->logfile), qr/terminated by signal|PANIC|TRAP|could not find|snapshot reference leak|was not closed/,
		"$when: nothing in its log");
	return;
}
