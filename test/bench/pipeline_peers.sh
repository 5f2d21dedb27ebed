# shellcheck shell=bash disable=SC2154,SC2034 # lib.sh and the scripts share variables
# What test/bench/pipelines measures.  Of each NAME there are functions:
#	need_NAME		says what is missing here, else nothing
#	describe_NAME	version and settings, a line
#	slot_NAME		sets plugin: of the slot
#	command_NAME N	sets command: from slot pipe_N to the topic bench_N.public.pipe; called once more to start it again
# The program that is measured must be the process itself, since it is killed by its pid.

peer_names="cdc cdc-short cdc-at-least-once cdc-debezium debezium pgstream"

# ---------------------------------------------------------------------------------------------
# cdc_client
# ---------------------------------------------------------------------------------------------

need_cdc()
{
	"$cdc_client" --version | grep -q '^  kafka ' || echo "$cdc_client is built without the kafka sink"
}

# command_client N URI-QUERY PLUGIN-OPTION...
command_client()
{
	local number=$1 query=$2
	shift 2
	command=("$cdc_client" stream "--dbname=$tcp_conninfo" "--slot=pipe_$number"
		"--sink=kafka://127.0.0.1:$kafka_port/bench_$number.public.pipe$query" --progress=off --quiet "$@")
}

describe_cdc() { echo "$("$cdc_client" --version | head -1), its defaults: \`delivery=exactly-once\`, a producer transaction each 100 ms"; }
slot_cdc() { plugin=cdc_decoder; }
command_cdc() { command_client "$1" ''; }

# 5 ms is no faster: see doc/sink-kafka.md, what a transaction waits for.
need_cdc-short() { need_cdc; }
describe_cdc-short() { echo 'cdc_client, exactly once too, with `--commit-interval=10ms`'; }
slot_cdc-short() { slot_cdc; }
command_cdc-short() { command_client "$1" '' --commit-interval=10ms; }

need_cdc-at-least-once() { need_cdc; }
describe_cdc-at-least-once() { echo 'cdc_client with `delivery=at-least-once`, which is what Debezium Server does'; }
slot_cdc-at-least-once() { slot_cdc; }
command_cdc-at-least-once() { command_client "$1" '?delivery=at-least-once'; }

need_cdc-debezium() { need_cdc; }
describe_cdc-debezium() { echo 'cdc_client with `delivery=at-least-once` and `format=debezium`: the records that Debezium writes'; }
slot_cdc-debezium() { slot_cdc; }
command_cdc-debezium() { command_client "$1" '?delivery=at-least-once' --format=debezium "--option=topic.prefix=bench_$1"; }

# ---------------------------------------------------------------------------------------------
# Debezium Server, from Maven
# ---------------------------------------------------------------------------------------------

debezium_version=3.6.0.Final
debezium_heap=1g
debezium_folder=${XDG_CACHE_HOME:-$HOME/.cache}/cdc_decoder/debezium-server/$debezium_version

# Its distribution is an artifact like any other; the other databases' connectors stay in the archive.
# (Newer versions of the plugin insist on the artifact's parent, which is not published.)
fetch_debezium()
{
	local repository=$debezium_folder/repository
	[ ! -f "$debezium_folder/complete" ] || return 0
	mkdir -p "$debezium_folder"
	if ! mvn -B -q "-Dmaven.repo.local=$repository" org.apache.maven.plugins:maven-dependency-plugin:2.8:get \
		-Dtransitive=false "-Dartifact=io.debezium:debezium-server-dist:$debezium_version:tar.gz" >"$work/maven.log" 2>&1; then
		echo "Maven could not fetch it: $(grep -m 1 ERROR "$work/maven.log")"
		return 0
	fi
	tar -xzf "$repository/io/debezium/debezium-server-dist/$debezium_version/"*.tar.gz -C "$debezium_folder" \
		--strip-components=1 --exclude='*/connectors'
	rm -rf "$repository"
	touch "$debezium_folder/complete"
}

debezium_java() { echo "${debezium_java_home:+$debezium_java_home/bin/}java"; }

need_debezium()
{
	local java version
	need_program java mvn
	java=$(debezium_java)
	version=$("$java" -version 2>&1 | sed -n 's/^[a-z]* version "\([0-9]*\).*/\1/p')
	[ "${version:-0}" -ge 21 ] || echo "$java is version ${version:-unknown}, Debezium Server $debezium_version needs 21: see --java-home"
	fetch_debezium
}

describe_debezium()
{
	echo "Debezium Server $debezium_version, pgoutput, JSON without schemas, Kafka sink; $("$(debezium_java)" -version 2>&1 | head -1), -Xmx$debezium_heap;" \
		"larger batches and queues and a lingering producer as its documentation advises for throughput, a short poll interval for latency," \
		"offsets stored after each batch; snapshot off"
}

slot_debezium() { plugin=pgoutput; }

command_debezium()
{
	local number=$1 folder=$work/debezium_$1 part
	if [ ! -d "$folder" ]; then
		mkdir -p "$folder/config"
		for part in lib lib_metrics jmx run.sh "debezium-server-dist-$debezium_version-runner.jar"; do
			ln -s "$debezium_folder/$part" "$folder/$part"
		done
		mkdir "$folder/config/lib"
		cat >"$folder/config/application.properties" <<-E
			debezium.sink.type=kafka
			debezium.sink.kafka.producer.bootstrap.servers=127.0.0.1:$kafka_port
			debezium.sink.kafka.producer.key.serializer=org.apache.kafka.common.serialization.StringSerializer
			debezium.sink.kafka.producer.value.serializer=org.apache.kafka.common.serialization.StringSerializer
			debezium.sink.kafka.producer.linger.ms=5
			debezium.sink.kafka.producer.batch.size=262144
			debezium.source.connector.class=io.debezium.connector.postgresql.PostgresConnector
			debezium.source.offset.storage.file.filename=$folder/offsets
			debezium.source.offset.flush.interval.ms=0
			debezium.source.database.hostname=127.0.0.1
			debezium.source.database.port=$server_port
			debezium.source.database.user=postgres
			debezium.source.database.password=none
			debezium.source.database.dbname=bench
			debezium.source.topic.prefix=bench_$number
			debezium.source.table.include.list=public.pipe
			debezium.source.plugin.name=pgoutput
			debezium.source.slot.name=pipe_$number
			debezium.source.publication.name=bench
			debezium.source.publication.autocreate.mode=disabled
			debezium.source.snapshot.mode=no_data
			debezium.source.max.batch.size=16384
			debezium.source.max.queue.size=65536
			debezium.source.poll.interval.ms=5
			debezium.format.key=json
			debezium.format.value=json
			debezium.format.key.schemas.enable=false
			debezium.format.value.schemas.enable=false
			quarkus.http.port=$(free_port)
			quarkus.log.level=WARN
		E
	fi
	command=(env -C "$folder" ${debezium_java_home:+"JAVA_HOME=$debezium_java_home"}
		"JAVA_OPTS=-Xmx$debezium_heap --add-opens=java.base/java.lang=ALL-UNNAMED" "$folder/run.sh")
}

# ---------------------------------------------------------------------------------------------
# pgstream, a module of Go
# ---------------------------------------------------------------------------------------------

pgstream_version=v0.9.5
pgstream_folder=${XDG_CACHE_HOME:-$HOME/.cache}/cdc_decoder/pgstream/$pgstream_version

# Its own go.mod names a version of sonic that Go 1.26 does not compile.
build_pgstream()
{
	[ ! -x "$pgstream_folder/pgstream" ] || return 0
	mkdir -p "$pgstream_folder"
	printf 'module peer\n\nrequire (\n\tgithub.com/xataio/pgstream %s\n\tgithub.com/bytedance/sonic v1.15.0\n)\n' \
		"$pgstream_version" >"$pgstream_folder/go.mod"
	env -C "$pgstream_folder" GOFLAGS=-mod=mod go build -o pgstream github.com/xataio/pgstream >"$work/go.log" 2>&1 ||
		echo "Go could not build it: $(tail -n 1 "$work/go.log")"
}

need_pgstream()
{
	need_program go
	[ -f "$libdir/wal2json.so" ] || echo "the plugin wal2json: apt install postgresql-$major-wal2json"
	build_pgstream
}

describe_pgstream()
{
	echo "pgstream $pgstream_version ($(go version "$pgstream_folder/pgstream" | sed 's/.*: //')), wal2json, JSON, Kafka target; batches of 5,000" \
		"messages instead of 100 for throughput, of 0.9 MB instead of 1.5, which is more than the broker's default takes, a batch timeout of 5 ms instead of 1 s for latency; no injector, whose triggers would" \
		"slow the source"
}

slot_pgstream() { plugin=wal2json; }

command_pgstream()
{
	local number=$1 file=$work/pgstream_$1.yaml
	cat >"$file" <<-E
		source:
		  postgres:
		    url: "postgres://postgres:none@127.0.0.1:$server_port/bench?sslmode=disable"
		    mode: replication
		    replication:
		      replication_slot: "pipe_$number"
		target:
		  kafka:
		    servers: ["127.0.0.1:$kafka_port"]
		    topic:
		      name: "bench_$number.public.pipe"
		    batch:
		      timeout: 5
		      size: 5000
		      max_bytes: 900000
		modifiers:
		  injector:
		    enabled: false
	E
	command=("$pgstream_folder/pgstream" run --config "$file" --log-level error)
}
