-- Masks: the extension's functions, and that what they hide, and what is dropped, is nowhere in a record.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
SET client_min_messages = warning;
CREATE EXTENSION cdc_decoder;
\set SHOW_CONTEXT never

-- mask_hash: HMAC-SHA256 as RFC 4231 has it (test case 2), and of keys longer than a block.
SELECT cdc.mask_hash('what do ya want for nothing?', 'Jefe')
	= '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843' AS rfc4231;
SELECT cdc.mask_hash('Test Using Larger Than Block-Size Key - Hash Key First', repeat('k', 131));
SELECT cdc.mask_hash('', '');
SELECT cdc.mask_hash('käse', 'sälz') = cdc.mask_hash('käse', 'sälz') AS same, cdc.mask_hash('a', 'b') = cdc.mask_hash('a', 'c') AS salted;
SELECT cdc.mask_hash(NULL, 'salt');
SELECT cdc.mask_hash('x', NULL);
SELECT length(cdc.mask_hash(repeat('x', 1000000), 'salt'));
-- mask_partial: characters, not bytes; nothing is kept where that would be all
SELECT cdc.mask_partial('1234567890', 2, 3), cdc.mask_partial('1234567890', 0, 4), cdc.mask_partial('1234567890', 0, 0);
SELECT cdc.mask_partial('äöü日本語ß', 2, 1), cdc.mask_partial('😀😁😂', 1, 1);
SELECT cdc.mask_partial('abc', 1, 2), cdc.mask_partial('abc', 3, 0), cdc.mask_partial('abc', 2147483647, 2147483647), cdc.mask_partial('', 0, 0);
SELECT cdc.mask_partial(NULL, 1, 1), cdc.mask_partial('abc', NULL, 1);
SELECT cdc.mask_partial('abc', -1, 0);
SELECT cdc.mask_partial('abc', 0, -1);
-- redact
SELECT cdc.redact('x'), cdc.redact(''), cdc.redact(NULL);

-- What is masked or dropped is in no member, whatever the replica identity.
CREATE TABLE person (email text NOT NULL, name text, card text, note text, n int, PRIMARY KEY (email));
ALTER TABLE person ALTER note SET STORAGE EXTERNAL;
SELECT cdc.create_pipeline('p');
SELECT cdc.set_column('p', 'person', 'email', 'cdc.mask_hash(email, ''salt'')');
SELECT cdc.set_column('p', 'person', 'card', 'cdc.mask_partial(card, 0, 4)');
SELECT cdc.set_column('p', 'person', 'name', 'cdc.redact(name)');
SELECT cdc.drop_column('p', 'person', 'note');
SELECT skip();
INSERT INTO person VALUES ('SECRET@mail', 'SECRET', 'SECRET-1111-2222', 'SECRET', 1), ('SECRET-null@mail', NULL, NULL, NULL, 1);
UPDATE person SET note = 'SECRET' || repeat(md5(n::text), 100);
UPDATE person SET n = 2;
UPDATE person SET email = 'SECRET-too@mail' WHERE email = 'SECRET@mail';
DELETE FROM person WHERE email = 'SECRET-too@mail';
ALTER TABLE person REPLICA IDENTITY FULL;
UPDATE person SET n = 3;
UPDATE person SET email = 'SECRET-three@mail';
DELETE FROM person;
ALTER TABLE person REPLICA IDENTITY NOTHING;
INSERT INTO person VALUES ('SECRET@mail', 'SECRET', 'SECRET-1111-2222', 'SECRET', 1);
UPDATE person SET n = 4;
TRUNCATE person;
SELECT count(*), count(*) FILTER (WHERE r LIKE '%SECRET%') AS with_secret FROM peek() AS r;
SELECT count(*), count(*) FILTER (WHERE r LIKE '%SECRET%') AS with_secret, count(*) FILTER (WHERE r LIKE '%note%') AS with_note
FROM peek('pipeline', 'p') AS r;
-- nor in the frames around them, where keys stand
SELECT count(*), count(*) FILTER (WHERE position('SECRET'::bytea IN data) > 0) AS with_secret,
	count(*) FILTER (WHERE data::text LIKE '%' || substr(convert_to(cdc.mask_hash('SECRET@mail', 'salt'), 'UTF8')::text, 3) || '%') AS with_hash
FROM pg_logical_slot_peek_binary_changes('cdc', NULL, NULL, 'pipeline', 'p', 'framing', 'frames');
SELECT regexp_replace(r, '([0-9a-f]{6})[0-9a-f]{58}', '\1...', 'g') FROM brief('pipeline', 'p') AS r;

-- Nor in an error's text, nor in the key of a preview.
INSERT INTO person VALUES ('SECRET@mail', 'SECRET', 'SECRET-1111-2222', 'SECRET', 1);
SELECT regexp_replace(preview->>'after', '([0-9a-f]{6})[0-9a-f]{58}', '\1...', 'g') AS after, preview::text LIKE '%SECRET%' AS secret
FROM cdc.preview('p', 'person');
SELECT cdc.set_column('p', 'person', 'card', 'CASE WHEN n > 0 THEN card::int END');
SELECT skip();
INSERT INTO person VALUES ('SECRET-four@mail', 'x', '4111', '', 1), ('SECRET-five@mail', 'x', 'SECRET', 'SECRET', 1);
SELECT count(*) FROM brief('pipeline', 'p');
SELECT r::json->'after'->>'card' AS card, r::json->>'errors' AS errors FROM brief('pipeline', 'p', 'on_expression_error', 'null') AS r;

-- A column that is masked or dropped cannot get another name, under which it would show.
ALTER TABLE person RENAME COLUMN note TO remark;
ALTER TABLE person RENAME COLUMN name TO nickname;
ALTER TABLE person DROP COLUMN note;
SELECT cdc.set_column('p', 'person', 'name', '''hidden''');
ALTER TABLE person RENAME COLUMN name TO nickname;
BEGIN;
SELECT cdc.remove_rule('p', 'person', 'drop', 'note');
ALTER TABLE person RENAME COLUMN note TO remark;
SELECT cdc.drop_column('p', 'person', 'remark');
COMMIT;
INSERT INTO person VALUES ('SECRET-six@mail', 'x', '4111', 'SECRET', 1);
SELECT regexp_replace(r, '([0-9a-f]{6})[0-9a-f]{58}', '\1...', 'g') FROM brief('pipeline', 'p') AS r;

SET cdc.drop_with_slots = on;
DROP EXTENSION cdc_decoder;
DROP SCHEMA cdc;
DROP TABLE person;
SELECT pg_drop_replication_slot('cdc');
