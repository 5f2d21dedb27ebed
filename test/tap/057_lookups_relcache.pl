# While writers fire a lookup's triggers, everybody's relcache entry of the reference is built anew all the time
# (ANALYZE does that): what the triggers read of it must not be gone then.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = make_node('relcache', 'fsync = off', 'autovacuum = off');
$node->safe_psql('postgres', <<'END_SQL');
CREATE EXTENSION cdc_decoder;
CREATE TABLE users (id int PRIMARY KEY, email text, a int, b int, c int);
CREATE TABLE orders (id serial PRIMARY KEY, user_id int);
SELECT FROM cdc.create_pipeline('p');
SELECT FROM cdc.add_lookup('p', 'orders', ARRAY['user_id']::name[], 'users', ARRAY['id']::name[],
	jsonb_build_object('email', 'email', 'a', 'a', 'b', 'b', 'c', 'c'));
INSERT INTO users SELECT g, 'mail ' || g, g, g, g FROM generate_series(1, 100) g;
END_SQL

my $tempdir = PostgreSQL::Test::Utils::tempdir();
append_to_file("$tempdir/write.sql", "\\set id random(1, 100)\nUPDATE users SET a = a + 1, email = 'mail ' || a WHERE id = :id;\n");
# rows are added so that there is something new to say each time
append_to_file("$tempdir/analyze.sql", "\\set id random(1000, 2000000000)\nINSERT INTO users VALUES (:id) ON CONFLICT DO NOTHING;\nANALYZE users;\n");
$node->command_ok(
	[
		'pgbench', '-n', '-c', '4', '-j', '2', '-T', '4', '-M', 'prepared', '-f', "$tempdir/write.sql\@3",
		'-f', "$tempdir/analyze.sql\@1", 'postgres'
	],
	'writers and ANALYZE beside one another');
is($node->safe_psql('postgres', 'SELECT (SELECT count(*) > 120 FROM users), (SELECT count(*) FROM users u FULL JOIN cdc.lookup_1 l
	ON l.c1 = u.id AND (l.c2, l.c3, l.c4) IS NOT DISTINCT FROM (u.a, u.b, u.c) AND l.c5 IS NOT DISTINCT FROM u.email
	WHERE u.id IS NULL OR l.c1 IS NULL)'), 't|0', 'what can be looked up is what the reference says');
$node->stop;
done_testing();
