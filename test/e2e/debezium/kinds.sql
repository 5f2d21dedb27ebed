-- Tables for kinds of changes, for test/tap/065_debezium.pl.
CREATE SCHEMA "We-ird"; 
CREATE TABLE plain (id int PRIMARY KEY, t text, n numeric(6,2));
CREATE TABLE pair (b text, v int, a int, PRIMARY KEY (b, a));
CREATE TABLE nopk (a int, b text);
CREATE TABLE nopkfull (a int, b text); ALTER TABLE nopkfull REPLICA IDENTITY FULL;
CREATE TABLE uniqidx (a int NOT NULL UNIQUE, b text); ALTER TABLE uniqidx REPLICA IDENTITY USING INDEX uniqidx_a_key;
CREATE TABLE fullpk (x text, id int PRIMARY KEY, n numeric); ALTER TABLE fullpk REPLICA IDENTITY FULL;
CREATE TABLE ridnothing (id int PRIMARY KEY, x text); 
CREATE TABLE bigfull (id int PRIMARY KEY, t text, c int); ALTER TABLE bigfull ALTER t SET STORAGE EXTERNAL; ALTER TABLE bigfull REPLICA IDENTITY FULL;
CREATE TABLE "We-ird"."T, 1 é" (id int PRIMARY KEY, "Col 'x' é" text);
CREATE TABLE parted (id int, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE parted_a PARTITION OF parted FOR VALUES IN ('a');
CREATE TABLE numkey (id numeric PRIMARY KEY, ts timestamptz);
CREATE TABLE generated (id int PRIMARY KEY, a int, g int GENERATED ALWAYS AS (a * 2) STORED);
-- What the connector tells in another way than we do, on purpose.
CREATE TABLE by_index (other int, k text NOT NULL, id int PRIMARY KEY); CREATE UNIQUE INDEX by_index_k ON by_index (k); ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_k;
CREATE TABLE no_key (a int NOT NULL UNIQUE, b text);
CREATE TABLE the_end (id int PRIMARY KEY);
