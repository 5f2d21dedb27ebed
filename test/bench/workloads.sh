# shellcheck shell=bash disable=SC2154,SC2034 # lib.sh and the scripts share variables
# The five workloads.  Every one is a function pair: prepare_NAME makes what is there before the
# slot, record_NAME is what gets decoded.  $scale multiplies the numbers of rows.

workload_names="narrow wide upd docs oltp"

describe_workload()
{
	case $1 in
		narrow) echo "$(rows 1000000) inserts of 5 columns, one transaction" ;;
		wide) echo "$(rows 300000) inserts of 12 columns of 12 types, one transaction" ;;
		upd) echo "$(rows 300000) updates of wide's rows, REPLICA IDENTITY FULL, one transaction" ;;
		docs) echo "$(rows 100000) inserts of an 800-byte jsonb and a 900-byte text, one transaction" ;;
		oltp) echo "$(rows 100000) transactions of pgbench (TPC-B-like: 3 updates, 1 insert)" ;;
	esac
}

# A row count of the full workload under $scale, at least 1.
rows()
{
	awk -v full="$1" -v scale="$scale" 'BEGIN { n = int(full * scale + 0.5); print n < 1 ? 1 : n }'
}

prepare_narrow()
{
	sql -c 'CREATE TABLE narrow (id bigint PRIMARY KEY, customer int, name text,
		created timestamptz, active bool)'
}

record_narrow()
{
	sql -c "INSERT INTO narrow SELECT i, i % 5000, 'customer ' || i,
		timestamptz '2026-01-01 00:00+00' + i * interval '1.234567 s', i % 3 = 0
		FROM generate_series(1, $(rows 1000000)) i"
}

# Twelve columns of twelve types; the values differ from row to row.
create_wide()
{
	sql -c "CREATE TABLE $1 (id bigint PRIMARY KEY, n int, small smallint, amount numeric(12,2),
		ratio float8, flag bool, name text, code varchar(20), day date, at timestamptz, uid uuid,
		tags int[])"
}

insert_wide()
{
	sql -c "INSERT INTO $1 SELECT i, i * 7, i % 30000, (i * 37 % 1000000)::numeric / 100, i / 7.0,
		i % 2 = 0, 'name of row ' || i, 'code-' || i % 1000, date '2020-01-01' + i % 3000,
		timestamptz '2026-01-01 00:00+00' + i * interval '0.987654 s', md5(i::text)::uuid,
		ARRAY[i, i + 1, i + 2]
		FROM generate_series(1, $(rows 300000)) i"
}

prepare_wide()
{
	create_wide wide
}

record_wide()
{
	insert_wide wide
}

prepare_upd()
{
	create_wide upd
	sql -c 'ALTER TABLE upd REPLICA IDENTITY FULL'
	insert_wide upd
}

record_upd()
{
	sql -c "UPDATE upd SET n = n + 1, amount = amount + 0.5, at = at + interval \$\$1 day\$\$"
}

prepare_docs()
{
	# In line and uncompressed, so that it is the encoders that are measured, not TOAST.
	sql -c 'CREATE TABLE docs (id bigint PRIMARY KEY, doc jsonb, body text)' \
		-c 'ALTER TABLE docs ALTER doc SET STORAGE PLAIN, ALTER body SET STORAGE PLAIN'
}

# jsonb of strings, numbers, nested objects and arrays, about 800 bytes as text; text of words with
# some characters that JSON escapes, 900 bytes.
record_docs()
{
	sql -c "INSERT INTO docs SELECT i,
		jsonb_build_object('id', i, 'title', 'Document number ' || i, 'score', i / 3.0,
			'author', jsonb_build_object('name', 'author ' || i % 100, 'mail', 'a' || i || '@example.com',
				'active', i % 2 = 0),
			'tags', jsonb_build_array('alpha', 'beta', md5(i::text), i % 10, null),
			'items', (SELECT jsonb_agg(jsonb_build_object('sku', md5((i + k)::text), 'qty', k,
				'price', k * 1.25, 'note', 'line ' || k || ' of \"' || i || '\"'))
				FROM generate_series(1, 5) k)),
		left(repeat('Words of the text \"' || i || '\" with a' || chr(9) || 'tab and a line' || chr(10), 20), 900)
		FROM generate_series(1, $(rows 100000)) i"
}

prepare_oltp()
{
	"$bindir/pgbench" -i -s 10 -q -h "$work" -U postgres bench >"$work/pgbench.log" 2>&1 ||
		{ cat "$work/pgbench.log" >&2; fail "pgbench -i failed"; }
}

record_oltp()
{
	local transactions
	transactions=$(rows 100000)
	# Two clients share them; -t counts per client.
	"$bindir/pgbench" -n -c 2 -M prepared -t $(((transactions + 1) / 2)) --random-seed=1 \
		-h "$work" -U postgres bench >"$work/pgbench.log" 2>&1 ||
		{ cat "$work/pgbench.log" >&2; fail "pgbench failed"; }
}

# Records workload $1 behind a new slot "parked", whose copies may have any plugin.  Sets endpos.
# Leaves the server pinned for what is measured next.
record_workload()
{
	unpin_server
	"prepare_$1"
	sql -c "SELECT pg_create_logical_replication_slot('parked', 'test_decoding')" >/dev/null
	"record_$1"
	pin_server
	endpos=$(wal_mark)
}
