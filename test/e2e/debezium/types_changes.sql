-- Rows for the tables of types.sql.
INSERT INTO numbers VALUES (1, -32768, -2147483648, -9223372036854775808, 4294967295, 1.1, -0.1, 123.4500, 12345678.90, 12345, 99999, 0.00000123, 1234.56, true, 5, 7.5);
INSERT INTO numbers VALUES (2, 32767, 2147483647, 9223372036854775807, 0, 'NaN', 'Infinity', 1e30, -0.01, -1, 0, -0.00000999, -0.01, false, 5, -7.25);
INSERT INTO numbers VALUES (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO numbers VALUES (4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, false, 1, 0);
INSERT INTO numbers VALUES (5, 1, 1, 1, 1, 1e20, 1e300, -0.000123000, 100, 128, -128, 1e-8*255, '$92233720368547758.07', false, 1, 1);
INSERT INTO numbers VALUES (6, 1, 1, 1, 1, 3.4e38, 1e21, 12345678901234567890.123456789, 100, 127, -129, -1e-8*256, '-$92233720368547758.08', false, 1, 1);
INSERT INTO numbers (id,f4,f8) VALUES (7, 0.001, 0.0001), (8, 1e7, 1e7), (9,123456.7,1234567.8), (10,9999999,12345678), (11,1e-5,1.5e-7),(12,'-0','-0'),(13,16777216,100),(14,'-Infinity','-Infinity'),(15,1e10,1.7976931348623157e308),(16,1e-38,1e-300), (17, 33554432, 2e23), (18, 8.41e21, 2.0e-3), (19, 0.3, 9007199254740993);
INSERT INTO numbers (id,n) VALUES (20,10),(21,100.00),(22,1000000),(23,0.5),(24,-1),(25,255),(26,256),(27,-256),(28,1e-20),(29, 0.00);
INSERT INTO texts VALUES (1, E'a"b\\c\n\t\x01é漢😀/', 'vé', 'v0', 'ab', 'c', 'q', 'CiText', 'a.b.c', '<a x="1">é</a>', '{"a" : 1, "b":[1,2 ]}', '{"b":1,"a":[1.50,null,"é\""]}', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 'so "so"', 'dt', 'ddt', '{"x": 1}', '978-0-393-04002-9', '\x00ff10fb');
INSERT INTO texts (id) VALUES (2);
INSERT INTO texts (id, t, c, bn, jb, v) VALUES (3, '', '', '', 'null', E'\x7f');
INSERT INTO times (id, d, t0, t3, t6, t, tz, tz0, ts0, ts3, ts6, ts, tstz, tstz0, tstz3, iv, ivy, dts) VALUES (1, '2026-01-31', '12:34:56', '12:34:56.789', '12:34:56.789012', '12:34:56.789012', '12:34:56.789012+02', '12:34:56-03:30', '2026-01-31 12:34:56', '2026-01-31 12:34:56.789', '2026-01-31 12:34:56.789012', '2026-01-31 12:34:56.789012','2026-01-31 12:34:56.789012+02', '2026-01-31 12:34:56+02', '2026-01-31 12:34:56.789+02', '1 year 2 mons 3 days 04:05:06.789', '1 year 2 mons', '2026-01-31 12:34:56.789');
INSERT INTO times (id, d, t0, t3, t6, t, tz, tz0, ts0, ts3, ts6, ts, tstz, tstz0, tstz3, iv, ivy, dts) VALUES (2, '0044-03-15 BC', '00:00:00', '24:00:00', '24:00:00', '00:00:00', '24:00:00+00', '00:00:00+14', 'infinity', 'infinity', '-infinity', 'infinity', 'infinity', '-infinity', 'infinity', '-1 year -2 mons +3 days -04:05:06.789', '-1 mons', NULL);
INSERT INTO times (id, d, t0, t3, t6, t, tz, tz0, ts0, ts3, ts6, ts, tstz, tstz0, tstz3, iv, ivy, dts) VALUES (3, '1969-12-31', '23:59:59', '23:59:59.999', '23:59:59.999999', '23:59:59.1', '23:59:59.9+00:30', '23:59:59-15:59', '1969-12-31 23:59:59', '1969-12-31 23:59:59.999', '1969-12-31 23:59:59.999999', '1900-01-01 00:00:00.1', '1969-12-31 23:59:59.5Z', '1970-01-01 00:00:00Z', '1970-01-01 00:00:00.100Z', '0', '0', '1969-12-31 23:59:59.999');
INSERT INTO times (id, d, ts, tstz, iv) VALUES (4, 'infinity', '0044-03-15 BC', '0044-03-15 12:00:00+00 BC', '178000000 years'), (5, '-infinity', '0001-01-01', '9999-12-31 23:59:59.999999Z', '-178000000 years'), (6, '12026-01-31', '12026-01-31 01:02:03.000004', '12026-01-31 01:02:03.000004Z', '1.5 seconds'), (7, '294276-12-31', '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999Z', '-0.5 seconds'), (8, '0001-01-01', '2000-01-01', '0001-01-01 00:00:00Z', '-1 day 23:59:59'), (9,'1582-10-04','1582-10-04 12:00','1582-10-04 12:00Z','30 days 500 hours'), (10,'1582-10-15','1582-10-15','1582-10-15Z','14 mons'), (11, '1500-03-01', '1500-03-01 10:00', '1500-03-01 10:00Z', '1 mon 1 day'), (12, '2026-06-15', '2026-06-15 10:00:00.12', '2026-06-15 10:00:00.12Z', '100 years'), (13, '5874897-12-31', '2026-06-15 10:00', '2026-06-15 10:00Z', '00:00:00.1'), (14, '4714-11-24 BC', '4714-11-24 BC', '4714-11-24 00:00Z BC', '1 day -00:00:00.000001');
INSERT INTO others VALUES (1, '1', '101', '000100100011', '1010', '11', '1', '192.168.1.1/24', '10.1.0.0/16', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '(1.5,-2)', '[1,5)', '[1,5)', '(1.50,2]', '[2026-01-01,2026-02-01)', '[2026-01-01 00:00+00,2026-02-01 00:00+00)', '[2026-01-01,2026-02-01)', '[1,2)', '{[1,2),[5,7)}', 'a fat cat:2A', 'fat & cat', '16/B374D848', '10:20:10,14', '10:20:10,14', 'a=>1,"b c"=>"x\"y",c=>NULL', ROW(1,'x'), 'pg_class', '42', '43', '(1,2)', '$.a', '5', 'int4');
INSERT INTO others (id) VALUES (2);
INSERT INTO others (id, b1, b3, b12, vb, vb5, vb1, ir, nr, hs, tr, p) VALUES (3, '0', '000', '000000000000', '', '00000', '0', 'empty', '(,)', '', '(,2026-01-01 10:00:00.5]', '(0,-0)'), (4, '0', '100', '100000000000', '1111111100000001', '10000', '1', '(,5)', '[1,)', 'é=>"漢\n"', 'empty', '(1e300,NaN)'), (5, '0', '001', '000010000000', '100000000', '1', '', NULL,NULL,'z=>""',NULL,'(Infinity,0.1)');
INSERT INTO arrays VALUES (1, '{1,-2,NULL}', '{1,2}', '{1,2}', '{"a","b\"c",NULL,"{"}', '{v}', '{ab}', '{1.50,-2.25,NULL}', '{1.5,200,NULL}', '{1.5,NULL}', '{2.5}', '{t,f}', '{2026-01-31}', '{12:34:56.789}', '{12:34:56.789}', '{12:34:56+02}', '{2026-01-31 12:34:56.789012}', '{2026-01-31 12:34:56.789}', '{2026-01-31 12:34:56.789012+02}', '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}', ARRAY['{"a" : 1}']::json[], ARRAY['{"a": 1}']::jsonb[], ARRAY['\x00ff']::bytea[], '{10.0.0.1}', '{10.0.0.0/8}', '{08:00:2b:01:02:03}', '{42}', '{Ci}', '{a.b,c}', ARRAY['a=>1']::hstore[], '{sad,"so \"so\""}', '{"[1,2)"}', '{"[1,2)"}', ARRAY['[2026-01-01,2026-02-01)']::tsrange[], ARRAY['[2026-01-01 00:00+00,2026-02-01 00:00+00)']::tstzrange[], '{"[2026-01-01,2026-02-01)"}', '{"[1,2)"}', '{1}', '{1,2}', '{2026-01-31 12:34:56.7Z}');
INSERT INTO arrays (id) VALUES (2);
INSERT INTO arrays VALUES (3, '{}', '{}', '[0:1]={1,2}', '{}');
INSERT INTO arrays2 VALUES (1, '{1.50}', '{n}', '{1 day}', '{101}', ARRAY['<a/>']::xml[], ARRAY['(1,2)']::point[], '{q}', ARRAY['a b']::tsvector[], ARRAY[ROW(1,'x')]::pair[], '{dt}', '{"[1,2)"}', '{16/0}', '{08:00:2b:01:02:03:04:05}', ARRAY['978-0-393-04002-9']::isbn13[]);
INSERT INTO arrays2 (id) VALUES (2);
UPDATE times SET t4 = '12:34:56.78', ts2 = '2026-01-31 12:34:56.7', ts4 = '2026-01-31 12:34:56.7', tstz1 = '2026-01-31 12:34:56Z', tstz5 = '2026-01-31 12:34:56.7Z', iv2 = '1.55 seconds' WHERE id = 1;
-- What is not known of rows that are deleted.
INSERT INTO required_numbers SELECT * FROM numbers WHERE id = 1; DELETE FROM required_numbers;
INSERT INTO required_texts SELECT * FROM texts WHERE id = 1; DELETE FROM required_texts;
INSERT INTO required_times SELECT * FROM times WHERE id = 1; DELETE FROM required_times;
INSERT INTO required_others SELECT * FROM others WHERE id = 1; DELETE FROM required_others;
INSERT INTO required_arrays SELECT * FROM arrays WHERE id = 1; DELETE FROM required_arrays;
INSERT INTO required_arrays2 SELECT * FROM arrays2 WHERE id = 1; DELETE FROM required_arrays2;
-- What is not known of rows that are updated: values out of line.
INSERT INTO big SELECT 1, 1, repeat('x', 9000), repeat('x', 9000), 'c', repeat('x', 9000)::bytea, ('<a>' || repeat('x', 9000) || '</a>')::xml, to_jsonb(repeat('x', 9000)), to_json(repeat('x', 9000)),
	hstore('k', repeat('x', 9000)), repeat('x', 9000), (repeat('x', 200) || repeat('.' || repeat('y', 200), 30))::ltree, (SELECT string_agg('w' || i, ' ') FROM generate_series(1, 3000) AS i)::tsvector,
	numrange(1, ('1' || repeat('23', 9000))::numeric), repeat('1234', 9000)::numeric, repeat('10', 40000)::varbit,
	array_fill(1, ARRAY[3000]), array_fill(1::int8, ARRAY[3000]), array_fill(1::int2, ARRAY[6000]), array_fill('x'::text, ARRAY[3000]), array_fill('x'::varchar, ARRAY[3000]), array_fill('x'::char(3), ARRAY[3000]),
	array_fill('1'::json, ARRAY[3000]), array_fill('1'::jsonb, ARRAY[3000]), array_fill('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, ARRAY[3000]), array_fill('2026-01-01'::date, ARRAY[3000]),
	array_fill('2026-01-01'::timestamp, ARRAY[3000]), array_fill('2026-01-01'::timestamptz, ARRAY[3000]), array_fill('\x00'::bytea, ARRAY[3000]), array_fill(1.5::numeric, ARRAY[3000]), array_fill(1.5::float8, ARRAY[3000]),
	array_fill(true, ARRAY[9000]), array_fill('x'::citext, ARRAY[3000]), array_fill('a=>1'::hstore, ARRAY[3000]), array_fill('sad'::mood, ARRAY[3000]), array_fill('[1,2)'::int4range, ARRAY[3000]), array_fill('x'::tsvector, ARRAY[3000]);
UPDATE big SET r = 2;
UPDATE big SET id = 2;
DELETE FROM big;
INSERT INTO differences VALUES (1, 12300, 1e-45, '1.000001 seconds', 'name', '1 2', '{1.5,NaN}', '{101}', '{{1,2},{3,4}}', '{12:34:56.7Z}', 'b=>2,a=>1,aa=>y,key2=>x', '[(1,2),(3,4)]');
INSERT INTO the_end VALUES (1);
