-- Option privileges=enforce: what the streaming role may not SELECT is not in the stream, from the place on
-- where that was so.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
CREATE ROLE regress_cdc_reader REPLICATION;
CREATE ROLE regress_cdc_readers;
CREATE TABLE open (id int PRIMARY KEY, n int);
CREATE TABLE partly (id int PRIMARY KEY, n int, secret text);
CREATE TABLE keyless (id int PRIMARY KEY, n int);
CREATE TABLE closed (id int PRIMARY KEY, n int);
CREATE TABLE parted (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (100);
GRANT SELECT ON open, parted TO regress_cdc_reader;
GRANT SELECT (id, n) ON partly TO regress_cdc_reader;
GRANT SELECT (n) ON keyless TO regress_cdc_reader;
CREATE FUNCTION told(VARIADIC options text[] DEFAULT '{}') RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' ', r->>'seq', r->>'op', r->>'table', r->>'key', r->>'before', r->>'after')
	FROM (SELECT data::json FROM pg_logical_slot_peek_changes('cdc', NULL, NULL, VARIADIC options)) AS p (r)
$$;
SELECT skip();

BEGIN;
INSERT INTO open VALUES (1, 10);
INSERT INTO partly VALUES (1, 10, 'secret');
INSERT INTO keyless VALUES (1, 10);
INSERT INTO closed VALUES (1, 10);
INSERT INTO part VALUES (1, 10);
UPDATE partly SET secret = 'other';
UPDATE keyless SET n = 11;
DELETE FROM keyless;
TRUNCATE closed, partly;
COMMIT;
-- whoever made the slot sees it all
SELECT told();
-- the reader: no secret, no key of keyless, nothing of closed; the numbers stay
SET ROLE regress_cdc_reader;
SELECT told('privileges', 'enforce');
SELECT told('privileges', 'ignore') LIMIT 4;
RESET ROLE;
-- SELECT on the root says nothing of the partition, but it is published as the root
SET client_min_messages = error;
CREATE PUBLICATION by_root FOR TABLE parted WITH (publish_via_partition_root);
RESET client_min_messages;
SELECT skip();

INSERT INTO part VALUES (2, 20);
SET ROLE regress_cdc_reader;
SELECT told('privileges', 'enforce');
SELECT told('privileges', 'enforce', 'publication_names', 'by_root');
RESET ROLE;
-- Privileges are those of the place in the WAL: granted, by membership, and taken back.
SELECT skip();

INSERT INTO closed VALUES (2, 20);
GRANT SELECT ON closed TO regress_cdc_readers;
INSERT INTO closed VALUES (3, 30);
GRANT regress_cdc_readers TO regress_cdc_reader;
INSERT INTO closed VALUES (4, 40);
REVOKE regress_cdc_readers FROM regress_cdc_reader;
INSERT INTO closed VALUES (5, 50);
REVOKE SELECT ON open FROM regress_cdc_reader;
INSERT INTO open VALUES (6, 60);
SET ROLE regress_cdc_reader;
SELECT told('privileges', 'enforce');
RESET ROLE;
DROP PUBLICATION by_root;
DROP FUNCTION told;
DROP TABLE open, partly, keyless, closed, parted;
DROP ROLE regress_cdc_reader, regress_cdc_readers;
SELECT pg_drop_replication_slot('cdc');
