-- Whatever changes the reference, and from wherever: what is looked up is what the reference said then.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
SET client_min_messages = warning;
CREATE EXTENSION cdc_decoder;
\set SHOW_CONTEXT never
SELECT cdc.create_pipeline('p');
-- Each order says what is expected of its lookup.
CREATE TABLE users (id int PRIMARY KEY, email text, age int);
CREATE TABLE orders (id serial PRIMARY KEY, user_id int, expected text);
ALTER TABLE orders REPLICA IDENTITY FULL;
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', '{"email": "email"}');
CREATE FUNCTION looked_up() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' ', data::json->>'table', data::json->>'op', image->>'user_id',
		CASE WHEN image->>'expected' = coalesce(image->>'email', 'NULL') THEN 'as expected'
			ELSE concat_ws(' ', 'expected', image->>'expected', 'but got', coalesce(image->>'email', 'NULL')) END, data::json->>'errors')
	FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, 'pipeline', 'p'), LATERAL (SELECT data::json->'after') AS i (image)
	WHERE data::json->>'table' <> 'users' AND image->>'expected' IS NOT NULL
$$;
CREATE FUNCTION images() RETURNS TABLE (op text, before text, after text) LANGUAGE sql AS $$
	SELECT data::json->>'op', data::json->>'before', data::json->>'after'
	FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, 'pipeline', 'p') WHERE data::json->>'table' <> 'users'
$$;
CREATE FUNCTION check_shadow() RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM (
		(SELECT id, email FROM users EXCEPT SELECT c1, c2 FROM cdc.lookup_1)
		UNION ALL (SELECT c1, c2 FROM cdc.lookup_1 EXCEPT SELECT id, email FROM users)) AS different
$$;
SELECT skip();

-- Statements of all kinds, in one transaction and in several.
INSERT INTO users VALUES (1, 'one'), (2, 'two'), (3, NULL);
INSERT INTO orders (user_id, expected) VALUES (1, 'one'), (2, 'two'), (3, 'NULL'), (4, 'NULL'), (NULL, 'NULL');
BEGIN;
INSERT INTO orders (user_id, expected) VALUES (1, 'one');
UPDATE users SET email = 'uno' WHERE id = 1;
INSERT INTO orders (user_id, expected) VALUES (1, 'uno'), (2, 'two');
UPDATE users SET email = 'un' WHERE id = 1;
INSERT INTO orders (user_id, expected) VALUES (1, 'un');
DELETE FROM users WHERE id = 1;
INSERT INTO orders (user_id, expected) VALUES (1, 'NULL');
INSERT INTO users VALUES (1, 'again');
INSERT INTO orders (user_id, expected) VALUES (1, 'again');
UPDATE users SET id = id + 10; -- all keys
INSERT INTO orders (user_id, expected) VALUES (1, 'NULL'), (11, 'again'), (12, 'two');
UPDATE users SET age = 5;
INSERT INTO orders (user_id, expected) VALUES (11, 'again');
COMMIT;
-- what was inserted by an upsert, or updated, or left alone; and by MERGE
INSERT INTO users VALUES (11, 'upserted'), (21, 'new') ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email;
INSERT INTO users VALUES (11, 'not this') ON CONFLICT DO NOTHING;
INSERT INTO orders (user_id, expected) VALUES (11, 'upserted'), (21, 'new');
MERGE INTO users u USING (VALUES (11, 'merged'), (12, NULL), (22, 'merged too')) m (id, email) ON m.id = u.id
	WHEN MATCHED AND m.email IS NULL THEN DELETE WHEN MATCHED THEN UPDATE SET email = m.email WHEN NOT MATCHED THEN INSERT VALUES (m.id, m.email);
INSERT INTO orders (user_id, expected) VALUES (11, 'merged'), (12, 'NULL'), (22, 'merged too');
-- a statement that does both: what the users' triggers do comes behind it
WITH u AS (UPDATE users SET email = 'with' WHERE id = 11 RETURNING id, email) INSERT INTO orders (user_id, expected) SELECT id, 'merged' FROM u;
INSERT INTO orders (user_id, expected) VALUES (11, 'with');
-- swapped: a deferrable key, which alone allows it, is refused by add_lookup; so by way of a third
BEGIN;
UPDATE users SET id = 99 WHERE id = 11;
UPDATE users SET id = 11 WHERE id = 21;
UPDATE users SET id = 21 WHERE id = 99;
COMMIT;
INSERT INTO orders (user_id, expected) VALUES (11, 'new'), (21, 'with');
UPDATE users SET id = id; -- each to itself
INSERT INTO orders (user_id, expected) VALUES (11, 'new'), (21, 'with');
-- COPY, with FREEZE, too
BEGIN;
TRUNCATE users;
INSERT INTO orders (user_id, expected) VALUES (11, 'NULL');
COPY users FROM stdin WITH (FREEZE);
31	frozen	1
\.
INSERT INTO orders (user_id, expected) VALUES (31, 'frozen');
COMMIT;
COPY users FROM stdin;
32	copied	1
33	\N	\N
\.
INSERT INTO orders (user_id, expected) VALUES (31, 'frozen'), (32, 'copied'), (33, 'NULL');
-- savepoints rolled back, and released
BEGIN;
SAVEPOINT a;
UPDATE users SET email = 'never' WHERE id = 31;
INSERT INTO orders (user_id, expected) VALUES (31, 'never seen');
ROLLBACK TO a;
INSERT INTO orders (user_id, expected) VALUES (31, 'frozen');
UPDATE users SET email = 'kept' WHERE id = 31;
SAVEPOINT b;
DELETE FROM users;
ROLLBACK TO b;
INSERT INTO orders (user_id, expected) VALUES (31, 'kept');
SAVEPOINT c;
UPDATE users SET email = 'released' WHERE id = 31;
INSERT INTO orders (user_id, expected) VALUES (31, 'released');
RELEASE c;
TRUNCATE users;
ROLLBACK TO a;
INSERT INTO orders (user_id, expected) VALUES (31, 'frozen');
COMMIT;
BEGIN;
UPDATE users SET email = 'never' WHERE id = 31;
ROLLBACK;
INSERT INTO orders (user_id, expected) VALUES (31, 'frozen');
-- prepared
BEGIN;
UPDATE users SET email = 'prepared' WHERE id = 31;
INSERT INTO orders (user_id, expected) VALUES (31, 'prepared');
PREPARE TRANSACTION 'cdc_lookup';
COMMIT PREPARED 'cdc_lookup';
INSERT INTO orders (user_id, expected) VALUES (31, 'prepared');
-- triggers of ours are fired for replication's workers, too
SET session_replication_role = replica;
UPDATE users SET email = 'replica' WHERE id = 31;
INSERT INTO users VALUES (34, 'replicated');
RESET session_replication_role;
INSERT INTO orders (user_id, expected) VALUES (31, 'replica'), (34, 'replicated');
-- TRUNCATE, which may take the orders with it, and the other way round
CREATE TABLE profiles (id int PRIMARY KEY, user_id int REFERENCES users, expected text);
SELECT cdc.add_lookup('p', 'profiles', '{user_id}', 'users', '{id}', '{"email": "email"}');
INSERT INTO profiles VALUES (1, 31, 'replica');
BEGIN;
TRUNCATE users CASCADE;
INSERT INTO users VALUES (41, 'after truncation');
INSERT INTO profiles VALUES (1, 41, 'after truncation');
INSERT INTO orders (user_id, expected) VALUES (31, 'NULL');
TRUNCATE users, profiles;
INSERT INTO orders (user_id, expected) VALUES (41, 'NULL');
COMMIT;
SELECT looked_up();
SELECT count(*) FILTER (WHERE r LIKE '%as expected') AS right, count(*) FILTER (WHERE r NOT LIKE '%as expected') AS wrong FROM looked_up() AS r;
SELECT check_shadow();
DROP TABLE profiles;

-- The old row of an update or delete: looked up as of the change, as the new one is.
TRUNCATE orders;
SELECT skip();
INSERT INTO users VALUES (1, 'one'), (2, 'two');
INSERT INTO orders (user_id) VALUES (1), (3);
UPDATE users SET email = 'uno' WHERE id = 1;
UPDATE orders SET user_id = user_id + 1;
UPDATE users SET email = 'due' WHERE id = 2;
DELETE FROM orders;
SELECT * FROM images();
-- read without an index, which is then another one, and the first that is looked up after a start
SELECT skip();
INSERT INTO orders (id, user_id) VALUES (50, 2), (51, 1);
SELECT skip();
UPDATE orders SET user_id = 3 - user_id;
REINDEX TABLE CONCURRENTLY cdc.lookup_1;
SELECT * FROM images();
DELETE FROM orders;
-- and where only a key of it was logged: left out, unless it is what is looked up by
SELECT skip();
ALTER TABLE orders REPLICA IDENTITY DEFAULT;
INSERT INTO orders (id, user_id) VALUES (100, 1);
UPDATE orders SET id = 101;
DELETE FROM orders;
SELECT cdc.remove_rule('p', 'orders', 'lookup', 'email');
SELECT cdc.add_lookup('p', 'orders', '{id}', 'users', '{id}', '{"email": "email"}');
INSERT INTO orders (id) VALUES (1);
UPDATE orders SET id = 2;
DELETE FROM orders;
SELECT data::json->>'key' AS key, data::json->>'before' AS before, data::json->>'after' AS after
FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, 'pipeline', 'p') WHERE data::json->>'table' = 'orders';
SELECT data::json->>'key' AS key, data::json->>'before' AS before FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, 'pipeline', 'p', 'delete', 'key')
WHERE data::json->>'op' = 'delete';
SELECT cdc.remove_rule('p', 'orders', 'lookup', 'email');
TRUNCATE users;

-- Users' triggers that change the row again, before and after ours in the order of their names; and foreign
-- keys, whose triggers' names begin with RI_.
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', '{"email": "email"}');
SELECT skip();
CREATE FUNCTION upper_email() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.email := upper(NEW.email);
	RETURN NEW;
END $$;
CREATE TRIGGER zz BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION upper_email();
INSERT INTO users VALUES (1, 'one');
INSERT INTO orders (user_id, expected) VALUES (1, 'ONE');
CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE users SET email = email || TG_ARGV[0] WHERE id = NEW.id AND email NOT LIKE '%' || TG_ARGV[0] || '%';
	IF TG_ARGV[0] = '-L' THEN
		INSERT INTO orders (user_id, expected) SELECT id, email FROM users WHERE id = NEW.id;
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER "   first" AFTER INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION again('-F');
CREATE TRIGGER zzz AFTER INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION again('-L');
INSERT INTO users VALUES (2, 'two');
INSERT INTO orders (user_id, expected) SELECT id, email FROM users;
UPDATE users SET email = 'more';
INSERT INTO orders (user_id, expected) SELECT id, email FROM users;
SELECT looked_up();
DROP TRIGGER "   first" ON users;
DROP TRIGGER zzz ON users;
DROP TRIGGER zz ON users;
-- what users' triggers and foreign keys' actions do sees the change that they are called for
SELECT skip();
TRUNCATE users;
CREATE FUNCTION log_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO orders (user_id, expected) VALUES (coalesce(NEW.id, OLD.id), coalesce(NEW.email, 'NULL'));
	RETURN NULL;
END $$;
CREATE TRIGGER "A log" AFTER INSERT OR UPDATE OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION log_user();
CREATE TABLE profiles (id int PRIMARY KEY, user_id int REFERENCES users ON UPDATE CASCADE ON DELETE SET NULL, expected text);
ALTER TABLE profiles REPLICA IDENTITY FULL;
SELECT cdc.add_lookup('p', 'profiles', '{user_id}', 'users', '{id}', '{"email": "email"}');
INSERT INTO users VALUES (1, 'one'), (2, 'two');
INSERT INTO profiles VALUES (1, 1, 'one'), (2, 2, 'two');
UPDATE users SET id = id + 10;
UPDATE users SET email = 'uno' WHERE id = 11;
DELETE FROM users;
SELECT r FROM looked_up() AS r WHERE r LIKE 'orders%';
SELECT data::json->>'op' AS op, data::json->>'before' AS before, data::json->>'after' AS after
FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, 'pipeline', 'p') WHERE data::json->>'table' = 'profiles';
DROP TABLE profiles;
DROP TRIGGER "A log" ON users;

-- Not by us alone: rows of another table of the inheritance tree, and one that is partitioned.
CREATE TABLE more_users () INHERITS (users);
SELECT skip();
INSERT INTO users VALUES (1, 'one');
INSERT INTO more_users VALUES (2, 'not of the reference itself');
UPDATE users SET email = upper(email);
INSERT INTO orders (user_id, expected) VALUES (1, 'ONE'), (2, 'NULL');
ALTER TABLE users ADD COLUMN added int; -- such children forbid nothing
DROP TABLE more_users;
ALTER TABLE users DROP COLUMN added;
CREATE TABLE root (id int NOT NULL, email text) PARTITION BY RANGE (id);
CREATE TABLE leaf1 PARTITION OF root (PRIMARY KEY (id)) FOR VALUES FROM (1) TO (10);
CREATE TABLE leaf2 PARTITION OF root FOR VALUES FROM (10) TO (20);
SELECT cdc.remove_rule('p', 'orders', 'lookup', 'email');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'leaf1', '{id}', '{"email": "email"}');
INSERT INTO root VALUES (1, 'in leaf1'), (2, 'leaf1, too'), (10, 'in leaf2');
INSERT INTO orders (user_id, expected) VALUES (1, 'in leaf1'), (2, 'leaf1, too'), (10, 'NULL');
UPDATE root SET id = 11 WHERE id = 1; -- moves
UPDATE root SET id = 3 WHERE id = 10;
INSERT INTO orders (user_id, expected) VALUES (1, 'NULL'), (11, 'NULL'), (3, 'in leaf2');
ALTER TABLE root DETACH PARTITION leaf1;
UPDATE leaf1 SET email = 'detached' WHERE id = 3;
INSERT INTO orders (user_id, expected) VALUES (3, 'detached');
ALTER TABLE root ATTACH PARTITION leaf1 FOR VALUES FROM (1) TO (10);
TRUNCATE root;
INSERT INTO orders (user_id, expected) VALUES (3, 'NULL');
SELECT looked_up();
SELECT cdc.drop_pipeline('p');
DROP TABLE root;

SELECT pg_drop_replication_slot('cdc');
DROP EXTENSION cdc_decoder;
DROP SCHEMA cdc CASCADE;
DROP TABLE users, orders;
DROP FUNCTION looked_up, images, check_shadow, upper_email, again, log_user;
