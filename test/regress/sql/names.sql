-- Names with quotes, backslashes, newlines, beyond ASCII, and as long as they can be.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
-- Names are escaped as any string is.
CREATE SCHEMA "sch""ema\ 	é";
CREATE TYPE "sch""ema\ 	é"."ty""pe" AS ("fi""eld" int, "\" text, "日本" int);
CREATE TABLE "sch""ema\ 	é"."ta""ble\
line €😀" ("i""d" int, "back\slash" int, "new
line" int, "tab	" int, "ünïcödé" "sch""ema\ 	é"."ty""pe", " " int, PRIMARY KEY ("i""d", "tab	"));
INSERT INTO "sch""ema\ 	é"."ta""ble\
line €😀" VALUES (1, 2, 3, 4, ROW(5, '6', 7), 8);
UPDATE "sch""ema\ 	é"."ta""ble\
line €😀" SET "tab	" = 9;
DELETE FROM "sch""ema\ 	é"."ta""ble\
line €😀";
TRUNCATE "sch""ema\ 	é"."ta""ble\
line €😀";
SELECT brief();

-- As long as names can be, of one byte and of several.
SELECT format('CREATE TABLE %I (%I int PRIMARY KEY, %I int)', repeat('t', 63), repeat('"', 63), repeat('é', 31)) \gexec
SELECT format('INSERT INTO %I VALUES (1, 2)', repeat('t', 63)) \gexec
SELECT brief();
SELECT format('DROP TABLE %I', repeat('t', 63)) \gexec

-- Names that look like members of the record, or differ in case only.
CREATE TABLE op (op int PRIMARY KEY, key int, after int, "before" int, seq text, "Key" int, "KEY" int, "null" int);
INSERT INTO op VALUES (1, 2, 3, 4, '5', 6, 7, NULL);
SELECT brief();
-- ... or like what the plugin leaves out of unselected columns.
CREATE TABLE "........pg.dropped.1........" (a int, "........pg.dropped.9........" int);
INSERT INTO "........pg.dropped.1........" VALUES (1, 2);
ALTER TABLE "........pg.dropped.1........" DROP COLUMN a;
INSERT INTO "........pg.dropped.1........" VALUES (3);
SELECT brief();

-- Unchanged TOAST columns are listed by name, escaped.
CREATE TABLE toasted (id int PRIMARY KEY, "b""o\dy" text, "ä" text, n int);
ALTER TABLE toasted ALTER "b""o\dy" SET STORAGE EXTERNAL, ALTER "ä" SET STORAGE EXTERNAL;
INSERT INTO toasted SELECT 1, v, v, 1 FROM (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 100) AS i) AS s (v);
SELECT skip();
UPDATE toasted SET n = 2;
SELECT brief();

DROP TABLE op, "........pg.dropped.1........", toasted;
SET client_min_messages = warning;
DROP SCHEMA "sch""ema\ 	é" CASCADE;
SELECT pg_drop_replication_slot('cdc');
