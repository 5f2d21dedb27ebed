# CdcReplica: replays a stream of records into a database, in the order of table "records" (see load_records()
# of CdcTest).  Each record must have all columns, and find the row that it is about.
package CdcReplica;

use strict;
use warnings;

use CdcTest;
use Exporter qw(import);

our @EXPORT = qw(replica_sql contents);

# The procedure apply_all(), which does with each record what a consumer would: by its key, else by the whole
# old row.  DDL comes as messages with the prefix ddl.
sub replica_sql
{
	return q(
		CREATE FUNCTION columns_of(t regclass, generated_too boolean) RETURNS text[] LANGUAGE sql RETURN
			(SELECT array_agg(attname::text ORDER BY attname COLLATE "C") FROM pg_attribute
				WHERE attrelid = t AND attnum > 0 AND NOT attisdropped AND (generated_too OR attgenerated = ''));

		CREATE FUNCTION list(names text[], prefix text) RETURNS text LANGUAGE sql RETURN
			(SELECT string_agg(prefix || quote_ident(name), ', ') FROM unnest(names) AS name);

		CREATE FUNCTION keys_of(object jsonb) RETURNS text[] LANGUAGE sql RETURN
			(SELECT array_agg(name ORDER BY name COLLATE "C") FROM jsonb_object_keys(object) AS name);

		-- the row's place, by the key where there is one
		CREATE FUNCTION find_row(t regclass, record jsonb) RETURNS tid LANGUAGE plpgsql AS $$
		DECLARE
			old jsonb := coalesce(record->'before', record->'key');
			condition text := 't::text = old::text';
			found tid;
		BEGIN
			IF record ? 'key' THEN
				condition := format('(%s) = (%s)', list(keys_of(record->'key'), 't.'), list(keys_of(record->'key'), 'old.'));
			END IF;
			EXECUTE format('SELECT t.ctid FROM ONLY %s AS t, jsonb_populate_record(NULL::%s, $1) AS old WHERE %s LIMIT 1',
				t, t, condition) INTO found USING old;
			IF found IS NULL THEN
				RAISE 'no such row of % for %', t, record;
			END IF;
			RETURN found;
		END $$;

		CREATE PROCEDURE apply(record jsonb) LANGUAGE plpgsql AS $$
		DECLARE
			op text := record->>'op';
			t regclass;
			known text[];
		BEGIN
			IF op = 'message' THEN
				IF record->>'prefix' = 'ddl' THEN
					EXECUTE record->>'content';
				END IF;
				RETURN;
			END IF;
			t := format('%I.%I', record->>'schema', record->>'table')::regclass;
			IF record ?| '{errors,oversized,replaced}' THEN
				RAISE 'not a whole record: %', record;
			END IF;
			IF op IN ('insert', 'update') AND columns_of(t, true) IS DISTINCT FROM ARRAY(
				SELECT name FROM (SELECT unnest(keys_of(record->'after')) UNION ALL
					SELECT jsonb_array_elements_text(record->'unchanged')) AS names (name) ORDER BY name COLLATE "C") THEN
				RAISE 'record has not the columns of %: %', t, record;
			END IF;
			known := ARRAY(SELECT unnest(columns_of(t, false)) INTERSECT SELECT unnest(keys_of(record->'after')));
			CASE op
				WHEN 'insert' THEN
					EXECUTE format('INSERT INTO %s (%s) SELECT %s FROM jsonb_populate_record(NULL::%s, $1)',
						t, list(known, ''), list(known, ''), t) USING record->'after';
				WHEN 'update' THEN
					EXECUTE format('UPDATE ONLY %s SET (%s) = ROW(%s) FROM jsonb_populate_record(NULL::%s, $1) AS new WHERE %s.ctid = $2',
						t, list(known, ''), list(known, 'new.'), t, t) USING record->'after', find_row(t, record);
				WHEN 'delete' THEN
					EXECUTE format('DELETE FROM ONLY %s WHERE ctid = $1', t) USING find_row(t, record);
				WHEN 'truncate' THEN
					-- leaves have truncate records of their own
					IF (SELECT relkind FROM pg_class WHERE oid = t) <> 'p' THEN
						EXECUTE format('TRUNCATE ONLY %s', t);
					END IF;
			END CASE;
		END $$;

		CREATE PROCEDURE apply_all() LANGUAGE plpgsql AS $$
		DECLARE
			row record;
			lsn text;
		BEGIN
			FOR row IN SELECT line::jsonb AS record FROM records ORDER BY number LOOP
				IF row.record->>'commit_lsn' IS DISTINCT FROM lsn THEN
					COMMIT;
					lsn := row.record->>'commit_lsn';
				END IF;
				CALL apply(row.record);
			END LOOP;
		END $$;
	);
}

# How many rows, and a checksum of them in any order.
sub contents
{
	my ($node, $db, $table) = @_;
	return $node->safe_psql($db, qq(
		SELECT count(*), md5(string_agg(row, E'\\n' ORDER BY row COLLATE "C")) FROM (SELECT t::text AS row FROM $table AS t) AS rows));
}

1;
