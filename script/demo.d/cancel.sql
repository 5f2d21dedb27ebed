-- an order goes, with its lines
BEGIN;
SELECT coalesce(max(id), 0) AS order_id FROM (
	SELECT id FROM shop.orders WHERE status = 'new' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
) AS oldest \gset
DELETE FROM shop.order_lines WHERE order_id = :order_id;
DELETE FROM shop.orders WHERE id = :order_id;
COMMIT;
