# A pipeline of rules in a file: pipeline apply, export and preview.
use strict;
use warnings;

use File::Basename qw(dirname);
use lib dirname(__FILE__) . '/lib';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CdcAdmin;

my $dir = PostgreSQL::Test::Utils::tempdir;
my $node = admin_node('main');
my $file = "$dir/shop.json";

# The same as pipeline export writes it
my $exported = <<'JSON';
{
	"pipeline": "shop",
	"publications": ["shop", "Other one"],
	"options": {
		"delete": "key",
		"source": "postgres_main"
	},
	"metadata": {
		"exact": 123456789012345678901234567890.10,
		"region": "eu \"west\" é"
	},
	"rules": [
		{"relation": "public.\"Odd Table\"", "kind": "rename", "member": "a \"b\"", "definition": "ab"},
		{"relation": "public.orders", "kind": "column", "member": "day", "definition": "to_char(placed, 'YYYY-MM-DD'::text)"},
		{"relation": "public.orders", "kind": "lookup", "member": "user_name", "definition": {"column": "name", "columns": ["user_id"], "reference": "public.users", "reference_columns": ["id"]}},
		{"relation": "public.users", "kind": "column", "member": "email", "definition": "cdc.redact(email)"},
		{"relation": "public.users", "kind": "delete", "definition": "key"},
		{"relation": "public.users", "kind": "drop", "member": "password"}
	]
}
JSON

sub apply
{
	my ($text, $name, @more) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($out, $err) = client_ok($node, [ 'pipeline', 'apply', write_file($file, $text), @more ], $name);

	return wantarray ? ($out, $err) : $out;
}

# refused(TEXT, [PATTERNS], NAME, ARGUMENT...): exit code 1, and nothing was changed
sub refused
{
	my ($text, $patterns, $name, @more) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $before = state();

	client_fails($node, [ 'pipeline', 'apply', write_file($file, $text), @more ], 1, $patterns, $name);
	is(state(), $before, "$name: nothing was changed");
	return;
}

# All that there is of pipelines, and which row versions: nothing was written where these are the same
sub state
{
	return $node->safe_psql('postgres', q{
		SELECT (SELECT json_agg(p || jsonb_build_object('v', x) ORDER BY x) FROM (SELECT to_jsonb(p), p.xmin::text || p.ctid FROM cdc.pipeline p) p(p, x)),
			(SELECT json_agg(r || jsonb_build_object('v', x) ORDER BY x) FROM (SELECT to_jsonb(r), r.xmin::text || r.ctid FROM cdc.rule r) r(r, x)),
			(SELECT json_agg(oid ORDER BY oid) FROM pg_class WHERE relnamespace = 'cdc'::regnamespace),
			(SELECT json_agg(oid ORDER BY oid) FROM pg_trigger)});
}

sub exported
{
	my (@more) = @_;

	return scalar client_ok($node, [ 'pipeline', 'export', '-', '--pipeline=shop', @more ], 'export');
}

# Usage
client_fails($node, [ 'pipeline', 'apply' ], 1, [qr/"pipeline apply" needs a FILE/, qr/HINT .*- stands for standard input/], 'no file');
client_fails($node, [ 'pipeline', 'apply', 'a', 'b' ], 1, [qr/unexpected argument "b"/], 'two files');
client_fails($node, [ 'pipeline', 'export', '-' ], 1, [qr/"pipeline export" needs option "pipeline"/], 'export of nothing');
client_fails($node, [ 'pipeline', 'preview', '-' ], 1, [qr/"pipeline preview" needs option "relation"/], 'preview of nothing');
client_fails($node, [ 'pipeline', 'preview', '-', '--relation=x', "--max-rows=$_" ], 1,
	[qr/--max-rows: "\Q$_\E" is not a number that is allowed/, qr/HINT .*1 to 100000/], "--max-rows=$_")
  foreach qw(0 100001 10kB -1 99999999999999999999);
client_fails($node, [ 'pipeline', 'remove', '-' ], 1, [qr/"remove\\?" is none that it knows/], 'another word');
client_fails($node, [ 'stream', 'x' ], 1, [qr/unexpected argument "x"/], 'other subcommands take no file');
client_fails($node, [ 'pipeline', 'apply', '-', '--slot=s' ], 1, [qr/takes no such option/], 'nor do these take a slot');
like(scalar client_ok($node, [ 'pipeline', 'apply', '--help' ], '--help'), qr/^  cdc_client pipeline apply FILE \[OPTION\]/m, '--help says FILE');

# Without the extension
client_fails($node, [ 'pipeline', 'apply', write_file($file, $exported) ], 1,
	[qr/database "postgres" has no extension cdc_decoder/, qr/HINT .*CREATE EXTENSION cdc_decoder;/], 'no extension');
$node->safe_psql('postgres', q(
	CREATE EXTENSION cdc_decoder;
	CREATE TABLE users (id int PRIMARY KEY, name text, email text, password text);
	CREATE TABLE orders (id int PRIMARY KEY, user_id int, total numeric(10,2), placed timestamptz);
	CREATE TABLE "Odd Table" (id int PRIMARY KEY, "a ""b""" int);
	INSERT INTO users SELECT n, 'Ann ' || n, n || '@example.com', 'hush' FROM generate_series(1, 20) n;
	CREATE PUBLICATION shop FOR TABLE users, orders;
	CREATE PUBLICATION "Other one" FOR TABLE "Odd Table"));

# Files that are none
client_fails($node, [ 'pipeline', 'apply', "$dir/gone" ], 1, [qr/could not open "\Q$dir\E\/gone": No such file/], 'no such file');
client_fails($node, [ 'pipeline', 'apply', $dir ], 1, [qr/could not read "\Q$dir\E"/], 'a folder');
refused('', [qr/shop\.json: not JSON, line 1, column 1: it ends/, qr/HINT .*pipeline export/], 'an empty file');
refused(qq({"pipeline": "shop",\n\t"options": {"ü": 1,}}), [qr/not JSON, line 2, column 21: /], 'a comma too many');
refused(qq({"pipeline": "shop",\n"rules": [), [qr/not JSON, line 2, column 11: it ends before/], 'half a file');
refused(qq({"pipeline": "shop"}\n\nx), [qr/not JSON, line 3, column 1: there is more/], 'more behind it');
refused(qq({"pipeline": "sh\0op"}), [qr/not JSON, line 1, column 17: a zero byte/], 'a zero byte');
refused(qq({"pipeline": "sh\xe9p"}), [qr/not JSON, line 1, column 1\d: .*utf-8/i], 'Latin-1');
refused($_, [qr/not a pipeline: it must be a JSON object with a string "pipeline"/, qr/HINT .*For example/], "not a pipeline: $_")
  foreach '[]', '{}', '{"pipeline": 1}', '"pipeline"', 'null';
refused(qq({"pipeline": "$_"}), [qr/no name for a pipeline/, qr/HINT .*1 to 63 bytes/], 'a name of ' . length($_))
  foreach '', 'x' x 64;
refused($_->[0], [qr/the document has twice: $_->[1]/], "twice: $_->[1]") foreach
	[ '{"pipeline": "shop", "pipeline": "other"}', 'pipeline' ],
	[ '{"pipeline": "shop", "metadata": {"a": 1, "a": 2}}', 'a in metadata' ],
	[ '{"pipeline": "shop", "rules": [{"relation": "public.users", "kind": "drop", "kind": "key"}]}', 'kind in a rule of public\.users' ];

# What the server says of a pipeline, and of which rule
sub rules { return sprintf('{"pipeline": "shop", "rules": [{"relation": "public.users", "kind": "drop", "member": "name"}, %s]}', join(', ', @_)) }
refused('{"pipeline": "shop", "options": {"colour": "red"}}', [qr/pipeline "shop": unknown option "colour"/, qr/HINT .*Known options/], 'an unknown option');
refused('{"pipeline": "shop", "colour": "red"}', [qr/pipeline "shop": unknown member "colour"/], 'an unknown member');
refused('{"pipeline": "shop", "rules": {}}', [qr/pipeline "shop": members "publications" and "rules".* arrays/], 'rules that are no list');
refused(rules('7'), [qr/pipeline "shop": a rule must be a JSON object.*: 7/], 'a rule that is none');
refused(rules('{"relation": "users", "kind": "drop", "member": "email"}'),
	[qr/pipeline "shop", relation users, member "email": relation "users" does not exist/, qr/HINT .*"public\.users"/], 'a relation without its schema');
refused(rules('{"relation": "public.users", "kind": "column", "member": "mail", "definition": "lower(emal)"}'),
	[qr/pipeline "shop", relation public\.users, member "mail": column "emal" does not exist/, qr/DETAIL .*character 7 of/, qr/HINT .*users\.email/],
	'an expression over no column');
refused(rules('{"relation": "public.orders", "kind": "column", "member": "now", "definition": "now()"}'),
	[qr/pipeline "shop", relation public\.orders, member "now": function now\(\) may not be used/], 'an expression that is not allowed');
refused(rules('{"relation": "public.orders", "kind": "colour", "member": "x"}'),
	[qr/pipeline "shop", relation public\.orders, member "x": unknown kind of rule "colour"/], 'an unknown kind');
refused(rules('{"relation": "public.orders", "kind": "delete", "definition": "never"}'),
	[qr/pipeline "shop", relation public\.orders, rule delete: invalid mode of deletes: "never"/], 'a mode that there is not');
refused(rules('{"relation": "public.orders", "kind": "rename", "member": "nothing", "definition": "x"}'),
	[qr/pipeline "shop", relation public\.orders, member "nothing": column "nothing" of relation public\.orders does not exist/], 'a column that there is not');
sub lookup { return sprintf('{"relation": "public.orders", "kind": "lookup", "member": "user_name", "definition": {"columns": ["%s"], "reference": "%s", "reference_columns": ["%s"], "column": "%s"}}', @_) }
refused(rules(lookup('user_id', $_->[0], $_->[1], $_->[2])), [qr/pipeline "shop", relation public\.orders, member "user_name": $_->[3]/], "a lookup: $_->[3]") foreach
	[ 'public.gone', 'id', 'name', 'relation "public\.gone" does not exist' ],
	[ 'public.users', 'name', 'email', 'reference_columns are not the key' ],
	[ 'public.users', 'id', 'nothing', 'column "nothing"' ];
refused(rules('{"relation": "public.orders", "kind": "rename", "member": "total", "definition": "id"}'),
	[qr/pipeline "shop": two members of "public"\."orders" would have the name "id"/], 'rules that do not fit one another');

# Apply
my $changes = join("\n", 'added   pipeline shop', 'added   publication "Other one"', 'added   publication shop', 'added   option delete',
	'added   option source', 'added   metadata exact', 'added   metadata region', 'added   rule public."Odd Table" rename a "b"',
	'added   rule public.orders column day', 'added   rule public.orders lookup user_name', 'added   rule public.users column email', 'added   rule public.users delete',
	'added   rule public.users drop password', '');
my $before = state();
is(apply($exported, 'dry run', '--dry-run'), $changes . "dry run: nothing was changed\n", 'a dry run says what would change');
is(state(), $before, 'and changes nothing');
my ($out, $err) = apply($exported, 'apply');
is($out, $changes, 'apply says what it changed');
unlike($err, qr/WARNING|ERROR/, 'and has nothing to warn of');
$before = state();
is(apply($exported, 'apply again'), "nothing to do\n", 'doing it again is nothing to do');
is(apply("\xef\xbb\xbf$exported", 'byte order mark'), "nothing to do\n", 'nor is it with a byte order mark');
is(apply($exported =~ s/'::text\)/')/r, 'not normalized'), "nothing to do\n", 'nor where an expression is written otherwise');
is(state(), $before, 'and nothing was written');

# Export
is(exported(), $exported, 'export gives the file that was applied');
client_ok($node, [ 'pipeline', 'export', "$dir/new.json", '--pipeline=shop' ], 'export to a new file');
is(slurp_file("$dir/new.json"), $exported, 'has the same');
write_file("$dir/old.json", 'x' x 10000, 0600);
symlink("$dir/old.json", "$dir/link.json");
client_ok($node, [ 'pipeline', 'export', "$dir/link.json", '--pipeline=shop' ], 'export over a file');
is(slurp_file("$dir/old.json"), $exported, 'replaces it');
ok(-l "$dir/link.json", 'through a symbolic link');
is((stat "$dir/old.json")[2] & 0777, 0600, 'with its mode');
is_deeply([ glob("$dir/*.json.*") ], [], 'and leaves nothing beside it');
client_fails($node, [ 'pipeline', 'export', "$dir/gone/x.json", '--pipeline=shop' ], 1, [qr/could not write "\Q$dir\E\/gone\/x\.json": No such file/], 'export to no folder');
client_fails($node, [ 'pipeline', 'export', '-', '--pipeline=shpo' ], 1, [qr/pipeline "shpo" does not exist/, qr/HINT .*cdc\.pipelines/], 'export of no pipeline');
$node->safe_psql('postgres', q(SELECT cdc.create_pipeline('empty')));
is(scalar client_ok($node, [ 'pipeline', 'export', '-', '--pipeline=empty' ], 'export of an empty one'),
	qq({\n\t"pipeline": "empty",\n\t"publications": [],\n\t"options": {},\n\t"metadata": {},\n\t"rules": []\n}\n), 'is short');

# Changes
my $changed = $exported =~ s/cdc\.redact\(email\)/cdc.mask_partial(email, 1, 0)/r =~ s/"drop", "member": "password"/"drop", "member": "name"/r
  =~ s/"shop", "Other one"/"Other one", "shop"/r =~ s/\.10/.1/r =~ s/"source": "postgres_main"/"source": "main"/r;
is(apply($changed, 'changes'), join("\n", 'changed list of publications', 'changed option source', 'changed metadata exact',
	'changed rule public.users column email', 'added   rule public.users drop name', 'removed rule public.users drop password', ''), 'are said');
is(exported(), $changed, 'and made');
is(apply('{"pipeline": "shop"}', 'nothing'), $changes =~ s/^added   pipeline.*\n//r =~ s/^added  /removed/mgr =~ s/password/name/r, 'what the file leaves out is removed');
apply($exported, 'back');

# Preview
$before = state();
write_file($file, $exported =~ s/cdc\.redact\(email\)/'x' || email/r);
my @preview = split /\n/, client_ok($node, [ 'pipeline', 'preview', $file, '--relation=public.users', '--max-rows=3' ], 'preview');
is(scalar @preview, 3, 'shows as many rows');
like($preview[0], qr/"op":"snapshot","source":"postgres_main",.*"after":\{"id":1,"name":"Ann 1","email":"x1\@example\.com"\}\}$/, 'by the rules of the file');
is(scalar(split /\n/, client_ok($node, [ 'pipeline', 'preview', $file, '--relation=public.users' ], 'preview by default')), 10, 'ten rows by default');
is(state(), $before, 'the rules in force are the old ones');
($out, $err) = client_ok($node, [ 'pipeline', 'preview', $file, '--relation=public.orders' ], 'preview of no rows');
is($out, '', 'shows none');
like($err, qr/WARNING public\.orders has no rows/, 'and says so');
client_fails($node, [ 'pipeline', 'preview', $file, '--relation=users' ], 1, [qr/--relation: relation "users" does not exist/, qr/HINT .*"public\.users"/], 'a relation without its schema');
write_file($file, rules('{"relation": "public.users", "kind": "column", "member": "share", "definition": "1 / (id - 1)"}'));
client_fails($node, [ 'pipeline', 'preview', $file, '--relation=public.users' ], 1, [qr/preview of public\.users by pipeline "shop": /, qr/DETAIL  pipeline "shop", member "share" of "public"\."users", .*seq 1\./], 'an expression that fails');
is(state(), $before, 'leaves no trace');

# What is named and not there is warned of, once
(undef, $err) = apply($exported =~ s/"Other one"/"Gone", "missing"/r, 'missing publications');
is(scalar(() = $err =~ /WARNING/g), 2, 'two warnings') or diag($err);
like($err, qr/WARNING publications of pipeline "shop" that do not exist: "Gone", missing\n.*HINT .*CREATE PUBLICATION/, 'of the publications');
like($err, qr/WARNING no publication of pipeline "shop" has these tables.*: public\."Odd Table"\n/, 'and of what only they had');
(undef, $err) = client_ok($node, [ 'pipeline', 'preview', write_file($file, '{"pipeline": "shop", "publications": ["Gone", "shop"]}'), '--relation=public."Odd Table"' ], 'preview');
like($err, qr/WARNING publications .* do not exist: "Gone"\n/, 'preview warns of publications');
like($err, qr/WARNING no publication .*: public\."Odd Table"\n/, 'and that the table is in none');
$node->safe_psql('postgres', q(
	CREATE TABLE visit (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
	CREATE TABLE visit_2026 PARTITION OF visit FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
	CREATE PUBLICATION visits FOR TABLE visit; CREATE PUBLICATION leaves FOR TABLE visit_2026));
foreach my $publication ('visits', 'leaves')
{
	(undef, $err) = apply(qq({"pipeline": "visits", "publications": ["$publication"], "rules": [{"relation": "public.visit", "kind": "delete", "definition": "key"},)
		. qq( {"relation": "public.visit_2026", "kind": "delete", "definition": "key"}]}), "partitions by $publication");
	unlike($err, qr/WARNING/, 'are in the publication');
}
(undef, $err) = apply('{"pipeline": "all", "rules": [{"relation": "public.orders", "kind": "delete", "definition": "key"}]}', 'no publications');
unlike($err, qr/WARNING/, 'select everything');
apply($exported, 'back');

# Rights
$node->safe_psql('postgres', 'CREATE ROLE app LOGIN; CREATE TABLE theirs (id int PRIMARY KEY); ALTER TABLE theirs OWNER TO app');
my $own = write_file("$dir/own.json", '{"pipeline": "own", "rules": [{"relation": "public.theirs", "kind": "delete", "definition": "key"}]}');
client_fails($node, [ 'pipeline', 'apply', $own ], 1, [qr/permission denied for function apply_pipeline/, qr/HINT .*GRANT EXECUTE ON FUNCTION .*TO "app";/],
	'who may not make pipelines', env => { PGUSER => 'app' });
$node->safe_psql('postgres', 'GRANT EXECUTE ON FUNCTION cdc.create_pipeline(name, name[], jsonb), cdc.apply_pipeline(jsonb) TO app');
is(scalar client_ok($node, [ 'pipeline', 'apply', $own ], 'who may', env => { PGUSER => 'app' }),
	"added   pipeline own\nadded   rule public.theirs delete\n", 'makes rules for their table');
write_file($own, '{"pipeline": "own", "rules": [{"relation": "public.users", "kind": "drop", "member": "name"}]}');
client_fails($node, [ 'pipeline', 'apply', $own ], 1, [qr/pipeline "own", relation public\.users, member "name": must be owner of table users/, qr/HINT .*owner/],
	'and not for others', env => { PGUSER => 'app' });
client_fails($node, [ 'pipeline', 'export', '-', '--pipeline=shop' ], 1, [qr/pipeline "shop": must be a member of role/], 'nor sees theirs', env => { PGUSER => 'app' });

# Others at the same time: the file was in force when apply began, but is not when it is its turn
write_file($file, $exported);
my ($holder, $pid, $commit) = hold_transaction($node, q{SELECT cdc.drop_column('shop', 'users', 'name')});
my ($stdout, $stderr) = ('', '');
my $client = start_client($node, [ 'pipeline', 'apply', $file ], env => { PGAPPNAME => undef }, stdout => \$stdout, stderr => \$stderr);
my $waiting = q(SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'cdc_client' AND wait_event_type = 'Lock'));
$node->poll_query_until('postgres', $waiting) or die 'apply does not wait';
$commit->();
$client->finish;
is($client->result(0), 0, 'apply while somebody else commits a rule') or diag($stderr);
is($stdout, "removed rule public.users drop name\n", 'takes back what it said was nothing to do');
is(exported(), $exported, 'and the file is in force');

# A stop signal does not leave the server working on
($holder, $pid, $commit) = hold_transaction($node, q{SELECT cdc.drop_column('shop', 'users', 'name')});
($stdout, $stderr) = ('', '');
$client = start_client($node, [ 'pipeline', 'apply', $file ], env => { PGAPPNAME => undef }, stdout => \$stdout, stderr => \$stderr);
$node->poll_query_until('postgres', $waiting) or die 'apply does not wait';
$client->signal('INT');
$client->finish;
is($client->result(0), 2, 'a stop signal ends it') or diag($stderr);
like($stderr, qr/interrupted/, 'and it says so');
ok($node->poll_query_until('postgres', q(SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'cdc_client'))), 'the server stopped as well');
$commit->();

# Where nothing can be written
$node->safe_psql('postgres', q(ALTER DATABASE postgres SET default_transaction_read_only = on));
is(apply($exported, 'read only by default'), "removed rule public.users drop name\n", 'does not matter');
$node->stop;
client_fails($node, [ 'pipeline', 'apply', $file ], 3, [qr/connection to server/], 'a server that is down');

done_testing();
