/* cdc_decoder--1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION cdc_decoder" to load this file. \quit

COMMENT ON SCHEMA @extschema@ IS 'cdc_decoder: pipelines of rules for change data capture';
GRANT USAGE ON SCHEMA @extschema@ TO PUBLIC;

-- Pipelines and their rules.  User catalog tables: the decoder reads them as of the change that it
-- decodes, by a scan of the heap only, so nothing in them may be toasted (a row must fit a page).
-- plugin/cdc_pipeline.c knows the order of their columns.
CREATE TABLE @extschema@.pipeline (
	pipeline name PRIMARY KEY,
	publications name[] NOT NULL,
	options jsonb NOT NULL CHECK (jsonb_typeof(options) = 'object'),
	metadata jsonb NOT NULL CHECK (jsonb_typeof(metadata) = 'object'),
	dropped boolean NOT NULL,
	owner regrole NOT NULL
) WITH (user_catalog_table = true);
ALTER TABLE @extschema@.pipeline
	ALTER COLUMN publications SET STORAGE PLAIN,
	ALTER COLUMN options SET STORAGE PLAIN,
	ALTER COLUMN metadata SET STORAGE PLAIN;

CREATE TABLE @extschema@.rule (
	pipeline name NOT NULL,
	relation regclass NOT NULL,
	kind text NOT NULL CHECK (kind IN ('column', 'drop', 'rename', 'key', 'target', 'delete')),
	member text NOT NULL,
	definition text NOT NULL,
	replaces boolean NOT NULL, -- the member was a column of the table when the rule was made
	PRIMARY KEY (pipeline, relation, kind, member)
) WITH (user_catalog_table = true);
ALTER TABLE @extschema@.rule
	ALTER COLUMN kind SET STORAGE PLAIN,
	ALTER COLUMN member SET STORAGE PLAIN,
	ALTER COLUMN definition SET STORAGE PLAIN;

SELECT pg_catalog.pg_extension_config_dump('@extschema@.pipeline', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.rule', '');

-- Running decoders hear of a change where its transaction committed, by an invalidation in the WAL.
CREATE FUNCTION @extschema@.rules_changed() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'cdc_rules_changed';
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON @extschema@.pipeline
	FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.rules_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON @extschema@.rule
	FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.rules_changed();

-- Masks for expressions
CREATE FUNCTION @extschema@.mask_hash(value text, salt text) RETURNS text
	LANGUAGE c IMMUTABLE PARALLEL SAFE CALLED ON NULL INPUT
	AS 'MODULE_PATHNAME', 'cdc_mask_hash';
COMMENT ON FUNCTION @extschema@.mask_hash(text, text) IS
	'HMAC-SHA256 of the value under the salt, in hex: equal values stay equal, and cannot be read back';
CREATE FUNCTION @extschema@.mask_partial(value text, keep_left integer, keep_right integer) RETURNS text
	LANGUAGE c IMMUTABLE PARALLEL SAFE STRICT
	AS 'MODULE_PATHNAME', 'cdc_mask_partial';
COMMENT ON FUNCTION @extschema@.mask_partial(text, integer, integer) IS
	'the value with all but its first and last characters replaced by *';
CREATE FUNCTION @extschema@.redact(value text) RETURNS text
	LANGUAGE c IMMUTABLE PARALLEL SAFE STRICT
	AS 'MODULE_PATHNAME', 'cdc_redact';
COMMENT ON FUNCTION @extschema@.redact(text) IS
	'[redacted], whatever the value, or NULL for NULL';

-- Checks, in C: they look at who calls, through the SECURITY DEFINER functions below
CREATE FUNCTION @extschema@.require_owner(relation regclass) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'cdc_require_owner';
CREATE FUNCTION @extschema@.require_member(role regrole) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'cdc_require_member';
CREATE FUNCTION @extschema@.caller() RETURNS regrole
	LANGUAGE c AS 'MODULE_PATHNAME', 'cdc_caller';
CREATE FUNCTION @extschema@.normalize_expression(relation regclass, expression text) RETURNS text
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'cdc_normalize_expression';
CREATE FUNCTION @extschema@.check_pipeline(pipeline name) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'cdc_check_pipeline';
CREATE FUNCTION @extschema@.check_relation(pipeline name, relation regclass) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'cdc_check_relation';

CREATE FUNCTION @extschema@.require_pipeline(pipeline name) RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM @extschema@.pipeline p
				   WHERE p.pipeline = require_pipeline.pipeline AND NOT p.dropped) THEN
		RAISE EXCEPTION 'pipeline "%" does not exist', pipeline
			USING ERRCODE = 'undefined_object',
				  HINT = 'Make it with cdc.create_pipeline(); the view cdc.pipelines lists those there are.';
	END IF;
END $$;

-- Nothing of a pipeline may be toasted, so there is a limit to all of it together.
CREATE FUNCTION @extschema@.require_settings(publications name[], options jsonb, metadata jsonb) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	size integer := pg_column_size(publications) + pg_column_size(options) + pg_column_size(metadata);
BEGIN
	IF array_ndims(publications) > 1 OR EXISTS (SELECT FROM unnest(publications) n WHERE n IS NULL OR n = '') THEN
		RAISE EXCEPTION 'publications must be a list of names, none of them empty or NULL: %', publications
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF jsonb_typeof(options) <> 'object' THEN
		RAISE EXCEPTION 'options must be a JSON object, such as {"delete": "key"}'
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF size > 7000 THEN
		RAISE EXCEPTION 'publications, options and metadata of a pipeline are too large: % bytes', size
			USING ERRCODE = 'program_limit_exceeded', HINT = 'At most 7000 bytes are allowed.';
	END IF;
END $$;

CREATE FUNCTION @extschema@.create_pipeline(pipeline name, publications name[] DEFAULT '{}',
											options jsonb DEFAULT '{}') RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF pipeline IS NULL OR publications IS NULL OR options IS NULL THEN
		RAISE EXCEPTION 'pipeline, publications and options must not be NULL'
			USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF pipeline = '' THEN
		RAISE EXCEPTION 'the name of a pipeline must not be empty'
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	DELETE FROM @extschema@.pipeline p WHERE p.pipeline = create_pipeline.pipeline AND p.dropped;
	IF EXISTS (SELECT FROM @extschema@.pipeline p WHERE p.pipeline = create_pipeline.pipeline) THEN
		RAISE EXCEPTION 'pipeline "%" already exists', pipeline USING ERRCODE = 'duplicate_object';
	END IF;
	PERFORM @extschema@.require_settings(publications, options, '{}');
	INSERT INTO @extschema@.pipeline
		VALUES (pipeline, publications, options, '{}', false, @extschema@.caller());
	PERFORM @extschema@.check_pipeline(pipeline);
END $$;

-- The row stays, so that decoding past this place can tell a dropped pipeline from one not made yet.
CREATE FUNCTION @extschema@.drop_pipeline(pipeline name) RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM @extschema@.require_pipeline(pipeline);
	PERFORM @extschema@.require_member(p.owner) FROM @extschema@.pipeline p
		WHERE p.pipeline = drop_pipeline.pipeline;
	DELETE FROM @extschema@.rule r WHERE r.pipeline = drop_pipeline.pipeline;
	UPDATE @extschema@.pipeline p SET dropped = true WHERE p.pipeline = drop_pipeline.pipeline;
END $$;

CREATE FUNCTION @extschema@.set_metadata(pipeline name, members jsonb) RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	taken text;
BEGIN
	PERFORM @extschema@.require_pipeline(pipeline);
	PERFORM @extschema@.require_member(p.owner) FROM @extschema@.pipeline p
		WHERE p.pipeline = set_metadata.pipeline;
	IF members IS NULL OR jsonb_typeof(members) <> 'object' THEN
		RAISE EXCEPTION 'members must be a JSON object, such as {"region": "eu"}'
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	SELECT key INTO taken FROM jsonb_object_keys(members) key
		WHERE key IN ('op', 'source', 'schema', 'table', 'commit_lsn', 'seq', 'part', 'xid', 'ts', 'key',
					  'before', 'after', 'unchanged', 'errors', 'oversized', 'replaced', 'transactional',
					  'prefix', 'content', 'content_base64') LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'member "%" is one that records have by themselves', taken
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Choose another name.';
	END IF;
	PERFORM @extschema@.require_settings(p.publications, p.options, members) FROM @extschema@.pipeline p
		WHERE p.pipeline = set_metadata.pipeline;
	UPDATE @extschema@.pipeline p SET metadata = members WHERE p.pipeline = set_metadata.pipeline;
	PERFORM @extschema@.check_pipeline(pipeline);
END $$;

CREATE FUNCTION @extschema@.has_column(relation regclass, column_name text) RETURNS boolean
	LANGUAGE sql STABLE AS $$
	SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = relation
				   AND a.attname::pg_catalog.text = column_name AND a.attnum > 0 AND NOT a.attisdropped)
$$;

CREATE FUNCTION @extschema@.require_column(relation regclass, column_name text) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT @extschema@.has_column(relation, column_name) THEN
		RAISE EXCEPTION 'column "%" of relation % does not exist', column_name, relation
			USING ERRCODE = 'undefined_column';
	END IF;
END $$;

-- What a rule consists of, whatever relation it is for.
CREATE FUNCTION @extschema@.require_rule(kind text, member text, definition text) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	size integer := octet_length(definition) + octet_length(member);
BEGIN
	IF kind NOT IN ('column', 'drop', 'rename', 'key', 'target', 'delete') THEN
		RAISE EXCEPTION 'unknown kind of rule "%"', kind USING ERRCODE = 'invalid_parameter_value',
			HINT = 'Kinds are column, drop, rename, key, target and delete.';
	END IF;
	IF kind IN ('key', 'target', 'delete') AND member <> '' THEN
		RAISE EXCEPTION 'a rule of kind "%" has no member', kind USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF (kind = 'column' AND member = '') OR (kind IN ('rename', 'key', 'target') AND definition = '') THEN
		RAISE EXCEPTION 'the % must not be empty', CASE WHEN kind IN ('key', 'target') THEN kind
												   ELSE 'name of a member' END
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF kind = 'delete' AND definition NOT IN ('full', 'key') THEN
		RAISE EXCEPTION 'invalid mode of deletes: "%"', definition
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Allowed: full or key.';
	END IF;
	IF size > 7000 THEN
		RAISE EXCEPTION 'the rule is too long: % bytes', size
			USING ERRCODE = 'program_limit_exceeded', HINT = 'At most 7000 bytes are allowed.';
	END IF;
END $$;

-- All rules come through here.	 What the relation's rules are together is checked afterwards.
CREATE FUNCTION @extschema@.write_rule(pipeline name, relation regclass, kind text, member text,
									   definition text) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF pipeline IS NULL OR relation IS NULL OR kind IS NULL OR member IS NULL OR definition IS NULL THEN
		RAISE EXCEPTION 'no argument of a rule may be NULL' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	-- one after the other, so that each is checked together with what the others made
	PERFORM FROM @extschema@.pipeline p WHERE p.pipeline = write_rule.pipeline FOR UPDATE;
	PERFORM @extschema@.require_pipeline(pipeline);
	PERFORM @extschema@.require_owner(relation);
	PERFORM @extschema@.require_rule(kind, member, definition);
	IF kind IN ('drop', 'rename') THEN
		PERFORM @extschema@.require_column(relation, member);
	END IF;
	DELETE FROM @extschema@.rule r WHERE r.pipeline = write_rule.pipeline
		AND r.relation = write_rule.relation AND r.kind = write_rule.kind AND r.member = write_rule.member;
	INSERT INTO @extschema@.rule VALUES (pipeline, relation, kind, member, definition,
		kind = 'column' AND @extschema@.has_column(relation, member));
END $$;
REVOKE ALL ON FUNCTION @extschema@.write_rule(name, regclass, text, text, text) FROM PUBLIC;

-- The relation, and all that are part of it and have rules, too: what one's rules are depends on the other's.
CREATE FUNCTION @extschema@.check_relations(pipeline name, relation regclass) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM @extschema@.check_relation(check_relations.pipeline, affected.relid)
	FROM (
		WITH RECURSIVE tree (relid) AS (
			SELECT check_relations.relation
			UNION SELECT i.inhrelid::regclass FROM pg_inherits i JOIN tree ON i.inhparent = tree.relid)
		SELECT tree.relid FROM tree
		WHERE tree.relid = check_relations.relation
			OR EXISTS (SELECT FROM @extschema@.rule r WHERE r.pipeline = check_relations.pipeline
					   AND r.relation = tree.relid)
		ORDER BY 1) affected;
END $$;
REVOKE ALL ON FUNCTION @extschema@.check_relations(name, regclass) FROM PUBLIC;

CREATE FUNCTION @extschema@.put_rule(pipeline name, relation regclass, kind text, member text,
									 definition text) RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM @extschema@.write_rule(pipeline, relation, kind, member, definition);
	PERFORM @extschema@.check_relations(pipeline, relation);
END $$;

CREATE FUNCTION @extschema@.set_column(pipeline name, relation regclass, member text, expression text)
	RETURNS void LANGUAGE sql AS $$
	SELECT @extschema@.put_rule(pipeline, relation, 'column', member,
								@extschema@.normalize_expression(relation, expression))
$$;

CREATE FUNCTION @extschema@.drop_column(pipeline name, relation regclass, column_name name)
	RETURNS void LANGUAGE sql AS $$
	SELECT @extschema@.put_rule(pipeline, relation, 'drop', column_name, '')
$$;

CREATE FUNCTION @extschema@.rename_column(pipeline name, relation regclass, column_name name, member text)
	RETURNS void LANGUAGE sql AS $$
	SELECT @extschema@.put_rule(pipeline, relation, 'rename', column_name, member)
$$;

CREATE FUNCTION @extschema@.set_key(pipeline name, relation regclass, columns name[])
	RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF columns IS NULL OR columns = '{}' OR EXISTS (SELECT FROM unnest(columns) c WHERE c IS NULL) THEN
		RAISE EXCEPTION 'columns must be a list of one or more names, none of them NULL'
			USING ERRCODE = 'invalid_parameter_value',
				  HINT = 'cdc.remove_rule(pipeline, relation, ''key'') goes back to the key of the replica identity.';
	END IF;
	PERFORM @extschema@.put_rule(pipeline, relation, 'key', '',
		(SELECT string_agg(quote_ident(c), ',') FROM unnest(columns) c));
END $$;

CREATE FUNCTION @extschema@.set_target(pipeline name, relation regclass, template text)
	RETURNS void LANGUAGE sql AS $$
	SELECT @extschema@.put_rule(pipeline, relation, 'target', '', template)
$$;

CREATE FUNCTION @extschema@.set_delete(pipeline name, relation regclass, mode text)
	RETURNS void LANGUAGE sql AS $$
	SELECT @extschema@.put_rule(pipeline, relation, 'delete', '', mode)
$$;

CREATE FUNCTION @extschema@.remove_rule(pipeline name, relation regclass, kind text, member text DEFAULT '')
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM FROM @extschema@.pipeline p WHERE p.pipeline = remove_rule.pipeline FOR UPDATE;
	PERFORM @extschema@.require_pipeline(pipeline);
	PERFORM @extschema@.require_owner(relation);
	DELETE FROM @extschema@.rule r WHERE r.pipeline = remove_rule.pipeline
		AND r.relation = remove_rule.relation AND r.kind = remove_rule.kind
		AND r.member = remove_rule.member;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'pipeline "%" has no rule "%" for member "%" of %', pipeline, kind, member, relation
			USING ERRCODE = 'undefined_object', HINT = 'The view cdc.rules lists those there are.';
	END IF;
	PERFORM @extschema@.check_relations(pipeline, relation);
END $$;

CREATE FUNCTION @extschema@.preview(pipeline name, relation regclass, max_rows integer DEFAULT 10)
	RETURNS SETOF json LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'cdc_preview';

-- A pipeline as one document, and back: for keeping it in version control.
CREATE FUNCTION @extschema@.export_pipeline(pipeline name) RETURNS jsonb
	LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM @extschema@.require_pipeline(pipeline);
	PERFORM @extschema@.require_member(p.owner) FROM @extschema@.pipeline p
		WHERE p.pipeline = export_pipeline.pipeline;
	RETURN (
		SELECT jsonb_build_object('pipeline', p.pipeline, 'publications', p.publications,
				'options', p.options, 'metadata', p.metadata, 'rules', (
					SELECT coalesce(jsonb_agg(jsonb_build_object('relation', r.relation::text,
							'kind', r.kind, 'member', r.member, 'definition', r.definition)
						ORDER BY r.relation::text, r.kind, r.member), '[]')
					FROM @extschema@.rule r WHERE r.pipeline = p.pipeline))
		FROM @extschema@.pipeline p WHERE p.pipeline = export_pipeline.pipeline);
END $$;

CREATE FUNCTION @extschema@.rules_of(definition jsonb)
	RETURNS TABLE (relation regclass, kind text, member text, definition text)
	LANGUAGE sql STABLE AS $$
	SELECT r.relation::pg_catalog.regclass, r.kind, coalesce(r.member, ''),
		CASE r.kind WHEN 'column'
			THEN @extschema@.normalize_expression(r.relation::pg_catalog.regclass, r.definition)
			ELSE coalesce(r.definition, '') END
	FROM pg_catalog.jsonb_to_recordset(coalesce($1->'rules', '[]'))
		AS r(relation text, kind text, member text, definition text)
$$;

CREATE FUNCTION @extschema@.require_rules(rules jsonb) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	wrong jsonb;
	unknown text;
BEGIN
	SELECT r INTO wrong FROM jsonb_array_elements(rules) r
		WHERE jsonb_typeof(r) <> 'object' OR r->>'relation' IS NULL OR r->>'kind' IS NULL LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'a rule must be a JSON object with members "relation" and "kind": %', wrong
			USING ERRCODE = 'invalid_parameter_value',
				  HINT = 'It may have members "member" and "definition", too.';
	END IF;
	SELECT r, key INTO wrong, unknown FROM jsonb_array_elements(rules) r, jsonb_object_keys(r) key
		WHERE key NOT IN ('relation', 'kind', 'member', 'definition') LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'unknown member "%" of a rule: %', unknown, wrong
			USING ERRCODE = 'invalid_parameter_value',
				  HINT = 'Known members: relation, kind, member, definition.';
	END IF;
	SELECT (array_agg(r))[1] INTO wrong FROM jsonb_array_elements(rules) r
		GROUP BY (r->>'relation')::regclass, r->>'kind', coalesce(r->>'member', '') HAVING count(*) > 1 LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'there are two rules for the same thing: %', wrong
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave one of them out.';
	END IF;
END $$;

-- Makes the pipeline what the document says, all or nothing; doing it again changes nothing.
CREATE FUNCTION @extschema@.apply_pipeline(definition jsonb) RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	name name := definition->>'pipeline';
	new_publications name[];
	new_options jsonb := coalesce(definition->'options', '{}');
	touched regclass[] := '{}';
	changed record;
	unknown text;
BEGIN
	IF definition IS NULL OR jsonb_typeof(definition) <> 'object' OR name IS NULL THEN
		RAISE EXCEPTION 'the definition must be a JSON object with a member "pipeline"'
			USING ERRCODE = 'invalid_parameter_value',
				  HINT = 'cdc.export_pipeline() gives one of an existing pipeline.';
	END IF;
	SELECT key INTO unknown FROM jsonb_object_keys(definition) key
		WHERE key NOT IN ('pipeline', 'publications', 'options', 'metadata', 'rules') LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'unknown member "%" of the definition', unknown
			USING ERRCODE = 'invalid_parameter_value',
				  HINT = 'Known members: pipeline, publications, options, metadata, rules.';
	END IF;
	IF jsonb_typeof(definition->'publications') <> 'array' OR jsonb_typeof(definition->'rules') <> 'array' THEN
		RAISE EXCEPTION 'members "publications" and "rules" of the definition must be arrays'
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	PERFORM @extschema@.require_rules(coalesce(definition->'rules', '[]'));
	new_publications := ARRAY(SELECT jsonb_array_elements_text(coalesce(definition->'publications', '[]')));
	IF NOT EXISTS (SELECT FROM @extschema@.pipeline p WHERE p.pipeline = name AND NOT p.dropped) THEN
		PERFORM @extschema@.create_pipeline(name);
	END IF;
	PERFORM @extschema@.require_member(p.owner) FROM @extschema@.pipeline p WHERE p.pipeline = name;
	PERFORM @extschema@.require_settings(new_publications, new_options, '{}');
	UPDATE @extschema@.pipeline p SET publications = new_publications, options = new_options
		WHERE p.pipeline = name;
	PERFORM @extschema@.check_pipeline(name);
	PERFORM @extschema@.set_metadata(name, coalesce(definition->'metadata', '{}'));

	FOR changed IN
		SELECT r.relation, r.kind, r.member FROM @extschema@.rule r WHERE r.pipeline = name
		EXCEPT SELECT w.relation, w.kind, w.member FROM @extschema@.rules_of(definition) w
	LOOP
		PERFORM @extschema@.require_owner(changed.relation);
		DELETE FROM @extschema@.rule r WHERE r.pipeline = name
			AND (r.relation, r.kind, r.member) = (changed.relation, changed.kind, changed.member);
		touched := touched || changed.relation;
	END LOOP;
	FOR changed IN
		SELECT * FROM @extschema@.rules_of(definition)
		EXCEPT SELECT r.relation, r.kind, r.member, r.definition FROM @extschema@.rule r
			WHERE r.pipeline = name
	LOOP
		PERFORM @extschema@.write_rule(name, changed.relation, changed.kind, changed.member,
									   changed.definition);
		touched := touched || changed.relation;
	END LOOP;
	PERFORM @extschema@.check_relations(name, relation)
		FROM (SELECT DISTINCT relation FROM unnest(touched) relation ORDER BY 1) t;
END $$;
REVOKE ALL ON FUNCTION @extschema@.apply_pipeline(jsonb) FROM PUBLIC;

CREATE VIEW @extschema@.pipelines WITH (security_barrier) AS
	SELECT pipeline, publications, options, metadata, owner FROM @extschema@.pipeline WHERE NOT dropped;
GRANT SELECT ON @extschema@.pipelines TO PUBLIC;

-- Rules may hold the salts of masks: shown to those who may make them.
CREATE VIEW @extschema@.rules WITH (security_barrier) AS
	SELECT r.pipeline, r.relation, r.kind, r.member, r.definition
	FROM @extschema@.rule r JOIN pg_catalog.pg_class c ON c.oid = r.relation
	WHERE pg_catalog.pg_has_role(c.relowner, 'USAGE');
GRANT SELECT ON @extschema@.rules TO PUBLIC;

-- Dropping a table drops its rules; a change that breaks a rule is refused where it is made.
CREATE FUNCTION @extschema@.relations_dropped() RETURNS event_trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF to_regclass('@extschema@.rule') IS NULL THEN
		RETURN; -- the extension itself is being dropped
	END IF;
	DELETE FROM @extschema@.rule r USING pg_event_trigger_dropped_objects() d
		WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0 AND r.relation = d.objid;
	-- a column, which a type may have taken with it; a type or collation that an expression names
	IF EXISTS (SELECT FROM pg_event_trigger_dropped_objects() d
			   WHERE (d.classid = 'pg_class'::regclass AND d.objsubid <> 0)
				  OR (d.classid IN ('pg_type'::regclass, 'pg_collation'::regclass)
					  AND (d.original OR d.normal))) THEN
		PERFORM @extschema@.check_relation(r.pipeline, r.relation)
			FROM (SELECT DISTINCT r.pipeline, r.relation FROM @extschema@.rule r ORDER BY 1, 2) r;
	END IF;
END $$;
CREATE EVENT TRIGGER cdc_relations_dropped ON sql_drop
	EXECUTE FUNCTION @extschema@.relations_dropped();

-- Not while a dump is restored (which is what turns check_function_bodies off): rules are there before
-- the keys that they need.
CREATE FUNCTION @extschema@.relations_altered() RETURNS event_trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF current_setting('check_function_bodies') = 'off' THEN
		RETURN;
	END IF;
	-- renaming a column renames it in all that inherit it, which are not named among the commands
	PERFORM @extschema@.check_relation(r.pipeline, r.relation)
		FROM (
			WITH RECURSIVE tree (relid) AS (
				SELECT c.objid FROM pg_event_trigger_ddl_commands() c WHERE c.classid = 'pg_class'::regclass
				UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.relid)
			SELECT r.pipeline, r.relation FROM @extschema@.rule r
			WHERE r.relation IN (SELECT relid FROM tree)
				OR EXISTS (SELECT FROM pg_event_trigger_ddl_commands() c WHERE c.command_tag = 'ALTER TYPE')
			GROUP BY r.pipeline, r.relation
			ORDER BY r.relation::text, r.pipeline) r;
END $$;
CREATE EVENT TRIGGER cdc_relations_altered ON ddl_command_end WHEN TAG IN ('ALTER TABLE', 'ALTER TYPE')
	EXECUTE FUNCTION @extschema@.relations_altered();

-- What is only called by the functions above is not for everyone.
REVOKE ALL ON FUNCTION @extschema@.create_pipeline(name, name[], jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.rules_changed() FROM PUBLIC;
