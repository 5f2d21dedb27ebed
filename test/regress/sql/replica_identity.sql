-- key, before and after under every replica identity, with and without a primary key.
-- An update or delete of which no identity was logged is a record all the same.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
-- Without and with a primary key, and with a unique index to use: 2 x 4 identities.
CREATE TABLE no_pk (id int, alt int NOT NULL, note text);
CREATE UNIQUE INDEX no_pk_alt ON no_pk (alt);
CREATE TABLE pk (id int PRIMARY KEY, alt int NOT NULL, note text);
CREATE UNIQUE INDEX pk_alt ON pk (alt);

-- The same changes to whichever table: insert, update without and with the key's (both keys')
-- column changed, delete.
CREATE PROCEDURE change(relation regclass) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('INSERT INTO %s VALUES (1, 10, ''a'')', relation);
	EXECUTE format('UPDATE %s SET note = ''b''', relation);
	EXECUTE format('UPDATE %s SET note = note', relation);
	EXECUTE format('UPDATE %s SET id = 2', relation);
	EXECUTE format('UPDATE %s SET alt = 20', relation);
	EXECUTE format('UPDATE %s SET id = 3, alt = 30, note = NULL', relation);
	EXECUTE format('DELETE FROM %s', relation);
END
$$;

ALTER TABLE pk REPLICA IDENTITY DEFAULT;
SELECT skip();
CALL change('pk');
SELECT brief();

ALTER TABLE pk REPLICA IDENTITY USING INDEX pk_alt;
SELECT skip();
CALL change('pk');
SELECT brief();

ALTER TABLE pk REPLICA IDENTITY FULL;
SELECT skip();
CALL change('pk');
SELECT brief();

ALTER TABLE pk REPLICA IDENTITY NOTHING;
SELECT skip();
CALL change('pk');
SELECT brief();

ALTER TABLE no_pk REPLICA IDENTITY DEFAULT;
SELECT skip();
CALL change('no_pk');
SELECT brief();

ALTER TABLE no_pk REPLICA IDENTITY USING INDEX no_pk_alt;
SELECT skip();
CALL change('no_pk');
SELECT brief();

ALTER TABLE no_pk REPLICA IDENTITY FULL;
SELECT skip();
CALL change('no_pk');
SELECT brief();

ALTER TABLE no_pk REPLICA IDENTITY NOTHING;
SELECT skip();
CALL change('no_pk');
SELECT brief();

-- delete=key: only deletes change, and only where there is a key to reduce them to.
ALTER TABLE pk REPLICA IDENTITY DEFAULT;
SELECT skip();
CALL change('pk');
SELECT r FROM brief('delete', 'key') AS r WHERE r::json->>'op' = 'delete';
ALTER TABLE pk REPLICA IDENTITY USING INDEX pk_alt;
SELECT skip();
CALL change('pk');
SELECT r FROM brief('delete', 'key') AS r WHERE r::json->>'op' = 'delete';
ALTER TABLE pk REPLICA IDENTITY FULL;
SELECT skip();
CALL change('pk');
SELECT r FROM brief('delete', 'key') AS r WHERE r::json->>'op' = 'delete';
ALTER TABLE pk REPLICA IDENTITY NOTHING;
SELECT skip();
CALL change('pk');
SELECT r FROM brief('delete', 'key') AS r WHERE r::json->>'op' = 'delete';
ALTER TABLE no_pk REPLICA IDENTITY DEFAULT;
SELECT skip();
CALL change('no_pk');
SELECT r FROM brief('delete', 'key') AS r WHERE r::json->>'op' = 'delete';
ALTER TABLE no_pk REPLICA IDENTITY USING INDEX no_pk_alt;
SELECT skip();
CALL change('no_pk');
SELECT r FROM brief('delete', 'key') AS r WHERE r::json->>'op' = 'delete';
ALTER TABLE no_pk REPLICA IDENTITY FULL;
SELECT skip();
CALL change('no_pk');
SELECT r FROM brief('delete', 'key') AS r WHERE r::json->>'op' = 'delete';
ALTER TABLE no_pk REPLICA IDENTITY NOTHING;
SELECT skip();
CALL change('no_pk');
SELECT r FROM brief('delete', 'key') AS r WHERE r::json->>'op' = 'delete';

-- A key of several columns is in the table's order.
CREATE TABLE wide (a int, b text, c int, d text, PRIMARY KEY (d, a));
SELECT skip();
INSERT INTO wide VALUES (1, 'b', 3, 'd');
UPDATE wide SET c = 4;
UPDATE wide SET a = 5;
DELETE FROM wide;
SELECT brief();

-- Columns that an index merely includes are no key.
CREATE TABLE covered (id int NOT NULL, note text, more int);
CREATE UNIQUE INDEX covered_id ON covered (id) INCLUDE (note);
ALTER TABLE covered REPLICA IDENTITY USING INDEX covered_id;
SELECT skip();
INSERT INTO covered VALUES (1, 'a', 1);
UPDATE covered SET note = 'b';
UPDATE covered SET id = 2;
DELETE FROM covered;
SELECT brief();

-- A deferrable primary key is none that identifies.
CREATE TABLE deferred (id int PRIMARY KEY DEFERRABLE, note text);
SELECT skip();
INSERT INTO deferred VALUES (1, 'a');
SELECT brief();
ALTER TABLE deferred REPLICA IDENTITY FULL;
INSERT INTO deferred VALUES (2, 'b');
DELETE FROM deferred;
SELECT brief();

-- The index goes: what was logged no longer identifies anything.
ALTER TABLE pk REPLICA IDENTITY USING INDEX pk_alt;
DROP INDEX pk_alt;
SELECT skip();
INSERT INTO pk VALUES (1, 10, 'a');
SELECT brief();

-- A record has the identity of its time, not of the time of decoding.
CREATE TABLE moving (id int PRIMARY KEY, note text);
SELECT skip();
INSERT INTO moving VALUES (1, 'a');
DELETE FROM moving;
ALTER TABLE moving REPLICA IDENTITY FULL;
INSERT INTO moving VALUES (1, 'a');
DELETE FROM moving;
ALTER TABLE moving REPLICA IDENTITY NOTHING;
INSERT INTO moving VALUES (1, 'a');
DELETE FROM moving;
SELECT brief();

DROP TABLE no_pk, pk, wide, covered, deferred, moving;
DROP PROCEDURE change;
SELECT pg_drop_replication_slot('cdc');
