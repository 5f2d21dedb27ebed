-- Databases in other encodings: valid UTF-8 in any case.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/helpers.psql'
\i :helpers
-- Databases that are not UTF-8: what the SQL functions give is escaped, so that it is the same in any encoding.
SELECT pg_drop_replication_slot('cdc');
SELECT current_database() AS home \gset
SET client_min_messages = error;
DROP DATABASE IF EXISTS cdc_latin1;
DROP DATABASE IF EXISTS cdc_euc_jp;
DROP DATABASE IF EXISTS cdc_ascii;
RESET client_min_messages;
CREATE DATABASE cdc_latin1 TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER libc;
CREATE DATABASE cdc_euc_jp TEMPLATE template0 ENCODING 'EUC_JP' LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER libc;
CREATE DATABASE cdc_ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER libc;

\c cdc_latin1
SET client_encoding = 'UTF8';
\set ECHO none
\i :helpers
CREATE TABLE "tä" ("ï" int PRIMARY KEY, v text, j json, b jsonb, a text[]);
INSERT INTO "tä" VALUES (1, E'é"\n\\ÿ', '{"ü": ["é\u00e9"]}', '{"ü": ["é\u00e9"]}', '{é,NULL}'), (2, 'ascii', '{}', '{}', '{}');
INSERT INTO "tä" VALUES (3, repeat('é', 100000), NULL, NULL, NULL);
SELECT 'lsn' FROM pg_logical_emit_message(true, 'préfixe', 'contenu é');
SELECT 'lsn' FROM pg_logical_emit_message(false, 'préfixe', 'contenu é');
CALL flush();
SELECT r FROM brief() AS r WHERE length(r) < 1000;
INSERT INTO "tä" SELECT i, chr(i) FROM generate_series(1, 255) AS i ON CONFLICT DO NOTHING;
SELECT count(*), bool_and(r::json->'after'->>'v' = chr((r::json->'key'->>'ï')::int)) FROM peek() AS r;
-- frames carry the same as UTF-8
SELECT position(convert_to('"v":"ÿ"', 'UTF8') IN data) > 0 FROM
	(SELECT data FROM pg_logical_slot_peek_binary_changes('cdc', NULL, NULL, 'framing', 'frames', 'batch_bytes', '16000000') OFFSET 0) AS d;
SELECT pg_drop_replication_slot('cdc');

\c cdc_euc_jp
SET client_encoding = 'UTF8';
\set ECHO none
\i :helpers
CREATE TABLE "表" ("鍵" int PRIMARY KEY, v text, b jsonb);
INSERT INTO "表" VALUES (1, '日本語テキスト', '{"名": "前"}'), (2, 'ascii', '{}'), (3, repeat('日本', 40000), NULL);
SELECT r FROM brief() AS r WHERE length(r) < 1000;
INSERT INTO "表" VALUES (4, repeat('日本', 40000), NULL);
SELECT r::json->'after'->>'v' = repeat('日本', 40000) FROM peek() AS r;
SELECT pg_drop_replication_slot('cdc');

-- SQL_ASCII: nobody knows what the bytes are; what is UTF-8 stays, other bytes are replaced and counted.
\c cdc_ascii
SET client_encoding = 'SQL_ASCII';
\set ECHO none
\i :helpers
CREATE TABLE a (id int PRIMARY KEY, v text, w text, b jsonb);
INSERT INTO a VALUES (1, 'é', E'a\xe9b\xff', '{}'), (2, 'ascii', '', '{}'), (3, E'\xed\xa0\x80', E'\xc3', NULL);
UPDATE a SET w = '' WHERE id = 1;
SELECT 'lsn' FROM pg_logical_emit_message(true, E'p\xe9', E'\xe9');
SELECT brief();
SELECT pg_drop_replication_slot('cdc');

\c :home
DROP DATABASE cdc_latin1;
DROP DATABASE cdc_euc_jp;
DROP DATABASE cdc_ascii;
