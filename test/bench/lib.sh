# shellcheck shell=bash
# What the benchmark's scripts share: a throw-away server, the programs, the machine's description.
#
# A script sources this, reads its options, calls bench_begin, and may then use:
#	$work		its temporary folder, removed at the end with the server that runs in it
#	sql ...		psql on the server (arguments as psql's)
#	$conninfo	for libpq
#	$build		the folder of the compiled programs
#	replay ...	one measured run of one plugin (see there)

set -euo pipefail

bench_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top_dir=$(cd "$bench_dir/../.." && pwd)
pg_config=${PG_CONFIG:-pg_config}
plugin_dir=$top_dir
keep=no
out=
doc=no
server_started=no
bench_pids=()	# programs to end at exit, besides the server
work=
# So that a run that hangs ends: no single replay of the full workloads takes near so long.
replay_timeout=900

fail()
{
	echo "${0##*/}: $*" >&2
	exit 1
}

# Reads --name=value of the options that every script has; 1 if the option is another.
bench_option()
{
	case $1 in
		--pg-config=?*) pg_config=${1#*=} ;;
		--plugin-dir=?*) plugin_dir=${1#*=} ;;
		--out=?*) out=${1#*=} ;;
		--doc) doc=yes ;;
		--keep) keep=yes ;;
		*) return 1 ;;
	esac
}

# shellcheck disable=SC2034 # for the scripts
bench_option_help="\
  --out=FILE            write what is printed there too
  --doc                 put it into doc/benchmarks.md, in place of the last results
  --pg-config=PROGRAM   pg_config of the server to measure on (default: \$PG_CONFIG, pg_config)
  --plugin-dir=FOLDER   where cdc_decoder.so is (default: the top of the source tree)
  --keep                leave the temporary folder and its server's log"

# A number above 0 (for awk, so that 0.01 is allowed too), or an error that names the option.
need_number()
{
	if ! [[ $2 =~ ^([0-9]+(\.[0-9]+)?|\.[0-9]+)$ ]] || ! awk "BEGIN { exit !($2 > 0) }"; then
		fail "option $1: \"$2\" is not a number above 0"
	fi
}

need_count()
{
	[[ $2 =~ ^[1-9][0-9]{0,8}$ ]] || fail "option $1: \"$2\" is not a whole number above 0"
}

# need_words OPTION "KNOWN WORDS" WORD...: all words are among the known ones.
need_words()
{
	local option=$1 known=$2 word
	shift 2
	for word in "$@"; do
		[[ " $known " = *" $word "* ]] || fail "option $option: unknown \"$word\"; known: $known"
	done
}

# Runs a command as the user that the server runs as: PostgreSQL refuses root.
as_server()
{
	if [ "$(id -u)" = 0 ]; then
		runuser -u postgres -- "$@"
	else
		"$@"
	fi
}

bench_cleanup()
{
	local status=$?
	local pid
	trap - EXIT INT TERM
	for pid in "${bench_pids[@]}"; do
		if kill "$pid" 2>/dev/null; then
			wait "$pid" 2>/dev/null || true
		fi
	done
	if [ "$server_started" = yes ]; then
		as_server "$bindir/pg_ctl" -D "$work/data" -m immediate -w stop >"$work/stop.log" 2>&1 ||
			cat "$work/stop.log" >&2
	fi
	if [ -n "$work" ]; then
		if [ "$keep" = yes ]; then
			echo "kept: $work" >&2
		else
			rm -rf "$work"
		fi
	fi
	exit "$status"
}

# Tools and development files that every script needs, with the packages that bring them.
bench_need_tools()
{
	local missing=() pair
	for pair in cc:gcc make:make perl:perl runuser:util-linux awk:mawk timeout:coreutils \
		pkg-config:pkg-config; do
		command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
	done
	command -v "$pg_config" >/dev/null || missing+=(postgresql-server-dev-15)
	[ ${#missing[@]} = 0 ] || fail "missing: apt install ${missing[*]}"
	bindir=$("$pg_config" --bindir)
	libdir=$("$pg_config" --pkglibdir)
	major=$("$pg_config" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/')
	[ -x "$bindir/postgres" ] || missing+=("postgresql-$major")
	[ -x "$bindir/pgbench" ] || missing+=("postgresql-$major")
	[ -x "$bindir/pg_recvlogical" ] || missing+=("postgresql-client-$major")
	pkg-config --exists libpq || missing+=(libpq-dev)
	[ -f "$("$pg_config" --pgxs)" ] || missing+=("postgresql-server-dev-$major")
	[ ${#missing[@]} = 0 ] || fail "missing: apt install ${missing[*]}"
}

bench_build()
{
	build=$bench_dir/build/$major
	mkdir -p "$build/floor"
	if ! make -s -C "$bench_dir" BUILD="$build" >"$work/build.log" 2>&1 ||
		! make -s -C "$build/floor" -f "$bench_dir/floor/Makefile" VPATH="$bench_dir/floor" \
			PG_CONFIG="$pg_config" with_llvm=no >>"$work/build.log" 2>&1; then
		cat "$work/build.log" >&2
		fail "the benchmark's own programs do not compile"
	fi
}

# The configuration, stated in the results too.
server_settings="\
wal_level = logical
max_replication_slots = 20
max_wal_senders = 20
shared_buffers = 1GB
logical_decoding_work_mem = ${BENCH_DECODING_WORK_MEM:-1GB}
max_wal_size = 64GB
checkpoint_timeout = 1h
fsync = off
autovacuum = off
wal_sender_timeout = 0
wal_writer_delay = 10ms"

# Starts the server on a unix socket in $work; a script's server_own_settings come last, and so win.
server_own_settings=
bench_begin()
{
	bench_need_tools
	work=$(mktemp -d "${TMPDIR:-/tmp}/cdc_bench.XXXXXX")
	trap bench_cleanup EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	chmod 755 "$work"
	bench_build

	# Copies: the server's user may not be able to read the source tree, and a build that goes on
	# meanwhile must not change what is measured.
	mkdir "$work/lib"
	cp "$build/floor/floor.so" "$work/lib/"
	[ ! -f "$plugin_dir/cdc_decoder.so" ] || cp "$plugin_dir/cdc_decoder.so" "$work/lib/"
	make -s -C "$top_dir" PG_CONFIG="$pg_config" with_llvm=no DESTDIR="$work/install" install-extension \
		>"$work/install.log" 2>&1 || { cat "$work/install.log" >&2; fail "the extension's SQL is not there"; }
	chmod -R a+rX "$work/lib" "$work/install"
	[ "$(id -u)" != 0 ] || chown postgres "$work"

	as_server "$bindir/initdb" -D "$work/data" -U postgres -A trust -E UTF8 --locale=C \
		>"$work/initdb.log" 2>&1 || { cat "$work/initdb.log" >&2; fail "initdb failed"; }
	{
		echo "$server_settings"
		echo "listen_addresses = ''"
		echo "unix_socket_directories = '$work'"
		echo "dynamic_library_path = '$work/lib:\$libdir'"
		known=$(as_server "$bindir/postgres" --describe-config | cut -f 1)
		if grep -qx extension_control_path <<<"$known"; then
			echo "extension_control_path = '$work/install$("$pg_config" --sharedir):\$system'"
		elif grep -qx extension_destdir <<<"$known"; then
			echo "extension_destdir = '$work/install'"
		fi
		echo "$server_own_settings"
		if grep -qx output_plugin_libraries <<<"$known"; then
			echo "output_plugin_libraries = 'pgoutput, test_decoding, wal2json, decoderbufs, floor, cdc_decoder'"
		fi
	} >"$work/settings"
	as_server tee -a "$work/data/postgresql.conf" <"$work/settings" >/dev/null
	as_server "$bindir/pg_ctl" -D "$work/data" -l "$work/server.log" -w -t 60 start \
		>"$work/start.log" 2>&1 ||
		{ cat "$work/start.log" "$work/server.log" >&2; fail "the server does not start"; }
	server_started=yes
	conninfo="host=$work user=postgres dbname=bench"
	"$bindir/createdb" -h "$work" -U postgres bench
}

sql()
{
	"$bindir/psql" -X -q -A -t -v ON_ERROR_STOP=1 -h "$work" -U postgres -d bench "$@"
}

# A walsender and the program that reads from it get a core each while they are measured: on one
# core every message costs two context switches, and whether the scheduler puts them there changes
# from run to run (CPU differed by a third).  With one core only there is nothing to choose.
allowed_cpus=$(awk '$1 == "Cpus_allowed_list:" { print $2 }' /proc/self/status)
server_cpu=${allowed_cpus%%[,-]*}
reader_cpu=${allowed_cpus##*[,-]}
on_reader_cpu=()
[ "$server_cpu" = "$reader_cpu" ] || on_reader_cpu=(taskset -c "$reader_cpu")

# Sessions that begin from now on run on these cores.
set_server_cpus()
{
	as_server taskset -pc "$1" "$(head -1 "$work/data/postmaster.pid")" >/dev/null
}

pin_server()
{
	set_server_cpus "$server_cpu"
}

unpin_server()
{
	set_server_cpus "$allowed_cpus"
}

# Where all that was recorded so far ends.  The checkpoint behind it gives the walsender something
# to read past that place, and does the server's writing before anything is measured.
wal_mark()
{
	sql -c 'SELECT pg_current_wal_lsn()'
	sql -c CHECKPOINT
}

# The plugins, as NAME|library|Debian package|options; NAME is what --plugins takes.
plugin_table="\
floor|floor||
pgoutput|pgoutput||proto_version=1 publication_names=bench
test_decoding|test_decoding|postgresql-MAJOR|
wal2json-v1|wal2json|postgresql-MAJOR-wal2json|format-version=1
wal2json-v2|wal2json|postgresql-MAJOR-wal2json|format-version=2
decoderbufs|decoderbufs|postgresql-MAJOR-decoderbufs|
cdc-lines|cdc_decoder||
cdc-batched|cdc_decoder||batch_bytes=65536
cdc-frames|cdc_decoder||framing=frames protocol_version=1
cdc-debezium|cdc_decoder||format=debezium batch_bytes=65536
cdc-wal2json|cdc_decoder||format=wal2json batch_bytes=65536
cdc-wal2json-lines|cdc_decoder||format=wal2json"

plugin_names()
{
	cut -d'|' -f1 <<<"$plugin_table"
}

# Field 2 (library), 3 (package) or 4 (options) of a plugin.
plugin_field()
{
	awk -F'|' -v name="$1" -v field="$2" '$1 == name { print $field }' <<<"$plugin_table"
}

# Checks that the plugins named are known and there, naming all that are not at once.
need_plugins()
{
	local name library missing=()
	for name in "$@"; do
		library=$(plugin_field "$name" 2)
		[ -n "$library" ] || fail "unknown plugin \"$name\"; known: $(plugin_names | xargs)"
		if [ -f "$libdir/$library.so" ] || [ -f "$work/lib/$library.so" ]; then
			continue
		fi
		if [ "$library" = cdc_decoder ]; then
			missing+=("$name: no cdc_decoder.so in $plugin_dir: run make there, or see --plugin-dir")
		else
			missing+=("$name: apt install $(plugin_field "$name" 3 | sed "s/MAJOR/$major/")")
		fi
	done
	[ ${#missing[@]} = 0 ] || fail "plugins that are missing (or leave them out by --plugins):
$(printf '  %s\n' "${missing[@]}")"
}

# One run: a fresh copy of the parked slot under the plugin's library, replayed up to the mark.
# replay PLUGIN PARKED_SLOT ENDPOS: prints drain's line, or "failed=..." with the server's reason.
replay()
{
	local options output
	sql -c "SELECT pg_copy_logical_replication_slot('$2', 'run', false, '$(plugin_field "$1" 2)')" \
		>/dev/null
	read -r -a options <<<"$(plugin_field "$1" 4)"
	if output=$(timeout "$replay_timeout" "${on_reader_cpu[@]}" "$build/drain" "$conninfo" run "$3" \
		"${options[@]}" 2>&1); then
		echo "$output"
	else
		[ -n "$output" ] || output="no end within $replay_timeout s"
		echo "failed=$(tr '\n\t' '  ' <<<"$output")"
	fi
	drop_slot run
}

# copy_slot NAME: of what record_workload parked, for a client
copy_slot()
{
	sql -c "SELECT pg_copy_logical_replication_slot('parked', '$1', false, 'cdc_decoder')" >/dev/null
}

# Runs "command" to its end under measure, pinned where on_reader_cpu says so.  Prints its result; what it
# said is shown if it failed.  $1: its exit status that is right.  Reads standard input where it is given.
run_measured()
{
	local status=0
	timeout "$replay_timeout" "${on_reader_cpu[@]}" "$build/measure" "$work/measured" "${command[@]}" \
		>"$work/command.log" 2>&1 || status=$?
	[ "$status" = "$1" ] ||
		{ cat "$work/command.log" >&2; fail "exit status $status: ${command[*]}"; }
	cat "$work/measured"
}

# Drops a slot once its walsender, which ends on its own after the client, has let go of it.
drop_slot()
{
	sql -v slot="$1" >/dev/null <<-'E'
		SELECT set_config('bench.slot', :'slot', false);
		DO $$
		DECLARE
			slot text := current_setting('bench.slot');
		BEGIN
			PERFORM pg_terminate_backend(active_pid, 60000)
			   FROM pg_replication_slots WHERE slot_name = slot AND active;
			PERFORM pg_drop_replication_slot(slot);
		END $$;
	E
}

# The machine and the settings, as Markdown.
describe_machine()
{
	echo "- date: $(date -u +%Y-%m-%d)"
	echo "- CPU: $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | sort -u | head -1)," \
		"$(nproc) cores; memory: $(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)"
	echo "- system: $(. /etc/os-release && echo "$PRETTY_NAME"), kernel $(uname -r)"
	echo "- PostgreSQL $("$bindir/postgres" --version | sed 's/^[^0-9]*//'), over a unix socket," \
		"with $(tr '\n' ';' <<<"$server_settings" | sed -e 's/;$//' -e 's/ = /=/g' -e 's/;/, /g')"
	if [ "$server_cpu" = "$reader_cpu" ]; then
		echo "- one core only: walsender and reader share it, so each message costs context switches"
	else
		echo "- walsender and reader on a core each where a replay is measured"
	fi
	echo "- load average of the last minute at the start and the end: $bench_load_at_start," \
		"$(cut -d' ' -f1 /proc/loadavg) (the benchmark itself makes up to 2)"
}
bench_load_at_start=$(cut -d' ' -f1 /proc/loadavg)

# Prints a script's results: $1 its name, standard input the Markdown.  Where the options say so they
# go to a file and into doc/benchmarks.md, between the marks of that script.
publish()
{
	tee "$work/report"
	[ -z "$out" ] || cp "$work/report" "$out"
	[ "$doc" = no ] || perl "$bench_dir/report.pl" insert "$1" "$work/report" "$top_dir/doc/benchmarks.md"
}
