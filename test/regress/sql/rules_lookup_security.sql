-- Who may look up in what, what it takes to change a reference, and that nobody gets round it.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
SET client_min_messages = warning;
CREATE EXTENSION cdc_decoder;
\set SHOW_CONTEXT never
CREATE ROLE regress_cdc_orders;
CREATE ROLE regress_cdc_users;
CREATE ROLE regress_cdc_member IN ROLE regress_cdc_orders;
CREATE ROLE regress_cdc_writer;
CREATE ROLE regress_cdc_bypass BYPASSRLS;
GRANT CREATE ON SCHEMA public TO regress_cdc_orders, regress_cdc_users;
SELECT cdc.create_pipeline('p');
SET ROLE regress_cdc_users;
CREATE TABLE users (id int PRIMARY KEY, email text, secret text);
INSERT INTO users VALUES (1, 'one@', 'secret of one');
SET ROLE regress_cdc_orders;
CREATE TABLE orders (id int PRIMARY KEY, user_id int);
INSERT INTO orders VALUES (1, 1);

-- SELECT on the key's columns and those that are wanted; ownership of the table that looks up.
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', '{"email": "email"}');
RESET ROLE;
GRANT SELECT (id) ON users TO regress_cdc_orders;
SET ROLE regress_cdc_orders;
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', '{"email": "email"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', '{"user": "id"}');
RESET ROLE;
REVOKE SELECT (id) ON users FROM regress_cdc_orders;
GRANT SELECT (email) ON users TO regress_cdc_orders;
SET ROLE regress_cdc_orders;
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', '{"email": "email"}');
RESET ROLE;
GRANT SELECT (id) ON users TO regress_cdc_orders;
SET ROLE regress_cdc_orders;
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', '{"email": "email"}');
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', '{"email": "email", "secret": "secret"}');
SET ROLE regress_cdc_member;
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', '{"email2": "email"}');
SET ROLE regress_cdc_users;
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', '{"secret": "secret"}');
SELECT cdc.remove_rule('p', 'orders', 'lookup', 'email');
SELECT cdc.preview('p', 'orders');
RESET ROLE;
GRANT SELECT ON users TO regress_cdc_orders;
SET ROLE regress_cdc_orders;
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', '{"secret": "secret"}');
SELECT preview->>'after' AS after FROM cdc.preview('p', 'orders');
SELECT cdc.remove_rule('p', 'orders', 'lookup', 'secret');

-- Row-level security: a lookup shows all rows.
RESET ROLE;
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
SET ROLE regress_cdc_orders;
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', '{"secret": "secret"}');
RESET ROLE;
GRANT regress_cdc_orders TO regress_cdc_bypass;
SET ROLE regress_cdc_bypass;
SELECT cdc.add_lookup('p', 'orders', '{user_id}', 'users', '{id}', '{"secret": "secret"}');
SELECT cdc.remove_rule('p', 'orders', 'lookup', 'secret');
-- the table's owner, unless it is forced
SET ROLE regress_cdc_users;
CREATE TABLE own (id int PRIMARY KEY);
SELECT cdc.add_lookup('p', 'own', '{id}', 'users', '{id}', '{"secret": "secret"}');
ALTER TABLE users FORCE ROW LEVEL SECURITY;
SELECT cdc.add_lookup('p', 'own', '{id}', 'users', '{id}', '{"secret2": "secret"}');
ALTER TABLE users NO FORCE ROW LEVEL SECURITY;
DROP TABLE own;
RESET ROLE;
CREATE POLICY all_rows ON users USING (true);

-- Who writes the reference needs nothing more than that.
SELECT skip();
GRANT INSERT, UPDATE, DELETE, TRUNCATE, SELECT ON users TO regress_cdc_writer;
SET ROLE regress_cdc_writer;
SET search_path = '';
INSERT INTO public.users VALUES (2, 'two@', 'secret of two');
UPDATE public.users SET email = 'uno@' WHERE id = 1;
DELETE FROM public.users WHERE id = 2;
SELECT * FROM cdc.lookup_1;
SELECT * FROM cdc.lookup;
DELETE FROM cdc.lookup;
INSERT INTO cdc.lookup VALUES ('public.users', 'public.users', 1);
SELECT cdc.drop_unused_lookups();
SELECT cdc.check_lookups();
SELECT cdc.release_lookups();
SELECT cdc.lock_lookups();
SELECT cdc.unused_lookups();
SELECT cdc.create_shadow('public.users', '{id,secret}', 1);
SELECT cdc.require_shadow('public.users', '{id}', '{secret}');
SELECT cdc.apply_lookups('p', '{}');
CREATE TEMP TABLE trap (id int PRIMARY KEY, email text);
CREATE TRIGGER feed AFTER INSERT ON trap FOR EACH ROW EXECUTE FUNCTION cdc.lookup_feed('lookup_2');
CREATE TRIGGER feed_columns AFTER UPDATE OF id, email ON trap FOR EACH ROW EXECUTE FUNCTION cdc.lookup_feed('lookup_2');
INSERT INTO trap VALUES (1, 'not the reference');
UPDATE trap SET email = 'not the reference, either';
DROP TABLE trap;
RESET ROLE;
RESET search_path;
INSERT INTO orders VALUES (2, 1), (3, 2);
SELECT data::json->>'after' AS after FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, 'pipeline', 'p') WHERE data::json->>'table' = 'orders';

-- The function is for triggers as add_lookup() makes them.
SELECT cdc.lookup_feed();
CREATE TABLE t (id int PRIMARY KEY);
CREATE TRIGGER t1 AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION cdc.lookup_feed();
INSERT INTO t VALUES (1);
DROP TRIGGER t1 ON t;
CREATE TRIGGER t1 BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION cdc.lookup_feed('lookup_2');
INSERT INTO t VALUES (1);
DROP TRIGGER t1 ON t;
CREATE TRIGGER t1 AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION cdc.lookup_feed('no such table');
INSERT INTO t VALUES (1);
DROP TABLE t;

-- What slots need is not dropped: by no way there is.
\set VERBOSITY terse
DROP TABLE cdc.lookup_1;
DROP TABLE cdc.lookup_1 CASCADE;
DROP TABLE IF EXISTS cdc.rule;
SET search_path = cdc;
DROP TABLE lookup_1;
RESET search_path;
DROP EXTENSION cdc_decoder CASCADE;
DROP SCHEMA cdc CASCADE;
SELECT current_user AS me \gset
DROP OWNED BY :me;
DROP OWNED BY regress_cdc_writer;
DROP TABLE orders, cdc.lookup_1;
\set VERBOSITY default

SELECT pg_drop_replication_slot('cdc');
DROP EXTENSION cdc_decoder CASCADE;
DROP SCHEMA cdc CASCADE;
DROP TABLE users, orders;
REVOKE CREATE ON SCHEMA public FROM regress_cdc_orders, regress_cdc_users;
DROP ROLE regress_cdc_orders, regress_cdc_users, regress_cdc_member, regress_cdc_writer, regress_cdc_bypass;
