# shellcheck shell=bash disable=SC2154,SC2034 # lib.sh and the scripts share variables
# The sinks that test/bench/sinks measures.  Of each NAME there are functions:
#	need_NAME		says what is missing here, else nothing
#	start_NAME		its server, if it has one; bench_pids gets what is to be ended at exit
#	stop_NAME
#	uri_NAME N		sets uri and arguments: where run number N goes, which nobody has used before
#	count_NAME N	how many records are there now
#	drop_NAME N		makes room
#	input_NAME N	makes the tool's input, $work/input, of records of $work/records (or of run N)
#	tool_NAME N		sets command, tool and tool_input: the sink's own way to load the same bytes
# A sink without a load tool has no input_NAME and tool_NAME.  An at-least-once variant of a sink has functions that call the sink's.

sink_names="file postgresql kafka kafka-at-least-once redis nats http grpc"

free_port()
{
	perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 1)->sockport'
}

# wait_for WHAT COMMAND...: until it succeeds, a minute at most
wait_for()
{
	local what=$1 deadline=$((SECONDS + 60))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$deadline" ] || fail "$what is not ready within 60 s"
		sleep 0.1 # between two looks
	done
}

# end_server: the one that was started last; it ends by a signal, which is no failure
end_server()
{
	kill "${bench_pids[-1]}"
	wait "${bench_pids[-1]}" 2>/dev/null || true
	unset 'bench_pids[-1]'
}

listens()
{
	(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

need_program()
{
	local program
	for program; do
		command -v "$program" >/dev/null || echo "there is no $program"
	done
}

# ---------------------------------------------------------------------------------------------
# file
# ---------------------------------------------------------------------------------------------

need_file() { :; }
start_file() { mkdir -p "$work/out"; }
stop_file() { rm -rf "$work/out"; }
uri_file() { uri=file://$work/out/run_$1 arguments=(); }
count_file() { wc -l <"$work/out/run_$1"; }
drop_file() { rm -rf "$work/out/run_$1"*; }
input_file() { ln -f "$work/records" "$work/input"; }

tool_file()
{
	tool='dd bs=256K conv=fdatasync' tool_input=/dev/null
	command=(dd "if=$work/input" "of=$work/out/run_$1" bs=256K conv=fdatasync)
}

# ---------------------------------------------------------------------------------------------
# postgresql: a server of its own, as it comes but for its memory
# ---------------------------------------------------------------------------------------------

need_postgresql() { :; }

start_postgresql()
{
	mkdir -p "$work/sink"
	[ "$(id -u)" != 0 ] || chown postgres "$work/sink"
	as_server "$bindir/initdb" -D "$work/sink/data" -U postgres -A trust -E UTF8 --locale=C >"$work/initdb.log"
	printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$work/sink'" 'shared_buffers = 1GB' \
		'max_wal_size = 16GB' | as_server tee -a "$work/sink/data/postgresql.conf" >/dev/null
	as_server "$bindir/pg_ctl" -D "$work/sink/data" -l "$work/sink/log" -w -t 60 start >"$work/start.log" 2>&1 ||
		{ cat "$work/start.log" "$work/sink/log" >&2; fail "the sink's server does not start"; }
	bench_pids+=("$(head -1 "$work/sink/data/postmaster.pid")")
}

stop_postgresql()
{
	as_server "$bindir/pg_ctl" -D "$work/sink/data" -m fast -w stop >"$work/stop.log"
	unset 'bench_pids[-1]'
	rm -rf "$work/sink"
}

sink_sql()
{
	"$bindir/psql" -X -q -A -t -v ON_ERROR_STOP=1 -h "$work/sink" -U postgres -d postgres "$@"
}

uri_postgresql()
{
	uri="postgresql://postgres@/postgres?host=$work/sink"
	arguments=("--sink-table=run_$1")
}

count_postgresql() { sink_sql -c "SELECT count(*) FROM run_$1"; }
# the server's writing is not to be the next run's
drop_postgresql() { sink_sql -c "DROP TABLE run_$1" -c CHECKPOINT; }
input_postgresql() { sink_sql -c "\\copy run_$1 TO '$work/input'" -c "CREATE TABLE empty (LIKE run_$1 INCLUDING ALL)"; }

tool_postgresql()
{
	tool='psql \copy' tool_input=/dev/null
	sink_sql -c "CREATE TABLE run_$1 (LIKE empty INCLUDING ALL)" -c CHECKPOINT
	command=("$bindir/psql" -X -q -h "$work/sink" -U postgres -d postgres -c "\\copy run_$1 FROM '$work/input'")
}

# ---------------------------------------------------------------------------------------------
# kafka: one broker
# ---------------------------------------------------------------------------------------------

need_kafka()
{
	need_program java kcat
	"$top_dir/script/kafka-broker" fetch >/dev/null 2>"$work/fetch.log" || cat "$work/fetch.log"
}

start_kafka()
{
	kafka_port=$(free_port)
	"$top_dir/script/kafka-broker" run "$work/kafka" "$kafka_port" "$(free_port)" log.retention.check.interval.ms=3600000 \
		>"$work/kafka.log" 2>&1 &
	bench_pids+=($!)
	wait_for 'the Kafka broker' kcat -L -b "127.0.0.1:$kafka_port" -m 2
}

stop_kafka() { end_server; rm -rf "$work/kafka"; }
uri_kafka() { uri=kafka://127.0.0.1:$kafka_port/run_$1 arguments=(); }

count_kafka()
{
	kcat -C -q -e -b "127.0.0.1:$kafka_port" -t "run_$1" -o beginning -X isolation.level=read_committed -f '\n' | wc -l
}

# there is no tool to drop a topic with; the broker goes with its folder
drop_kafka() { :; }

# the key that the client gives each message, and the record
input_kafka() { sed -E 's/^(.*"key":(\{[^}]*\}),.*)$/\2\x1f\1/' "$work/records" >"$work/input"; }

tool_kafka()
{
	tool='kcat -P' tool_input=/dev/null
	command=(kcat -P -b "127.0.0.1:$kafka_port" -t "run_$1" -K $'\x1f' -l "$work/input")
}

need_kafka-at-least-once() { need_kafka; }
start_kafka-at-least-once() { start_kafka; }
stop_kafka-at-least-once() { stop_kafka; }
uri_kafka-at-least-once() { uri_kafka "$1"; uri+='?delivery=at-least-once'; }
count_kafka-at-least-once() { count_kafka "$1"; }
drop_kafka-at-least-once() { :; }
input_kafka-at-least-once() { input_kafka; }
tool_kafka-at-least-once() { tool_kafka "$1"; }

# ---------------------------------------------------------------------------------------------
# redis: its log synced once a second, as it comes
# ---------------------------------------------------------------------------------------------

# redis-check-rdb is the server's own program, which looks at the name that it was started by.
need_redis() { need_program redis-cli redis-check-rdb; }

start_redis()
{
	redis_port=$(free_port)
	mkdir -p "$work/redis"
	(exec -a redis-server redis-check-rdb --bind 127.0.0.1 --port "$redis_port" --dir "$work/redis" --save '' \
		--appendonly yes --auto-aof-rewrite-percentage 0 >"$work/redis.log" 2>&1) &
	bench_pids+=($!)
	wait_for 'the Redis server' redis PING
}

redis() { redis-cli -p "$redis_port" "$@"; }
stop_redis() { end_server; rm -rf "$work/redis"; }
uri_redis() { uri=redis://127.0.0.1:$redis_port/run_$1 arguments=(); }
count_redis() { redis XLEN "run_$1"; }
drop_redis() { redis DEL "run_$1" >/dev/null; }

# entries with ids of the client's kind, all of them under one name; the name is the run's later
input_redis()
{
	perl -ne 'chomp; my ($high, $low, $seq) = /"commit_lsn":"(\w+)\/(\w+)","seq":(\d+)/ or die "not a record: $_";
		my $id = (hex($high) * 2 ** 32 + hex($low)) . "-" . $seq * 65536;
		print "*5\r\n", map { "\$" . length($_) . "\r\n$_\r\n" } "XADD", "run", $id, "record", $_' \
		"$work/records" >"$work/input"
}

tool_redis()
{
	tool='redis-cli --pipe' tool_input=$work/input
	# the input names one stream: what the run before left there goes
	command=(redis-cli -p "$redis_port" --pipe)
	redis DEL run >/dev/null
}

tool_done_redis() { redis RENAME run "run_$1" >/dev/null; }

# ---------------------------------------------------------------------------------------------
# nats: a stream on disk, as it comes
# ---------------------------------------------------------------------------------------------

need_nats()
{
	need_program nats-server curl
	[ -x "$build/publish_nats" ] || echo 'there is no libnats to build publish_nats with'
}

start_nats()
{
	nats_port=$(free_port) nats_monitor=$(free_port)
	nats-server -a 127.0.0.1 -p "$nats_port" -m "$nats_monitor" -js -sd "$work/nats" >"$work/nats.log" 2>&1 &
	bench_pids+=($!)
	wait_for 'the NATS server' listens "$nats_port"
}

stop_nats() { end_server; rm -rf "$work/nats"; }
uri_nats() { uri="nats://127.0.0.1:$nats_port/run_$1.records?stream=run_$1" arguments=(); }

count_nats()
{
	curl -sS "http://127.0.0.1:$nats_monitor/jsz?streams=true" |
		perl -0777 -ne '/"name": "run_'"$1"'",.*?"messages": (\d+)/s and print "$1\n"'
}

# one request to JetStream's API, and its answer
nats_request()
{
	perl -MIO::Socket::INET -e '
		my ($port, $subject, $body) = @ARGV;
		my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $port) or die "no connection: $!\n";
		alarm 60;
		print $socket qq(CONNECT {"verbose":false}\r\nSUB answer 1\r\nPUB $subject answer ) . length($body) . "\r\n$body\r\n";
		$socket->flush;
		while (my $line = <$socket>) {
			next unless $line =~ /^MSG .* (\d+)\r\n/;
			read($socket, my $answer, $1);
			die "$answer\n" if $answer =~ /"error"/;
			exit 0;
		}
		die "NATS has closed the connection\n"' "$nats_port" "$@"
}

drop_nats() { nats_request "\$JS.API.STREAM.DELETE.run_$1" ''; }
input_nats() { ln -f "$work/records" "$work/input"; }

tool_nats()
{
	tool='publish_nats (as nats bench, in C)' tool_input=$work/input
	nats_request "\$JS.API.STREAM.CREATE.run_$1" "{\"name\":\"run_$1\",\"subjects\":[\"run_$1.>\"],\"storage\":\"file\"}"
	command=("$build/publish_nats" "nats://127.0.0.1:$nats_port" "run_$1.records")
}

# ---------------------------------------------------------------------------------------------
# http: an endpoint that drops what it gets
# ---------------------------------------------------------------------------------------------

need_http() { need_program curl; }

start_http()
{
	"$build/discard_http" "$work/http_port" "$work/http_count" >"$work/http.log" 2>&1 &
	bench_pids+=($!)
	wait_for 'the HTTP endpoint' test -s "$work/http_port"
	http_port=$(<"$work/http_port") http_counted=0
}

stop_http() { end_server; rm -f "$work"/http_*; }
uri_http() { uri=http://127.0.0.1:$http_port/run_$1 arguments=(); }
count_http() { echo $(($(<"$work/http_count") - http_counted)); }
drop_http() { http_counted=$(<"$work/http_count"); }

# requests of the client's size, one after the other over one connection
input_http()
{
	mkdir "$work/input"
	split -C 1M "$work/records" "$work/input/"
	for part in "$work"/input/??*; do
		printf 'next\nurl = "http://127.0.0.1:%s/"\nheader = "content-type: application/x-ndjson"\ndata-binary = "@%s"\n' \
			"$http_port" "$part"
	done | tail -n +2 >"$work/requests"
}

tool_http()
{
	tool='curl --data-binary' tool_input=/dev/null
	command=(curl -sS --fail -K "$work/requests")
}

# ---------------------------------------------------------------------------------------------
# grpc: the server of the tests, in Python, which stores everything in SQLite
# ---------------------------------------------------------------------------------------------

need_grpc()
{
	need_program protoc /usr/bin/python3
	/usr/bin/python3 -c 'import grpc, google.protobuf' 2>/dev/null || echo 'there is no python3-grpcio'
}

start_grpc()
{
	mkdir "$work/grpc"
	protoc "--proto_path=$top_dir/client/grpc" "--python_out=$work/grpc" cdc_sink.proto
	/usr/bin/python3 "$top_dir/test/e2e/grpc_server.py" serve "$work/grpc" 0 >"$work/grpc.log" 2>&1 &
	bench_pids+=($!)
	wait_for 'the gRPC server' test -s "$work/grpc/port"
	grpc_port=$(<"$work/grpc/port") grpc_counted=0
}

stop_grpc() { end_server; rm -rf "$work/grpc"; }
uri_grpc() { uri=grpc://127.0.0.1:$grpc_port arguments=(); }
grpc_records() { /usr/bin/python3 "$top_dir/test/e2e/grpc_server.py" dump "$work/grpc" seq | wc -l; }
count_grpc() { echo $(($(grpc_records) - grpc_counted)); }
drop_grpc() { grpc_counted=$(grpc_records); }
