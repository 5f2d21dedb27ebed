-- the oldest order that nobody else is at is paid
UPDATE shop.orders SET status = 'paid', revision = revision + 1
WHERE id = (SELECT id FROM shop.orders WHERE status = 'new' ORDER BY id LIMIT 1
	FOR UPDATE SKIP LOCKED);
