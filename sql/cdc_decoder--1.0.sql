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
	kind text NOT NULL CHECK (kind IN ('column', 'drop', 'rename', 'lookup', 'key', 'target', 'delete', 'outbox')),
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

-- The shadows of tables that are looked up in (cdc_lookup_feed.c): cdc.lookup_1, ...  They are no members of
-- the extension, so that a dump has them with their rows.  Which columns of the reference they hold is
-- what their trigger on it says.
CREATE TABLE @extschema@.lookup (
	shadow regclass PRIMARY KEY,
	reference regclass NOT NULL,
	keys integer NOT NULL,	-- so many of its first columns are the key
	released_by xid8,		-- the transaction that removed its last rule, and its triggers
	released_before xid8,	-- all transactions before this one may have looked up in it
	released_at pg_lsn		-- a place in the WAL after all of them
) WITH (user_catalog_table = true); -- not for decoding, but so that it is no part of what is captured
SELECT pg_catalog.pg_extension_config_dump('@extschema@.lookup', 'WHERE released_by IS NULL');

-- Running decoders hear of a change where its transaction committed, by an invalidation in the WAL.
CREATE FUNCTION @extschema@.rules_changed() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'cdc_rules_changed';
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON @extschema@.pipeline
	FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.rules_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON @extschema@.rule
	FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.rules_changed();

-- Shadows of tables that are looked up in follow their references by this.
CREATE FUNCTION @extschema@.lookup_feed() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'cdc_lookup_feed';
-- whoever could make such a trigger could write what they like into shadows of tables that are not theirs
REVOKE ALL ON FUNCTION @extschema@.lookup_feed() FROM PUBLIC;

-- What slots still need is not dropped.
CREATE FUNCTION @extschema@.refuse_drop() RETURNS event_trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'cdc_refuse_drop';
CREATE EVENT TRIGGER cdc_refuse_drop ON ddl_command_start
	WHEN TAG IN ('DROP EXTENSION', 'DROP OWNED', 'DROP SCHEMA', 'DROP TABLE')
	EXECUTE FUNCTION @extschema@.refuse_drop();

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
CREATE FUNCTION @extschema@.split_names(names text) RETURNS text[]
	LANGUAGE c STRICT IMMUTABLE AS 'MODULE_PATHNAME', 'cdc_split_names';
CREATE FUNCTION @extschema@.can_be_referenced(reference regclass, columns name[]) RETURNS boolean
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'cdc_can_be_referenced';
CREATE FUNCTION @extschema@.check_reference(relation regclass, columns name[], reference regclass,
											reference_columns name[], wanted name[]) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'cdc_check_reference';

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

CREATE FUNCTION @extschema@.warn_of_missing(publications name[]) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	missing name;
BEGIN
	FOR missing IN SELECT n FROM unnest(publications) n WHERE n NOT IN (SELECT pubname FROM pg_publication) LOOP
		RAISE WARNING 'publication "%" does not exist: it selects nothing until it is created', missing;
	END LOOP;
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
	PERFORM @extschema@.warn_of_missing(publications);
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
	UPDATE @extschema@.backfill_request r SET cancelled_at = clock_timestamp()
		WHERE r.pipeline = drop_pipeline.pipeline AND r.cancelled_at IS NULL;
	PERFORM @extschema@.release_lookups();
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
					  'before', 'after', 'unchanged', 'errors', 'stripped', 'sqlstate', 'oversized', 'replaced', 'transactional',
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
	IF kind NOT IN ('column', 'drop', 'rename', 'lookup', 'key', 'target', 'delete', 'outbox') THEN
		RAISE EXCEPTION 'unknown kind of rule "%"', kind USING ERRCODE = 'invalid_parameter_value',
			HINT = 'Kinds are column, drop, rename, lookup, key, target, delete and outbox.';
	END IF;
	IF kind IN ('key', 'target', 'delete', 'outbox') AND member <> '' THEN
		RAISE EXCEPTION 'a rule of kind "%" has no member', kind USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF (kind IN ('column', 'lookup') AND member = '') OR (kind IN ('rename', 'key', 'target', 'outbox') AND definition = '') THEN
		RAISE EXCEPTION 'the % must not be empty', CASE WHEN kind IN ('key', 'target', 'outbox') THEN kind
												   ELSE 'name of a member' END
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF kind = 'target' AND regexp_replace(definition, '\{\{|\{(schema|table|source|op)\}', '', 'g') ~ '\{' THEN
		RAISE EXCEPTION 'the template of a target has something else than a placeholder after a brace: "%"', definition
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Placeholders are {schema}, {table}, {source} and {op}; {{ is a brace itself.';
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

-- What is inserted into the table are records of its writers' own: the payload is sent as it is, where the
-- template says ({column} is that column's value).	Its rows and their deletion are not sent.
CREATE FUNCTION @extschema@.set_outbox(pipeline name, relation regclass,
									   target text DEFAULT '{aggregate_type}',
									   key_column name DEFAULT 'aggregate_id',
									   payload_column name DEFAULT 'payload') RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF target = '' OR target ~ E'\n' THEN
		RAISE EXCEPTION 'the target of an outbox must be one line, and not empty'
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Such as ''{aggregate_type}'': {column} stands for a column''s value.';
	END IF;
	PERFORM @extschema@.put_rule(pipeline, relation, 'outbox', '',
		quote_ident(key_column) || ',' || quote_ident(payload_column) || E'\n' || target);
END $$;

CREATE FUNCTION @extschema@.set_delete(pipeline name, relation regclass, mode text)
	RETURNS void LANGUAGE sql AS $$
	SELECT @extschema@.put_rule(pipeline, relation, 'delete', '', mode)
$$;

-- Lookups.  A shadow is not dropped with its last rule: older WAL is still decoded with it, and could not be
-- at all if it were gone (cdc_drop_guard.c).  It is no longer fed, and drop_unused_lookups() drops it later.

-- The triggers' names sort before others, since triggers are fired in that order: what another one does,
-- such as a foreign key's ON UPDATE CASCADE, is looked up in what the reference says by then.
CREATE FUNCTION @extschema@.lookup_trigger(shadow text, purpose text) RETURNS name
	LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT ('!cdc_' || shadow || '_' || purpose)::pg_catalog.name $$;

-- Columns of the reference, in the order of the shadow's.
CREATE FUNCTION @extschema@.lookup_columns(shadow regclass) RETURNS name[]
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT array_agg(a.attname ORDER BY c.position)
	FROM @extschema@.lookup l
		JOIN pg_class s ON s.oid = l.shadow
		JOIN pg_trigger t ON t.tgrelid = l.reference AND t.tgname = @extschema@.lookup_trigger(s.relname, 'columns')
		CROSS JOIN unnest(t.tgattr::int2[]) WITH ORDINALITY c(attnum, position)
		JOIN pg_attribute a ON a.attrelid = l.reference AND a.attnum = c.attnum
	WHERE l.shadow = lookup_columns.shadow
$$;

CREATE FUNCTION @extschema@.lookup_fill(shadow regclass, reference regclass, columns name[], keys integer)
	RETURNS void LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'cdc_lookup_fill';
REVOKE ALL ON FUNCTION @extschema@.lookup_fill(regclass, regclass, name[], integer) FROM PUBLIC;

CREATE FUNCTION @extschema@.create_shadow(reference regclass, columns name[], keys integer) RETURNS regclass
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	number integer := 1;
	name text;
	shadow regclass;
BEGIN
	WHILE to_regclass('@extschema@.lookup_' || number) IS NOT NULL LOOP
		number := number + 1;
	END LOOP;
	name := 'lookup_' || number;
	-- no row of the reference may escape both the copy and the triggers
	EXECUTE format('LOCK TABLE ONLY %s IN SHARE ROW EXCLUSIVE MODE', reference);
	-- nothing is out of line (cdc_lookup_long.h)
	EXECUTE format('CREATE TABLE @extschema@.%I WITH (user_catalog_table = true, toast_tuple_target = %s) '
				   'AS SELECT %s, 0 AS part, NULL::bytea AS chunk FROM ONLY %s WITH NO DATA', name,
		least(8160, current_setting('block_size')::integer - 32),
		(SELECT string_agg(format('%I AS c%s', c, n), ', ' ORDER BY n)
		 FROM unnest(columns) WITH ORDINALITY u(c, n)),
		reference);
	shadow := to_regclass('@extschema@.' || name);
	PERFORM @extschema@.lookup_fill(shadow, reference, columns, keys);
	EXECUTE format('ALTER TABLE @extschema@.%I ADD PRIMARY KEY (%s, part)', name,
		(SELECT string_agg('c' || n, ', ' ORDER BY n) FROM generate_series(1, keys) n));
	EXECUTE format('CREATE TRIGGER %I AFTER INSERT OR UPDATE OR DELETE ON %s '
				   'FOR EACH ROW EXECUTE FUNCTION @extschema@.lookup_feed(%L)',
		@extschema@.lookup_trigger(name, 'rows'), reference, name);
	EXECUTE format('CREATE TRIGGER %I AFTER UPDATE OF %s OR TRUNCATE ON %s '
				   'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.lookup_feed(%L)',
		@extschema@.lookup_trigger(name, 'columns'),
		(SELECT string_agg(quote_ident(c), ', ' ORDER BY n) FROM unnest(columns) WITH ORDINALITY u(c, n)),
		reference, name);
	EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I, ENABLE ALWAYS TRIGGER %I', reference,
		@extschema@.lookup_trigger(name, 'rows'), @extschema@.lookup_trigger(name, 'columns'));
	INSERT INTO @extschema@.lookup VALUES (shadow, reference, keys);
	RETURN shadow;
END $$;
REVOKE ALL ON FUNCTION @extschema@.create_shadow(regclass, name[], integer) FROM PUBLIC;

CREATE FUNCTION @extschema@.unused_lookups() RETURNS SETOF regclass
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT l.shadow
	FROM @extschema@.lookup l JOIN pg_class s ON s.oid = l.shadow
	WHERE l.released_by IS NULL AND NOT EXISTS (
		SELECT FROM @extschema@.rule r
		WHERE r.kind = 'lookup' AND (@extschema@.split_names(r.definition))[1] = s.relname)
$$;
REVOKE ALL ON FUNCTION @extschema@.unused_lookups() FROM PUBLIC;

-- Who adds a lookup does not see that another one, not committed yet, removes the last rule of the shadow
-- that it is about to use, nor the other way round: one waits for the other.
CREATE FUNCTION @extschema@.lock_lookups() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	LOCK TABLE @extschema@.lookup IN SHARE ROW EXCLUSIVE MODE;
END $$;
REVOKE ALL ON FUNCTION @extschema@.lock_lookups() FROM PUBLIC;

CREATE FUNCTION @extschema@.sees_what_is_committed() RETURNS boolean
	LANGUAGE sql STABLE AS $$
	SELECT pg_catalog.current_setting('transaction_isolation') IN ('read committed', 'read uncommitted')
$$;

-- Of what no rule uses any more the triggers go.
CREATE FUNCTION @extschema@.release_lookups() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	unused record;
BEGIN
	-- with a snapshot from before, others' rules may not be seen: left for the next one
	IF NOT @extschema@.sees_what_is_committed()
		OR NOT EXISTS (SELECT FROM @extschema@.unused_lookups()) THEN
		RETURN;
	END IF;
	PERFORM @extschema@.lock_lookups();
	FOR unused IN
		UPDATE @extschema@.lookup l SET released_by = pg_current_xact_id()
		FROM pg_class s, pg_class r
		WHERE l.shadow IN (SELECT @extschema@.unused_lookups()) AND s.oid = l.shadow AND r.oid = l.reference
		RETURNING s.relname AS shadow, l.reference
	LOOP
		EXECUTE format('DROP TRIGGER IF EXISTS %I ON %s',
			@extschema@.lookup_trigger(unused.shadow, 'rows'), unused.reference);
		EXECUTE format('DROP TRIGGER IF EXISTS %I ON %s',
			@extschema@.lookup_trigger(unused.shadow, 'columns'), unused.reference);
	END LOOP;
	-- those whose reference is gone
	UPDATE @extschema@.lookup l SET released_by = pg_current_xact_id()
		WHERE l.shadow IN (SELECT @extschema@.unused_lookups());
END $$;
REVOKE ALL ON FUNCTION @extschema@.release_lookups() FROM PUBLIC;

-- Drops what was released before this transaction, where all transactions that may have looked up in it have
-- ended, and all slots here have been read past them.	 A call notes how far that has come; so it may
-- take another one, once the transactions have ended and the slots have come by.
CREATE FUNCTION @extschema@.drop_unused_lookups() RETURNS SETOF text
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp SET cdc.drop_with_slots = on AS $$
DECLARE
	unused record;
BEGIN
	UPDATE @extschema@.lookup l SET released_before = pg_snapshot_xmax(pg_current_snapshot())
		WHERE l.released_before IS NULL AND l.released_by <> pg_current_xact_id();
	UPDATE @extschema@.lookup l SET released_at = pg_current_wal_insert_lsn()
		WHERE l.released_at IS NULL AND l.released_before <= pg_snapshot_xmin(pg_current_snapshot());
	PERFORM @extschema@.release_lookups();
	-- a dump has the tables that were released, but not that they were
	INSERT INTO @extschema@.lookup
		SELECT c.oid, 0, 0, pg_current_xact_id() FROM pg_class c
		WHERE c.relnamespace = '@extschema@'::regnamespace AND c.relkind = 'r' AND c.relname ~ '^lookup_[0-9]+$'
			AND NOT EXISTS (SELECT FROM @extschema@.lookup l WHERE l.shadow = c.oid);
	FOR unused IN
		SELECT l.shadow, l.shadow::text AS name FROM @extschema@.lookup l
		WHERE NOT EXISTS (
			SELECT FROM pg_replication_slots s
			WHERE s.database = current_database() AND s.slot_type = 'logical'
				AND (s.confirmed_flush_lsn IS NULL OR s.confirmed_flush_lsn < l.released_at))
			AND l.released_at IS NOT NULL
		ORDER BY l.shadow
	LOOP
		IF to_regclass(unused.name) IS NOT NULL THEN
			EXECUTE 'DROP TABLE ' || unused.name;
		END IF;
		DELETE FROM @extschema@.lookup l WHERE l.shadow = unused.shadow;
		RETURN NEXT unused.name;
	END LOOP;
END $$;
REVOKE ALL ON FUNCTION @extschema@.drop_unused_lookups() FROM PUBLIC;

-- A shadow with just these columns, the key's first.
CREATE FUNCTION @extschema@.require_shadow(reference regclass, reference_columns name[], wanted name[])
	RETURNS regclass LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	columns name[] := reference_columns ||
		ARRAY(SELECT DISTINCT w FROM unnest(wanted) w WHERE w <> ALL (reference_columns) ORDER BY 1);
	shadow regclass;
BEGIN
	SELECT l.shadow INTO shadow FROM @extschema@.lookup l
		WHERE l.reference = require_shadow.reference AND l.keys = cardinality(reference_columns)
			AND l.released_by IS NULL AND @extschema@.lookup_columns(l.shadow) = columns
		ORDER BY 1 LIMIT 1;
	RETURN coalesce(shadow, @extschema@.create_shadow(reference, columns, cardinality(reference_columns)));
END $$;
REVOKE ALL ON FUNCTION @extschema@.require_shadow(regclass, name[], name[]) FROM PUBLIC;

CREATE FUNCTION @extschema@.add_lookup(pipeline name, relation regclass, columns name[], reference regclass,
									   reference_columns name[], members jsonb) RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	shadow regclass;
	wanted name[];
	shadow_columns name[];
	member record;
BEGIN
	IF pipeline IS NULL OR relation IS NULL OR columns IS NULL OR reference IS NULL
		OR reference_columns IS NULL OR members IS NULL THEN
		RAISE EXCEPTION 'no argument of a lookup may be NULL' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF jsonb_typeof(members) <> 'object' OR members = '{}'
		OR jsonb_path_exists(members, 'strict $.* ? (@.type() != "string")') THEN
		RAISE EXCEPTION 'members must be a JSON object of new members and the columns they come from: %', members
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Such as {"user_email": "email"}.';
	END IF;
	IF array_ndims(columns) IS DISTINCT FROM 1 OR array_ndims(reference_columns) IS DISTINCT FROM 1
		OR array_position(columns, NULL) IS NOT NULL OR array_position(reference_columns, NULL) IS NOT NULL
		OR cardinality(columns) <> cardinality(reference_columns)
		OR (SELECT count(DISTINCT c) FROM unnest(reference_columns) c) <> cardinality(reference_columns) THEN
		RAISE EXCEPTION 'columns and reference_columns must be lists of as many names, at least one, none of '
						'them NULL and none in reference_columns twice'
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Such as {user_id} and {id}.';
	END IF;
	IF NOT @extschema@.sees_what_is_committed() THEN
		RAISE EXCEPTION 'a lookup cannot be added in a transaction of isolation level %',
				current_setting('transaction_isolation')
			USING ERRCODE = 'invalid_transaction_state', HINT = 'Use READ COMMITTED.';
	END IF;
	PERFORM FROM @extschema@.pipeline p WHERE p.pipeline = add_lookup.pipeline FOR UPDATE;
	PERFORM @extschema@.require_pipeline(pipeline);
	PERFORM @extschema@.require_owner(relation);
	PERFORM @extschema@.lock_lookups();
	wanted := ARRAY(SELECT value FROM jsonb_each_text(members));
	PERFORM @extschema@.check_reference(relation, columns, reference, reference_columns, wanted);

	shadow := @extschema@.require_shadow(reference, reference_columns, wanted);
	shadow_columns := @extschema@.lookup_columns(shadow);
	FOR member IN SELECT key, value FROM jsonb_each_text(members) LOOP
		PERFORM @extschema@.write_rule(pipeline, relation, 'lookup', member.key,
			(SELECT s.relname || ',c' || array_position(shadow_columns, member.value::name)
			 FROM pg_class s WHERE s.oid = shadow) || ',' ||
			(SELECT string_agg(quote_ident(c), ',' ORDER BY n) FROM unnest(columns) WITH ORDINALITY u(c, n)));
	END LOOP;
	PERFORM @extschema@.release_lookups();
	PERFORM @extschema@.check_relations(pipeline, relation);
END $$;

-- A lookup's rule as documents have it.
CREATE FUNCTION @extschema@.describe_lookup(definition text) RETURNS jsonb
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object(
		'columns', p[3:],
		'reference', format('%I.%I', n.nspname, c.relname),
		'reference_columns', (@extschema@.lookup_columns(l.shadow))[1:l.keys],
		'column', (@extschema@.lookup_columns(l.shadow))[substr(p[2], 2)::integer])
	FROM @extschema@.split_names(definition) p
		JOIN @extschema@.lookup l ON l.shadow = to_regclass('@extschema@.' || p[1])
		JOIN pg_class c ON c.oid = l.reference
		JOIN pg_namespace n ON n.oid = c.relnamespace
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
	IF kind = 'lookup' THEN
		PERFORM @extschema@.release_lookups();
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
							'kind', r.kind, 'member', r.member, 'definition', CASE r.kind
								WHEN 'lookup' THEN @extschema@.describe_lookup(r.definition)
								ELSE to_jsonb(r.definition) END)
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
	WHERE r.kind <> 'lookup'
$$;

-- The lookups of a document, as describe_lookup() writes them.
CREATE FUNCTION @extschema@.lookups_of(definition jsonb)
	RETURNS TABLE (relation regclass, member text, definition jsonb)
	LANGUAGE sql STABLE AS $$
	SELECT r.relation::pg_catalog.regclass, r.member,
		r.definition || pg_catalog.jsonb_build_object('reference',
			(SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
			 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
			 WHERE c.oid = (r.definition->>'reference')::pg_catalog.regclass))
	FROM pg_catalog.jsonb_to_recordset(coalesce($1->'rules', '[]'))
		AS r(relation text, kind text, member text, definition jsonb)
	WHERE r.kind = 'lookup'
$$;

-- Names as a document has them.
CREATE FUNCTION @extschema@.is_name_list(names jsonb) RETURNS boolean
	LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN pg_catalog.jsonb_typeof(names) = 'array'
		THEN NOT pg_catalog.jsonb_path_exists(names, 'strict $[*] ? (@.type() != "string")') ELSE false END
$$;

-- Makes the lookups of a pipeline what the document says; returns the relations touched.
CREATE FUNCTION @extschema@.apply_lookups(pipeline name, definition jsonb) RETURNS regclass[]
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	touched regclass[] := '{}';
	changed record;
BEGIN
	FOR changed IN
		SELECT r.relation, r.member FROM @extschema@.rule r
		WHERE r.pipeline = apply_lookups.pipeline AND r.kind = 'lookup' AND NOT EXISTS (
			SELECT FROM @extschema@.lookups_of(apply_lookups.definition) w
			WHERE (w.relation, w.member, w.definition)
				= (r.relation, r.member, @extschema@.describe_lookup(r.definition)))
	LOOP
		PERFORM @extschema@.require_owner(changed.relation);
		DELETE FROM @extschema@.rule r WHERE r.pipeline = apply_lookups.pipeline
			AND (r.relation, r.kind, r.member) = (changed.relation, 'lookup', changed.member);
		touched := touched || changed.relation;
	END LOOP;
	-- all members of one lookup together, so that they share a shadow
	FOR changed IN
		SELECT w.relation, w.definition - 'column' AS lookup,
			jsonb_object_agg(w.member, w.definition->'column') AS members
		FROM @extschema@.lookups_of(apply_lookups.definition) w
		GROUP BY 1, 2
		HAVING NOT bool_and(EXISTS (
			SELECT FROM @extschema@.rule r
			WHERE r.pipeline = apply_lookups.pipeline AND (r.relation, r.kind, r.member)
				= (w.relation, 'lookup', w.member)))
		ORDER BY 1, 2
	LOOP
		PERFORM @extschema@.add_lookup(apply_lookups.pipeline, changed.relation,
			ARRAY(SELECT jsonb_array_elements_text(changed.lookup->'columns'))::name[],
			(changed.lookup->>'reference')::regclass,
			ARRAY(SELECT jsonb_array_elements_text(changed.lookup->'reference_columns'))::name[],
			changed.members);
		touched := touched || changed.relation;
	END LOOP;
	PERFORM @extschema@.release_lookups();
	RETURN touched;
END $$;
REVOKE ALL ON FUNCTION @extschema@.apply_lookups(name, jsonb) FROM PUBLIC;

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
	SELECT r INTO wrong FROM jsonb_array_elements(rules) r
		WHERE r->>'kind' <> 'lookup' AND jsonb_typeof(r->'definition') NOT IN ('string', 'null') LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'the definition of a rule must be a string: %', wrong
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	SELECT r INTO wrong FROM jsonb_array_elements(rules) r
		WHERE r->>'kind' = 'lookup' AND (coalesce(r->>'member', '') = ''
			OR jsonb_typeof(r->'definition') IS DISTINCT FROM 'object'
			OR (SELECT array_agg(key ORDER BY key) FROM jsonb_object_keys(CASE jsonb_typeof(r->'definition')
					WHEN 'object' THEN r->'definition' ELSE '{}' END) key)
				IS DISTINCT FROM '{column,columns,reference,reference_columns}'
			OR NOT @extschema@.is_name_list(r#>'{definition,columns}')
			OR NOT @extschema@.is_name_list(r#>'{definition,reference_columns}')
			OR jsonb_typeof(r#>'{definition,reference}') <> 'string'
			OR jsonb_typeof(r#>'{definition,column}') <> 'string') LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'a rule of kind "lookup" is not complete: %', wrong
			USING ERRCODE = 'invalid_parameter_value', HINT = 'It needs a member, and as its definition an object '
				'like {"columns": ["user_id"], "reference": "public.users", "reference_columns": ["id"], "column": "email"}.';
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
	PERFORM @extschema@.warn_of_missing(new_publications);
	UPDATE @extschema@.pipeline p SET publications = new_publications, options = new_options
		WHERE p.pipeline = name;
	PERFORM @extschema@.check_pipeline(name);
	PERFORM @extschema@.set_metadata(name, coalesce(definition->'metadata', '{}'));

	FOR changed IN
		SELECT r.relation, r.kind, r.member FROM @extschema@.rule r
			WHERE r.pipeline = name AND r.kind <> 'lookup'
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
	touched := touched || @extschema@.apply_lookups(name, definition);
	PERFORM @extschema@.check_relations(name, relation)
		FROM (SELECT DISTINCT relation FROM unnest(touched) relation ORDER BY 1) t;
END $$;
REVOKE ALL ON FUNCTION @extschema@.apply_pipeline(jsonb) FROM PUBLIC;

CREATE VIEW @extschema@.pipelines WITH (security_barrier) AS
	SELECT pipeline, publications, options, metadata, owner FROM @extschema@.pipeline WHERE NOT dropped;
GRANT SELECT ON @extschema@.pipelines TO PUBLIC;

-- Rules may hold the salts of masks: shown to those who may make them.
CREATE VIEW @extschema@.rules WITH (security_barrier) AS
	SELECT r.pipeline, r.relation, r.kind, r.member,
		CASE r.kind WHEN 'lookup' THEN @extschema@.describe_lookup(r.definition)::pg_catalog.text
			ELSE r.definition END AS definition
	FROM @extschema@.rule r JOIN pg_catalog.pg_class c ON c.oid = r.relation
	WHERE pg_catalog.pg_has_role(c.relowner, 'USAGE');
GRANT SELECT ON @extschema@.rules TO PUBLIC;

-- What a lookup relies on in its reference.
CREATE FUNCTION @extschema@.check_lookups() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	l record;
BEGIN
	FOR l IN
		SELECT k.reference, @extschema@.lookup_columns(k.shadow) AS columns, k.keys, s.relname AS shadow, (
				SELECT count(*) FROM pg_trigger t
				WHERE t.tgrelid = k.reference AND t.tgenabled = 'A' AND t.tgname IN (
					@extschema@.lookup_trigger(s.relname, 'rows'), @extschema@.lookup_trigger(s.relname, 'columns')
				)) AS triggers
		FROM @extschema@.lookup k JOIN pg_class c ON c.oid = k.reference LEFT JOIN pg_class s ON s.oid = k.shadow
		WHERE k.released_by IS NULL
		ORDER BY k.shadow
	LOOP
		IF l.shadow IS NULL OR l.triggers < 2 OR l.columns IS NULL THEN
			RAISE EXCEPTION 'a lookup in % needs its table in schema cdc and its triggers, under their names and '
							'enabled always', l.reference
				USING ERRCODE = 'dependent_objects_still_exist', HINT = 'Remove the rules of kind lookup first, '
					'with cdc.remove_rule(); the view cdc.rules lists them.';
		END IF;
		IF NOT @extschema@.can_be_referenced(l.reference, l.columns[1:l.keys]) THEN
			RAISE EXCEPTION 'a lookup in % needs a primary key or unique index of %', l.reference, l.columns[1:l.keys]
				USING ERRCODE = 'dependent_objects_still_exist', HINT = 'Make another one first, or remove the rules '
					'of kind lookup, with cdc.remove_rule(); the view cdc.rules lists them.';
		END IF;
	END LOOP;
END $$;
REVOKE ALL ON FUNCTION @extschema@.check_lookups() FROM PUBLIC;

-- Dropping a table drops its rules; a change that breaks a rule is refused where it is made.
CREATE FUNCTION @extschema@.relations_dropped() RETURNS event_trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	gone record;
BEGIN
	IF to_regclass('@extschema@.rule') IS NULL OR to_regclass('@extschema@.lookup') IS NULL THEN
		RETURN; -- the extension itself is being dropped
	END IF;
	DELETE FROM @extschema@.rule r USING pg_event_trigger_dropped_objects() d
		WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0 AND r.relation = d.objid;
	-- what looks up in a table that is gone; what was sent before is decoded by its shadow, which stays
	FOR gone IN
		DELETE FROM @extschema@.rule r
		USING @extschema@.lookup l, pg_class s, pg_event_trigger_dropped_objects() d
		WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0 AND l.reference = d.objid
			AND s.oid = l.shadow AND r.kind = 'lookup'
			AND (@extschema@.split_names(r.definition))[1] = s.relname
		RETURNING r.pipeline, r.relation, r.member, d.object_identity
	LOOP
		RAISE WARNING 'pipeline "%" no longer looks up member "%" of %, since % was dropped', gone.pipeline,
			gone.member, gone.relation, gone.object_identity;
	END LOOP;
	PERFORM @extschema@.release_lookups();
	IF EXISTS (SELECT FROM pg_event_trigger_dropped_objects() d
			   WHERE d.object_type IN ('index', 'table constraint', 'trigger')) THEN
		PERFORM @extschema@.check_lookups();
	END IF;
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
	IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() c JOIN @extschema@.lookup l ON l.reference = c.objid
			   WHERE c.classid = 'pg_class'::regclass AND l.released_by IS NULL)
		OR EXISTS (SELECT FROM pg_event_trigger_ddl_commands() c WHERE c.classid = 'pg_trigger'::regclass) THEN
		PERFORM @extschema@.check_lookups();
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
CREATE EVENT TRIGGER cdc_relations_altered ON ddl_command_end WHEN TAG IN ('ALTER TABLE', 'ALTER TRIGGER', 'ALTER TYPE')
	EXECUTE FUNCTION @extschema@.relations_altered();

-- ALTER COLUMN ... SET EXPRESSION (PostgreSQL 17) gives generated columns other values, and no trigger is fired.
CREATE FUNCTION @extschema@.relation_rewritten() RETURNS event_trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	-- the reason's bits: AT_REWRITE_DEFAULT_VAL in commands/event_trigger.h
	IF current_setting('server_version_num')::integer >= 170000
		AND pg_event_trigger_table_rewrite_reason() & 2 <> 0 AND EXISTS (
			SELECT FROM @extschema@.lookup l
				JOIN pg_attribute a ON a.attrelid = l.reference
					AND a.attname = ANY (@extschema@.lookup_columns(l.shadow))
			WHERE l.reference = pg_event_trigger_table_rewrite_oid() AND l.released_by IS NULL
				AND a.attgenerated <> '') THEN
		RAISE EXCEPTION 'generated columns of % that are looked up would be computed anew',
				pg_event_trigger_table_rewrite_oid()::regclass
			USING ERRCODE = 'dependent_objects_still_exist', HINT = 'Remove the rules of kind lookup first, with '
				'cdc.remove_rule(), and make them again afterwards, in the same transaction.';
	END IF;
END $$;
CREATE EVENT TRIGGER cdc_relation_rewritten ON table_rewrite
	EXECUTE FUNCTION @extschema@.relation_rewritten();

-- DDL in the stream: opt-in, since a command's text may hold what records do not show.	 Event triggers write
-- transactional logical messages, which the plugin turns into records (plugin/cdc_ddl.h).

-- Columns of a relation as they are now.
CREATE FUNCTION @extschema@.describe_columns(relation oid) RETURNS jsonb
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
			'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
			'not_null', CASE WHEN a.attnotnull THEN true END,
			'default', CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
			'generated', CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END,
			'identity', CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END))
		ORDER BY a.attnum)
	FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
	WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
$$;

-- What an object is after the command; NULL where there is nothing more to say than its identity.
CREATE FUNCTION @extschema@.describe_object(class oid, object oid) RETURNS jsonb
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE
		WHEN class = 'pg_class'::regclass THEN (
			SELECT CASE
				WHEN c.relkind IN ('r', 'p', 'f') THEN jsonb_strip_nulls(jsonb_build_object(
					'columns', @extschema@.describe_columns(c.oid),
					'primary_key', (SELECT jsonb_agg(a.attname ORDER BY k.n)
						FROM pg_index i CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, n)
							JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
						WHERE i.indrelid = c.oid AND i.indisprimary AND k.n <= i.indnkeyatts),
					'replica_identity', CASE c.relreplident WHEN 'd' THEN 'default' WHEN 'n' THEN 'nothing'
						WHEN 'f' THEN 'full' ELSE 'index' END))
				WHEN c.relkind IN ('v', 'm') THEN jsonb_build_object('columns', @extschema@.describe_columns(c.oid),
					'query', pg_get_viewdef(c.oid))
				WHEN c.relkind IN ('i', 'I') THEN jsonb_build_object('index', pg_get_indexdef(c.oid))
				WHEN c.relkind = 'c' THEN jsonb_build_object('columns', @extschema@.describe_columns(c.oid)) END
			FROM pg_class c WHERE c.oid = object)
		WHEN class = 'pg_proc'::regclass THEN (
			SELECT jsonb_build_object('function', pg_get_functiondef(p.oid))
			FROM pg_proc p WHERE p.oid = object AND p.prokind IN ('f', 'p'))
		WHEN class = 'pg_type'::regclass THEN (
			SELECT jsonb_build_object('labels', jsonb_agg(e.enumlabel ORDER BY e.enumsortorder))
			FROM pg_enum e WHERE e.enumtypid = object HAVING count(*) > 0)
		WHEN class = 'pg_constraint'::regclass THEN
			jsonb_build_object('constraint', pg_get_constraintdef(object))
		WHEN class = 'pg_trigger'::regclass THEN jsonb_build_object('trigger', pg_get_triggerdef(object))
	END
$$;

-- One message, and behind it an empty one: in a subtransaction (an EXCEPTION block is one) a message is
-- delivered after the record that follows it, unless another message of the same subtransaction does.
CREATE FUNCTION @extschema@.emit_ddl_message(tag text, type text, identity text, schema text, object jsonb)
	RETURNS void LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT pg_logical_emit_message(true, 'cdc_decoder.ddl', json_strip_nulls(json_build_object(
			'command_tag', tag, 'object_type', type, 'identity', identity, 'object_schema', schema,
			'definition', object, 'command', current_query()))::text);
	SELECT pg_logical_emit_message(true, 'cdc_decoder.spacer', '');
$$;

-- Never fails a command: what cannot be told is a WARNING.
CREATE FUNCTION @extschema@.tell_ddl() RETURNS event_trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF tg_event = 'sql_drop' THEN
		PERFORM @extschema@.emit_ddl_message(tg_tag, d.object_type, d.object_identity, d.schema_name, NULL)
			FROM pg_event_trigger_dropped_objects() d WHERE d.original AND NOT d.is_temporary;
	ELSE
		PERFORM @extschema@.emit_ddl_message(c.command_tag, c.object_type, c.object_identity, c.schema_name,
				@extschema@.describe_object(c.classid, c.objid))
			FROM pg_event_trigger_ddl_commands() c
			WHERE c.schema_name IS DISTINCT FROM 'pg_temp' AND c.command_tag !~ '^DROP ';
	END IF;
EXCEPTION WHEN OTHERS THEN
	RAISE WARNING 'the command % is not told in the stream: %', tg_tag, SQLERRM;
END $$;

-- No members of the extension, so that a dump has them where they are enabled.
CREATE FUNCTION @extschema@.enable_ddl() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF EXISTS (SELECT FROM pg_event_trigger WHERE evtname IN ('cdc_tell_ddl', 'cdc_tell_drop')) THEN
		RETURN;
	END IF;
	CREATE EVENT TRIGGER cdc_tell_ddl ON ddl_command_end EXECUTE FUNCTION @extschema@.tell_ddl();
	CREATE EVENT TRIGGER cdc_tell_drop ON sql_drop EXECUTE FUNCTION @extschema@.tell_ddl();
END $$;
CREATE FUNCTION @extschema@.disable_ddl() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	DROP EVENT TRIGGER IF EXISTS cdc_tell_ddl;
	DROP EVENT TRIGGER IF EXISTS cdc_tell_drop;
END $$;
REVOKE ALL ON FUNCTION @extschema@.enable_ddl(), @extschema@.disable_ddl() FROM PUBLIC;

-- Existing rows, for cdc_client stream --snapshot and cdc_client backfill (plugin/cdc_snapshot_*.c).

-- The tables of which a stream with these options (name, value, ...) selects the rows; of one table, or all.
CREATE FUNCTION @extschema@.snapshot_relations(options text[], table_oid oid DEFAULT NULL)
	RETURNS TABLE (relation oid, schema text, name text, rows double precision, bytes bigint, key text[],
				   has_identity boolean)
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'cdc_snapshot_relations';
COMMENT ON FUNCTION @extschema@.snapshot_relations(text[], oid) IS
	'tables of which a stream with these options selects the rows, with estimates of their size';

-- One chunk of a table's rows, in the order of its key, as frames (plugin/cdc_protocol.h), read between two
-- watermarks in the WAL.	Rows past "after" and up to "upto", columns of the key in text.	 keys: what each
-- row is known by, 16 bytes, and its key: a text for each column, with its length in 4 bytes before it; places:
-- where records have the low watermark's end instead of the high one's beginning; timeline: of the WAL that the
-- rows come from; took: microseconds.
-- On a standby, instead of "watermark", "behind" tells what it has to have replayed: a low watermark's end.
CREATE FUNCTION @extschema@.read_chunk(options text[], relation oid, key text[], after text[], upto text[],
									   filter text, max_rows integer, max_bytes integer, watermark text,
									   behind pg_lsn,
									   OUT low pg_lsn, OUT rows integer, OUT scanned integer, OUT last text[],
									   OUT done boolean, OUT keys bytea, OUT records bytea,
									   OUT places bytea, OUT timeline integer, OUT took integer)
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'cdc_read_chunk';
COMMENT ON FUNCTION @extschema@.read_chunk(text[], oid, text[], text[], text[], text, integer, integer, text,
										   pg_lsn) IS
	'a chunk of existing rows as records, read between two watermarks; for cdc_client';

-- What ends the window in which a chunk was read; and, before a standby reads one, what begins it.
CREATE FUNCTION @extschema@.write_watermark(relation oid, watermark text, high boolean,
											OUT begins pg_lsn, OUT ends pg_lsn)
	LANGUAGE c STRICT VOLATILE AS 'MODULE_PATHNAME', 'cdc_write_watermark';
COMMENT ON FUNCTION @extschema@.write_watermark(oid, text, boolean) IS
	'a watermark in the WAL, around the reading of a chunk of existing rows; for cdc_client';

-- Keys by which the table's rows past "after" and up to "upto" can be divided into so many parts of about the same
-- size, or fewer where these would be small; none for a table without a key.
CREATE FUNCTION @extschema@.key_bounds(relation oid, key text[], after text[], upto text[], parts integer)
	RETURNS TABLE (n integer, bound text[])
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'cdc_key_bounds';
COMMENT ON FUNCTION @extschema@.key_bounds(oid, text[], text[], text[], integer) IS
	'keys that divide a table into parts of about the same size; for cdc_client';

-- Existing rows of a table on request, while streams go on: cdc.backfill(), cdc_client backfill.	 What is written
-- here is not captured: hence user catalog tables.	 Requests stay, since a stream's position in its sink tells
-- how far it is by their numbers; of a pipeline these rise in the order of commit, and those of cancellations
-- among them: who is told a number knows by it whether what it stands for is visible yet.
CREATE TABLE @extschema@.backfill_request (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	pipeline name NOT NULL,
	relation oid NOT NULL,		-- it may have been dropped since
	relation_name text NOT NULL,
	filter text,
	requested_at timestamptz NOT NULL,
	requested_lsn pg_lsn NOT NULL, -- before its commit, and after its transaction began
	requested_by name NOT NULL,
	cancelled_by bigint, -- the cancellation's number
	cancelled_at timestamptz
) WITH (user_catalog_table = true);

-- Which slots serve a pipeline's requests: those past the ones that were made before the stream was.
CREATE TABLE @extschema@.backfill_slot (
	pipeline name,
	slot name,
	since bigint NOT NULL,
	PRIMARY KEY (pipeline, slot)
) WITH (user_catalog_table = true);

CREATE TABLE @extschema@.backfill_progress (
	request bigint,
	slot name,
	state text NOT NULL CHECK (state IN ('running', 'done', 'failed', 'cancelled')),
	rows bigint NOT NULL,
	reading text, -- the table whose rows are read: a partition, say
	message text,
	began_at timestamptz NOT NULL,
	updated_at timestamptz NOT NULL,
	PRIMARY KEY (request, slot)
) WITH (user_catalog_table = true);

-- Whoever may read rows through the pipeline: a role with REPLICATION, or the owner.	 0: there is none.
CREATE FUNCTION @extschema@.require_streamer(owner regrole) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'cdc_require_streamer';
CREATE FUNCTION @extschema@.require_streamer_of(pipeline name) RETURNS void
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT @extschema@.require_streamer(coalesce(
		(SELECT p.owner FROM @extschema@.pipeline p WHERE p.pipeline = require_streamer_of.pipeline), 0::oid::regrole))
$$;

-- What is requested can be read, by who asks for it.
CREATE FUNCTION @extschema@.check_backfill(pipeline name, relation regclass, filter text) RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'cdc_check_backfill';

-- Wakes the clients that stream through the pipeline (plugin/cdc_backfill_bell.h).
CREATE FUNCTION @extschema@.ring_backfill(id bigint, pipeline name) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT pg_logical_emit_message(true, 'cdc_decoder.backfill', id || ' ' || pipeline)
$$;
REVOKE ALL ON FUNCTION @extschema@.ring_backfill(bigint, name) FROM PUBLIC;

-- The filter as it is stored: the same under any search_path.
CREATE FUNCTION @extschema@.request_backfill(pipeline name, relation regclass, filter text) RETURNS bigint
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	number bigint;
BEGIN
	IF pipeline IS NULL OR relation IS NULL THEN
		RAISE EXCEPTION 'pipeline and relation must not be NULL' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	-- one after the other, until they commit
	PERFORM FROM @extschema@.pipeline p WHERE p.pipeline = request_backfill.pipeline FOR UPDATE;
	PERFORM @extschema@.require_pipeline(pipeline);
	PERFORM @extschema@.require_streamer_of(pipeline);
	IF octet_length(filter) > 7000 THEN
		RAISE EXCEPTION 'the filter is too long: % bytes', octet_length(filter)
			USING ERRCODE = 'program_limit_exceeded', HINT = 'At most 7000 bytes are allowed.';
	END IF;
	PERFORM @extschema@.check_backfill(pipeline, relation, filter);
	INSERT INTO @extschema@.backfill_request (pipeline, relation, relation_name, filter, requested_at, requested_lsn,
											  requested_by)
		SELECT request_backfill.pipeline, c.oid, format('%I.%I', n.nspname, c.relname), request_backfill.filter,
			clock_timestamp(), pg_current_wal_insert_lsn(),
			(SELECT rolname FROM pg_roles r WHERE r.oid = @extschema@.caller())
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = request_backfill.relation
		RETURNING id INTO number;
	PERFORM @extschema@.ring_backfill(number, pipeline);
	RETURN number;
END $$;

CREATE FUNCTION @extschema@.backfill(pipeline name, relation regclass, filter text DEFAULT NULL) RETURNS bigint
	LANGUAGE sql AS $$
	SELECT @extschema@.request_backfill(pipeline, relation, CASE WHEN filter IS NOT NULL AND relation IS NOT NULL
		THEN @extschema@.normalize_expression(relation, filter) END)
$$;
COMMENT ON FUNCTION @extschema@.backfill(name, regclass, text) IS
	'has the existing rows of a table (those that match the filter) delivered by all streams through the pipeline; returns the request''s number';

CREATE FUNCTION @extschema@.cancel_backfill(id bigint) RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	request @extschema@.backfill_request;
	number bigint;
BEGIN
	SELECT * INTO request FROM @extschema@.backfill_request r WHERE r.id = cancel_backfill.id;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no backfill request %', coalesce(id::text, 'NULL')
			USING ERRCODE = 'undefined_object', HINT = 'The view cdc.backfills lists those there are.';
	END IF;
	PERFORM @extschema@.require_streamer_of(request.pipeline);
	PERFORM FROM @extschema@.pipeline p WHERE p.pipeline = request.pipeline FOR UPDATE;
	UPDATE @extschema@.backfill_request r SET cancelled_at = clock_timestamp(),
			cancelled_by = nextval(pg_get_serial_sequence('@extschema@.backfill_request', 'id'))
		WHERE r.id = cancel_backfill.id AND r.cancelled_at IS NULL
		RETURNING cancelled_by INTO number;
	IF FOUND THEN
		PERFORM @extschema@.ring_backfill(number, request.pipeline);
	END IF;
END $$;
COMMENT ON FUNCTION @extschema@.cancel_backfill(bigint) IS
	'has streams stop delivering what cdc.backfill() asked for, at their next chunk of rows';

-- For cdc_client: what its slot has to do.	 The first call of a slot settles from where on requests are its own:
-- behind those that were made before this place.	 "also": a request that its position tells of, finished or not.
-- known: the last number that is visible; given: the last number that was given away, maybe not committed yet.
CREATE FUNCTION @extschema@.pending_backfills(pipeline name, slot name, start_lsn pg_lsn, also bigint,
											  OUT known bigint, OUT given bigint, OUT requests json)
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	first bigint;
BEGIN
	PERFORM @extschema@.require_streamer_of(pipeline);
	SELECT s.since INTO first FROM @extschema@.backfill_slot s
		WHERE s.pipeline = pending_backfills.pipeline AND s.slot = pending_backfills.slot;
	IF NOT FOUND THEN
		INSERT INTO @extschema@.backfill_slot
			SELECT pending_backfills.pipeline, pending_backfills.slot, coalesce(max(r.id), 0)
			FROM @extschema@.backfill_request r
			WHERE r.pipeline = pending_backfills.pipeline AND r.requested_lsn <= start_lsn
			RETURNING since INTO first;
	END IF;
	SELECT coalesce(max(greatest(r.id, r.cancelled_by)), 0) INTO known FROM @extschema@.backfill_request r
		WHERE r.pipeline = pending_backfills.pipeline;
	given := coalesce(pg_sequence_last_value(pg_get_serial_sequence('@extschema@.backfill_request', 'id')::regclass), 0);
	SELECT coalesce(json_agg(json_build_object('id', r.id, 'relation', r.relation::bigint, 'name', r.relation_name,
			'filter', r.filter, 'cancelled', r.cancelled_at IS NOT NULL) ORDER BY r.id), '[]') INTO requests
		FROM @extschema@.backfill_request r
		WHERE r.pipeline = pending_backfills.pipeline AND (r.id = also OR r.id > first AND NOT EXISTS (
			SELECT FROM @extschema@.backfill_progress p
			WHERE p.request = r.id AND p.slot = pending_backfills.slot AND p.state <> 'running'));
END $$;

-- For cdc_client: how far it is.	 Was the request cancelled?
CREATE FUNCTION @extschema@.report_backfill(request bigint, slot name, state text, rows bigint, reading text,
											message text) RETURNS boolean
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	found_request @extschema@.backfill_request;
BEGIN
	SELECT * INTO found_request FROM @extschema@.backfill_request r WHERE r.id = request;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no backfill request %', coalesce(request::text, 'NULL')
			USING ERRCODE = 'undefined_object';
	END IF;
	PERFORM @extschema@.require_streamer_of(found_request.pipeline);
	UPDATE @extschema@.backfill_progress p
		SET state = report_backfill.state, rows = report_backfill.rows, reading = report_backfill.reading,
			message = report_backfill.message, updated_at = clock_timestamp()
		WHERE p.request = report_backfill.request AND p.slot = report_backfill.slot;
	IF NOT FOUND THEN
		INSERT INTO @extschema@.backfill_progress
			VALUES (request, slot, state, rows, reading, message, clock_timestamp(), clock_timestamp());
	END IF;
	RETURN found_request.cancelled_at IS NOT NULL;
END $$;

-- Requests with each slot that serves them (NULL: none does yet), shown to those who may make them.
CREATE VIEW @extschema@.backfills WITH (security_barrier) AS
	SELECT r.id, r.pipeline, r.relation_name AS relation, r.filter, r.requested_at, r.requested_by, s.slot,
		coalesce(CASE WHEN p.state = 'running' AND r.cancelled_at IS NOT NULL THEN 'cancelling' ELSE p.state END,
			CASE WHEN r.cancelled_at IS NULL THEN 'pending' ELSE 'cancelled' END) AS state,
		coalesce(p.rows, 0) AS rows, p.reading, p.message, p.began_at, p.updated_at
	FROM @extschema@.backfill_request r
		LEFT JOIN @extschema@.pipeline l ON l.pipeline = r.pipeline
		LEFT JOIN (
			SELECT s.pipeline, s.slot, s.since FROM @extschema@.backfill_slot s
			WHERE s.slot IN (SELECT slot_name FROM pg_catalog.pg_replication_slots)) s
			ON s.pipeline = r.pipeline AND r.id > s.since
		LEFT JOIN @extschema@.backfill_progress p ON p.request = r.id AND p.slot = s.slot
	WHERE pg_catalog.pg_has_role(l.owner, 'USAGE')
		OR (SELECT u.rolreplication OR u.rolsuper FROM pg_catalog.pg_roles u WHERE u.rolname = current_user);
GRANT SELECT ON @extschema@.backfills TO PUBLIC;

-- What is only called by the functions above is not for everyone.
REVOKE ALL ON FUNCTION @extschema@.create_pipeline(name, name[], jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.rules_changed() FROM PUBLIC;
