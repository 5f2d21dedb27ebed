-- Changes of the tables of kinds.sql.
INSERT INTO plain VALUES (1,'a',1.5),(2,'b',2);
UPDATE plain SET t='c' WHERE id=1;
UPDATE plain SET id=10 WHERE id=1;
UPDATE plain SET id=10 WHERE id=10;
DELETE FROM plain WHERE id=10;
BEGIN; INSERT INTO plain VALUES (3,'x',1); UPDATE plain SET t='y' WHERE id=3; INSERT INTO pair VALUES ('k',1,2); DELETE FROM plain WHERE id=3; COMMIT;
UPDATE pair SET v=2; UPDATE pair SET a=3; DELETE FROM pair;
INSERT INTO nopk VALUES (1,'x');
INSERT INTO nopkfull VALUES (1,'x'); UPDATE nopkfull SET b='y'; UPDATE nopkfull SET a=2; DELETE FROM nopkfull;
INSERT INTO uniqidx VALUES (1,'x'); UPDATE uniqidx SET b='y'; UPDATE uniqidx SET a=2; DELETE FROM uniqidx;
INSERT INTO fullpk VALUES ('x',1,1.50); UPDATE fullpk SET x=NULL; UPDATE fullpk SET id=2; UPDATE fullpk SET n = 2; DELETE FROM fullpk;
INSERT INTO ridnothing VALUES (1,'x'); 
INSERT INTO bigfull VALUES (1, repeat('long',2000), 1); UPDATE bigfull SET c=2; DELETE FROM bigfull;
INSERT INTO "We-ird"."T, 1 é" VALUES (1,'ü');
INSERT INTO parted VALUES (1,'a'); TRUNCATE parted;
INSERT INTO numkey VALUES (1.50,'2026-01-31 12:34:56.7Z'); UPDATE numkey SET id=1.5000; UPDATE numkey SET id=2; 
TRUNCATE plain, fullpk;
SELECT pg_logical_emit_message(true,'pre','content é'), pg_logical_emit_message(false,'pre2','non'), pg_logical_emit_message(true,'bin','\x00ff'::bytea);
SELECT pg_replication_origin_create('elsewhere');
SELECT pg_replication_origin_session_setup('elsewhere');
BEGIN; SELECT pg_replication_origin_xact_setup('1/0', '2026-01-31 12:00:00.120+00'); INSERT INTO plain (id) VALUES (11); SELECT pg_logical_emit_message(true, 'note', 'from elsewhere'); COMMIT;
SELECT pg_replication_origin_session_reset();
INSERT INTO generated (id, a) VALUES (1, 2);
BEGIN; INSERT INTO plain (id) VALUES (20); SAVEPOINT s; INSERT INTO plain (id) VALUES (21); ROLLBACK TO s; INSERT INTO pair VALUES ('s', 1, 1); COMMIT;
INSERT INTO plain SELECT i, 'many', i FROM generate_series(100, 400) AS i;
COPY plain (id, t) FROM STDIN;
501	copied
502	too
\.
INSERT INTO by_index VALUES (1, 'k', 1); UPDATE by_index SET k = 'l';
INSERT INTO no_key VALUES (1, 'x');
INSERT INTO the_end VALUES (1);
