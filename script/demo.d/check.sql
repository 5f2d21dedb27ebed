-- Reads the delivered file from standard input and holds it against the tables it came from.
-- One line per check: t or f, what was checked, what was found.
SET client_min_messages = warning;
CREATE SCHEMA replay;
CREATE TABLE replay.record (place bigint GENERATED ALWAYS AS IDENTITY, record jsonb NOT NULL);
-- each line as it stands: the quote and delimiter are bytes that JSON cannot contain
\copy replay.record (record) FROM pstdin WITH (FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')

CREATE TABLE replay.change AS
SELECT place, (record->>'commit_lsn')::pg_lsn AS commit_lsn, (record->>'seq')::bigint AS seq,
	record->>'op' AS op, record->>'table' AS relation, record->'key' AS key, record->'after' AS after,
	(record->'after'->>'revision')::int AS revision
FROM replay.record;
CREATE INDEX ON replay.change (relation, key);
ANALYZE replay.change;

-- the state that the records lead to: the last one of each key
CREATE TABLE replay.final AS
SELECT relation, after FROM (
	SELECT DISTINCT ON (relation, key) relation, op, after FROM replay.change
	ORDER BY relation, key, commit_lsn DESC, seq DESC
) AS last_change WHERE op <> 'delete';
CREATE TABLE replay.users AS
SELECT r.* FROM replay.final, jsonb_populate_record(NULL::shop.users, after) AS r
WHERE relation = 'users';
CREATE TABLE replay.orders AS
SELECT r.* FROM replay.final, jsonb_populate_record(NULL::shop.orders, after) AS r
WHERE relation = 'orders';
CREATE TABLE replay.order_lines AS
SELECT r.* FROM replay.final, jsonb_populate_record(NULL::shop.order_lines, after) AS r
WHERE relation = 'order_lines';
ALTER TABLE replay.order_lines ADD PRIMARY KEY (order_id, line);
ANALYZE replay.order_lines;

SELECT count(*) > 0, 'records were delivered', count(*) || ' records of '
	|| count(DISTINCT commit_lsn) || ' transactions'
FROM replay.change;

SELECT count(*) = count(DISTINCT (commit_lsn, seq)), 'nothing was doubled',
	count(*) - count(DISTINCT (commit_lsn, seq)) || ' records whose (commit_lsn, seq) was there already'
FROM replay.change;

SELECT count(*) = 0, 'records lie in commit order', count(*) || ' records out of order'
FROM (
	SELECT (commit_lsn, seq) > lag((commit_lsn, seq)) OVER (ORDER BY place) AS rises FROM replay.change
) AS step WHERE NOT rises;

SELECT count(*) = 0, 'every transaction is whole', count(*) || ' transactions with a gap'
FROM (
	SELECT FROM replay.change GROUP BY commit_lsn HAVING min(seq) <> 1 OR max(seq) <> count(*)
) AS torn;

SELECT count(*) = 0, 'every revision of every row arrived, once', count(*) || ' rows with one missing'
FROM (
	SELECT FROM replay.change WHERE op <> 'delete' GROUP BY relation, key
	HAVING min(revision) <> 1 OR max(revision) <> count(*)
		OR count(DISTINCT revision) <> count(*)
) AS incomplete;

SELECT differing = 0, 'users replayed equal the table', present || ' rows, ' || differing || ' differ'
FROM (SELECT count(*) AS present FROM shop.users) AS source, (
	SELECT count(*) AS differing FROM (
		(TABLE shop.users EXCEPT ALL TABLE replay.users)
		UNION ALL (TABLE replay.users EXCEPT ALL TABLE shop.users)) AS d) AS difference;
SELECT differing = 0, 'orders replayed equal the table', present || ' rows, ' || differing || ' differ'
FROM (SELECT count(*) AS present FROM shop.orders) AS source, (
	SELECT count(*) AS differing FROM (
		(TABLE shop.orders EXCEPT ALL TABLE replay.orders)
		UNION ALL (TABLE replay.orders EXCEPT ALL TABLE shop.orders)) AS d) AS difference;
SELECT differing = 0, 'order lines replayed equal the table',
	present || ' rows, ' || differing || ' differ'
FROM (SELECT count(*) AS present FROM shop.order_lines) AS source, (
	SELECT count(*) AS differing FROM (
		(TABLE shop.order_lines EXCEPT ALL TABLE replay.order_lines)
		UNION ALL (TABLE replay.order_lines EXCEPT ALL TABLE shop.order_lines)) AS d) AS difference;

SELECT count(*) = 0, 'every order''s total is the sum of its lines', count(*) || ' wrong totals'
FROM replay.orders AS o
WHERE total <> (SELECT coalesce(sum(amount), 0) FROM replay.order_lines WHERE order_id = o.id);
