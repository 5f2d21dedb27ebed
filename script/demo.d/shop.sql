-- The shop of script/demo.  Each row counts its revisions, which lets the check at the end see that
-- not one change of any row is missing.
CREATE SCHEMA shop;

CREATE TYPE shop.order_status AS ENUM ('new', 'paid', 'sent');

CREATE TABLE shop.users (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name text NOT NULL,
	tags text[] NOT NULL DEFAULT '{}',
	profile jsonb,
	joined timestamptz NOT NULL DEFAULT clock_timestamp(),
	revision int NOT NULL DEFAULT 1
);

CREATE TABLE shop.orders (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	user_id bigint NOT NULL REFERENCES shop.users,
	status shop.order_status NOT NULL DEFAULT 'new',
	total numeric(12,2) NOT NULL DEFAULT 0,
	revision int NOT NULL DEFAULT 1
);
CREATE INDEX ON shop.orders (id) WHERE status = 'new';
-- Records of orders have the old row too, so that one can see what changed.
ALTER TABLE shop.orders REPLICA IDENTITY FULL;

CREATE TABLE shop.order_lines (
	order_id bigint NOT NULL REFERENCES shop.orders,
	line int NOT NULL,
	product text NOT NULL,
	quantity int NOT NULL,
	price numeric(10,2) NOT NULL,
	amount numeric GENERATED ALWAYS AS (quantity * price) STORED,
	revision int NOT NULL DEFAULT 1,
	PRIMARY KEY (order_id, line)
);
