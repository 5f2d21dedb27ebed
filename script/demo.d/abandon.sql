-- an order of which nothing may ever arrive, and a user of whom half the transaction may
BEGIN;
INSERT INTO shop.orders (user_id, total) SELECT min(id), -1 FROM shop.users;
ROLLBACK;
BEGIN;
UPDATE shop.users SET revision = revision + 1
WHERE id = (SELECT id FROM shop.users ORDER BY id LIMIT 1 FOR UPDATE);
SAVEPOINT doubtful;
INSERT INTO shop.orders (user_id, total) SELECT min(id), -2 FROM shop.users;
ROLLBACK TO SAVEPOINT doubtful;
COMMIT;
