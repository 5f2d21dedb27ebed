-- an order with one to five lines, in one transaction: every total is the sum of its lines
BEGIN;
INSERT INTO shop.orders (user_id)
SELECT id FROM shop.users WHERE id >= (SELECT (random() * max(id))::bigint FROM shop.users)
ORDER BY id LIMIT 1
RETURNING id AS order_id \gset
INSERT INTO shop.order_lines (order_id, line, product, quantity, price)
SELECT :order_id, line, (ARRAY['tea', 'cup', 'kettle', 'spoon'])[1 + (random() * 3)::int],
	1 + (random() * 4)::int, round((random() * 100)::numeric, 2)
FROM generate_series(1, 1 + (random() * 4)::int) AS line;
UPDATE shop.orders SET revision = revision + 1,
	total = (SELECT sum(amount) FROM shop.order_lines WHERE order_id = :order_id)
WHERE id = :order_id;
COMMIT;
