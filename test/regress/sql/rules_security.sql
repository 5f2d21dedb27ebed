-- Who may make, change and see pipelines and rules.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
SET client_min_messages = warning;
CREATE EXTENSION cdc_decoder;
\set SHOW_CONTEXT never
CREATE ROLE regress_cdc_admin;
CREATE ROLE regress_cdc_owner;
CREATE ROLE regress_cdc_member IN ROLE regress_cdc_owner;
CREATE ROLE regress_cdc_other;
GRANT CREATE ON SCHEMA public TO regress_cdc_owner, regress_cdc_other;
GRANT EXECUTE ON FUNCTION cdc.create_pipeline(name, name[], jsonb), cdc.apply_pipeline(jsonb) TO regress_cdc_admin;
SET ROLE regress_cdc_owner;
CREATE TABLE mine (id int PRIMARY KEY, secret text);
INSERT INTO mine VALUES (1, 'secret');
RESET ROLE;

-- Making a pipeline: whom the function was granted to.
SET ROLE regress_cdc_other;
SELECT cdc.create_pipeline('o');
SELECT cdc.apply_pipeline('{"pipeline": "o"}');
SET ROLE regress_cdc_admin;
SELECT cdc.create_pipeline('p');
SELECT cdc.apply_pipeline('{"pipeline": "applied"}');
SELECT pipeline, owner FROM cdc.pipelines ORDER BY 1;

-- Rules: the owner of the table, or a member of that role; not the pipeline's owner.
SELECT cdc.set_column('p', 'mine', 'secret', 'cdc.redact(secret)');
SET ROLE regress_cdc_other;
SELECT cdc.set_column('p', 'mine', 'secret', 'cdc.redact(secret)');
SET ROLE regress_cdc_owner;
SELECT cdc.set_column('p', 'mine', 'secret', 'cdc.mask_hash(secret, ''salt'')');
SET ROLE regress_cdc_member;
SELECT cdc.set_target('p', 'mine', 'target');
SET ROLE regress_cdc_other;
SELECT cdc.set_column('p', 'mine', 'x', '1');
SELECT cdc.drop_column('p', 'mine', 'secret');
SELECT cdc.rename_column('p', 'mine', 'secret', 'x');
SELECT cdc.set_key('p', 'mine', '{id}');
SELECT cdc.set_target('p', 'mine', 'x');
SELECT cdc.set_delete('p', 'mine', 'key');
SELECT cdc.remove_rule('p', 'mine', 'column', 'secret');
SELECT cdc.preview('p', 'mine');
-- A pipeline as a whole: its owner.
SELECT cdc.set_metadata('p', '{"x": 1}');
SELECT cdc.export_pipeline('p');
SELECT cdc.drop_pipeline('p');
SET ROLE regress_cdc_owner;
SELECT cdc.set_metadata('p', '{"x": 1}');
SELECT cdc.export_pipeline('p');
SELECT cdc.drop_pipeline('p');
SELECT preview->'after' AS after FROM cdc.preview('p', 'mine');
-- applying needs both
SET ROLE regress_cdc_admin;
SELECT cdc.apply_pipeline('{"pipeline": "p", "rules": []}');
SELECT cdc.apply_pipeline('{"pipeline": "applied", "rules": [{"relation": "public.mine", "kind": "drop", "member": "secret"}]}');
SELECT cdc.set_metadata('p', '{"x": 1}');

-- The tables are not writable, nor readable, round about the functions.
SET ROLE regress_cdc_owner;
SELECT * FROM cdc.pipeline;
SELECT * FROM cdc.rule;
INSERT INTO cdc.rule VALUES ('p', 'mine', 'drop', 'secret', '', false);
UPDATE cdc.rule SET definition = 'secret';
DELETE FROM cdc.rule;
TRUNCATE cdc.rule;
INSERT INTO cdc.pipeline VALUES ('q', '{}', '{}', '{}', false, 'regress_cdc_owner');
UPDATE cdc.pipeline SET owner = 'regress_cdc_owner';
UPDATE cdc.pipelines SET owner = 'regress_cdc_owner';
DELETE FROM cdc.rules;
SELECT cdc.write_rule('p', 'mine', 'drop', 'secret', '');
SELECT cdc.rules_changed();
CREATE TRIGGER t AFTER INSERT ON mine EXECUTE FUNCTION cdc.rules_changed();
-- put_rule checks as those do that call it
SET ROLE regress_cdc_other;
SELECT cdc.put_rule('p', 'mine', 'column', 'secret', 'secret');
SET ROLE regress_cdc_owner;
SELECT cdc.put_rule('p', 'mine', 'column', 'x', '(SELECT passwd FROM pg_shadow LIMIT 1)');
SELECT cdc.put_rule('p', 'mine', 'column', 'x', 'pg_read_file(''postgresql.conf'')');

-- Who sees what: pipelines all, rules (which hold salts) those who may make them.
SELECT pipeline, owner FROM cdc.pipelines ORDER BY 1;
SELECT relation, kind, member, definition FROM cdc.rules ORDER BY kind;
SET ROLE regress_cdc_other;
SELECT pipeline, owner FROM cdc.pipelines ORDER BY 1;
SELECT count(*) FROM cdc.rules;
-- not even by a function that leaks what it sees
CREATE FUNCTION leak(text) RETURNS bool COST 0.0001 LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE 'seen: %', $1;
	RETURN true;
END $$;
SET client_min_messages = notice;
SELECT * FROM cdc.rules WHERE leak(definition);
RESET client_min_messages;

-- A function of another's, called by a server's own command with a superuser's rights, cannot borrow them.
CREATE TABLE trap (id int);
INSERT INTO trap VALUES (1);
CREATE FUNCTION spring(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
	IF current_setting('regress_cdc.spring', true) = 'on' THEN
		PERFORM cdc.drop_column('p', 'public.mine', 'secret');
	END IF;
	RETURN $1;
END $$;
CREATE INDEX trap_index ON trap (spring(id));
RESET ROLE;
SET regress_cdc.spring = on;
REINDEX TABLE trap;
RESET regress_cdc.spring;
SELECT kind FROM cdc.rule ORDER BY 1;

-- Ownership that changes hands takes the right with it.
ALTER TABLE mine OWNER TO regress_cdc_other;
SET ROLE regress_cdc_owner;
SELECT cdc.remove_rule('p', 'mine', 'target');
SET ROLE regress_cdc_other;
SELECT cdc.remove_rule('p', 'mine', 'target');
RESET ROLE;
SELECT pg_drop_replication_slot('cdc');

DROP TABLE trap, mine;
DROP FUNCTION spring, leak;
SET ROLE regress_cdc_admin;
SELECT cdc.drop_pipeline('p');
RESET ROLE;
SET cdc.drop_with_slots = on;
DROP EXTENSION cdc_decoder;
DROP SCHEMA cdc;
REVOKE CREATE ON SCHEMA public FROM regress_cdc_owner, regress_cdc_other;
DROP ROLE regress_cdc_admin, regress_cdc_member, regress_cdc_owner, regress_cdc_other;
