# shellcheck shell=bash
# lib.sh
#	What the scripts share; sourced, never run.
#
# Packages come from the distribution.  Everything else happens in one temporary folder: a copy of the
# sources is built there, and a private PostgreSQL runs there that listens on a unix socket only.
# PostgreSQL does not run as root, so as root the commands in "${as_user[@]}" become user postgres.
# At exit the processes that were started here end by their own pids and the folder goes.

# The oldest PostgreSQL that the plugin builds with.
oldest_major=15

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export LC_ALL=C.UTF-8

# A caller's PGHOST, PGSERVICE and the like must not lead to a server that is not ours.
for name in ${!PG@}; do
	[ "$name" = PG_CONFIG ] || unset "$name"
done
unset name

# What a client with every sink is built with, and the servers that its tests start.
# shellcheck disable=SC2034 # for whoever sources this
client_packages=(gcc libc6-dev make pkgconf libpq-dev libjson-c-dev librdkafka-dev libcurl4-openssl-dev libssl-dev
	zlib1g-dev libzstd-dev libnats-dev libhiredis-dev libgrpc-dev libprotobuf-c-dev protobuf-c-compiler)
# shellcheck disable=SC2034
sink_test_packages=(redis-tools nats-server kcat zstd default-jre-headless maven python3 openssl
	python3-grpcio python3-protobuf protobuf-compiler)

# The output plugins that ours are compared with.
# shellcheck disable=SC2034
plugin_test_packages=(postgresql-MAJOR-wal2json)

as_root=()		# prefix for what needs root
as_user=()		# prefix for what must not be root; execs, so that $! is the program's own pid
work=			# the temporary folder, see make_work_folder
keep_work=no	# yes: leave the folder behind, for looking at it
own_pids=()		# background processes to end at exit
own_servers=()	# data folders of servers to stop at exit

if [ -t 1 ] && [ -z "${NO_COLOR-}" ]; then
	bold=$'\e[1m' red=$'\e[31m' green=$'\e[32m' dim=$'\e[2m' plain=$'\e[0m'
else
	bold='' red='' green='' dim='' plain=''
fi
export bold red green dim plain

say()
{
	printf '%s==> %s%s\n' "$bold" "$*" "$plain"
}

# die WHAT [HINT]...: each further argument is a line of its own.
die()
{
	printf '%s%s: %s%s\n' "$red" "${0##*/}" "$1" "$plain" >&2
	shift
	[ $# -eq 0 ] || printf '    %s\n' "$@" >&2
	exit 1
}

# quietly WHAT COMMAND...: runs it, its output into a log of which the end is shown if it fails.
quietly()
{
	local what=$1 log
	shift
	log=$work/log/${what// /_}.log
	if ! "$@" >"$log" 2>&1; then
		printf '%s%s failed; the end of what it said:%s\n' "$red" "$what" "$plain" >&2
		tail -n 40 "$log" >&2
		return 1
	fi
}

# ---------------------------------------------------------------------------------------------
# Packages
# ---------------------------------------------------------------------------------------------

find_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		as_root=()
	elif command -v sudo >/dev/null; then
		as_root=(sudo)
	else
		die 'packages are missing, and installing them needs root' \
			'Run this as root, or install sudo, or install these yourself:' "$*"
	fi
}

package_installed()
{
	[ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Newest major that this machine has with its server and PGXS, else nothing.
installed_major()
{
	local folder major newest=
	for folder in /usr/lib/postgresql/*/; do
		major=$(basename "$folder")
		if [[ $major =~ ^[0-9]+$ ]] && [ "$major" -ge "$oldest_major" ] &&
			[ "$major" -gt "${newest:-0}" ] && [ -x "$folder/bin/postgres" ] &&
			[ -f "/usr/include/postgresql/$major/server/postgres.h" ]; then
			newest=$major
		fi
	done
	echo "$newest"
}

# Newest major that apt offers with PGXS, else nothing.
offered_major()
{
	apt-cache search --names-only '^postgresql-server-dev-[0-9]+$' |
		sed -n 's/^postgresql-server-dev-\([0-9]*\) .*/\1/p' | sort -n |
		awk -v oldest="$oldest_major" '$1 >= oldest { newest = $1 } END { print newest }'
}

# Sets major, installs the PostgreSQL to build with, and whichever of the named packages are missing; MAJOR in a name
# stands for it.
install_packages()
{
	local package missing=() updated=no conf=

	command -v apt-get >/dev/null ||
		die 'this script installs packages with apt, and there is no apt-get here' \
			'Debian and Ubuntu have it; elsewhere see doc/development.md for what a build needs.'
	major=$(installed_major)
	if [ -z "$major" ]; then
		find_root "PostgreSQL $oldest_major or newer with its development files, $*"
		say 'apt-get update'
		"${as_root[@]}" apt-get -q=2 update || die 'apt-get update failed'
		updated=yes
		major=$(offered_major)
		[ -n "$major" ] ||
			die "this distribution has no PostgreSQL $oldest_major or newer" \
				'Debian 12 and Ubuntu 24.04 are the oldest that have one; for others see' \
				'https://wiki.postgresql.org/wiki/Apt'
	fi
	for package in "postgresql-$major" "postgresql-server-dev-$major" "${@//MAJOR/$major}"; do
		package_installed "$package" || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0

	find_root "${missing[@]}"
	if [ $updated = no ]; then
		say 'apt-get update'
		"${as_root[@]}" apt-get -q=2 update || die 'apt-get update failed'
	fi
	say "installing ${missing[*]}"
	# A server package makes and starts a cluster of its own when it is first installed.  Nobody asked
	# for one: postgresql-common reads this folder, and the file goes once the packages are there.
	if ! package_installed "postgresql-$major"; then
		conf=/etc/postgresql-common/createcluster.d/cdc_decoder.conf
		"${as_root[@]}" mkdir -p "${conf%/*}"
		echo 'create_main_cluster = false' | "${as_root[@]}" tee "$conf" >/dev/null
	fi
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l apt-get -q=2 -y \
		--no-install-recommends -o Dpkg::Use-Pty=0 install "${missing[@]}" </dev/null >"$work/log/apt.log" 2>&1 || {
		[ -z "$conf" ] || "${as_root[@]}" rm -f "$conf"
		tail -n 20 "$work/log/apt.log" >&2
		die "apt-get could not install ${missing[*]}"
	}
	[ -z "$conf" ] || "${as_root[@]}" rm -f "$conf"
}

# Sets pg_config and bindir of the chosen major; PG_CONFIG in the environment wins.
find_postgresql()
{
	pg_config=${PG_CONFIG:-/usr/lib/postgresql/$major/bin/pg_config}
	use_postgresql "$pg_config"
}

# use_postgresql PG_CONFIG: sets pg_config, bindir, major, sysroot and build_options.
use_postgresql()
{
	local root

	pg_config=$1
	[ -x "$pg_config" ] || die "no pg_config at \"$pg_config\""
	bindir=$("$pg_config" --bindir)
	major=$("$pg_config" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/')
	[ "$major" -ge "$oldest_major" ] ||
		die "PostgreSQL $major of \"$pg_config\" is too old" "$oldest_major is the oldest that works."
	# The bitcode for JIT takes as long as the rest and is of no use to an output plugin here.
	build_options=("PG_CONFIG=$pg_config" with_llvm=no)
	# A tree of script/pg-tree brings the C library that its PostgreSQL was built with.
	root=${bindir%/usr/lib/postgresql/*}
	sysroot=
	if [ -n "$root" ] && [ "$root" != "$bindir" ]; then
		sysroot=--sysroot=$root
		build_options+=("COPT=$sysroot")
	fi
}

# ---------------------------------------------------------------------------------------------
# The temporary folder
# ---------------------------------------------------------------------------------------------

# make_work_folder NAME: sets work, and the traps that clean up.
make_work_folder()
{
	work=$(mktemp -d "${TMPDIR:-/tmp}/cdc_$1.XXXXXX") || exit 1
	mkdir "$work/log" "$work/socket"
	trap clean_up EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	# sun_path of a unix socket has 108 bytes
	[ ${#work} -le 70 ] || die "the temporary folder's name \"$work\" is too long for a unix socket" \
		'Set TMPDIR to a shorter one.'
}

# After the packages are there, since user postgres comes with them.
become_unprivileged()
{
	if [ "$(id -u)" -eq 0 ]; then
		as_user=(setpriv --reuid=postgres --regid=postgres --init-groups env "HOME=$work")
		chown -R postgres: "$work"
	else
		as_user=(env "HOME=$work")
	fi
	chmod 755 "$work"
	cd "$work" || exit 1
}

# copy_sources FOLDER: the sources without anything built, owned by whom the build runs as.
copy_sources()
{
	"${as_user[@]}" mkdir -p "$1"
	tar -C "$top" -cf - --exclude=./.git --exclude='*.o' --exclude='*.so' --exclude='*.bc' \
		--exclude='./plugin/*.d' --exclude='*.gcda' --exclude='*.gcno' --exclude=./client/cdc_client --exclude=build \
		--exclude=./results --exclude=./output_iso --exclude='./regression.*' \
		--exclude=./tmp_check . | "${as_user[@]}" tar -C "$1" --no-same-owner -xf -
}

# ---------------------------------------------------------------------------------------------
# A private server
# ---------------------------------------------------------------------------------------------

# server_conf FOLDER: what every server needs that is to load the plugin built in FOLDER, and to find
# the extension in FOLDER/install if it was installed there (make install DESTDIR=...).
server_conf()
{
	# Parameters that a server does not know keep it from starting: output_plugin_libraries came with
	# the minors of 2026, extension_control_path with 18, extension_destdir is Debian's until then.
	local known
	known=$("${as_user[@]}" "$bindir/postgres" --describe-config | cut -f 1)
	echo "wal_level = logical"
	echo "dynamic_library_path = '$1:\$libdir'"
	if grep -qx output_plugin_libraries <<<"$known"; then
		echo "output_plugin_libraries = 'pgoutput, test_decoding, cdc_decoder'"
	fi
	if grep -qx extension_control_path <<<"$known"; then
		echo "extension_control_path = '$1/install$("$pg_config" --sharedir):\$system'"
	elif grep -qx extension_destdir <<<"$known"; then
		echo "extension_destdir = '$1/install'"
	fi
}

# server_start NAME FOLDER [LINE OF CONFIGURATION]...: in $work/NAME, with the plugin of FOLDER;
# sets PGHOST and the like, so that psql and libpq find it.
server_start()
{
	local data=$work/$1 folder=$2
	shift 2
	quietly 'initdb' "${as_user[@]}" "$bindir/initdb" -D "$data" -A trust -U postgres -N \
		--encoding=UTF8 --locale=C.UTF-8 || exit 1
	{
		server_conf "$folder"
		echo "listen_addresses = ''"
		echo "unix_socket_directories = '$work/socket'"
		echo "max_wal_size = '4GB'"
		[ $# -eq 0 ] || printf '%s\n' "$@"
	} >>"$data/postgresql.conf"
	own_servers+=("$data")
	if ! "${as_user[@]}" "$bindir/pg_ctl" -D "$data" -l "$data/server.log" -w -t 60 -s start \
		>"$work/log/pg_ctl.log" 2>&1; then
		cat "$work/log/pg_ctl.log" >&2
		tail -n 20 "$data/server.log" >&2
		die 'the private PostgreSQL did not start'
	fi
	export PGHOST=$work/socket PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
}

# server_stop NAME
server_stop()
{
	"${as_user[@]}" "$bindir/pg_ctl" -D "$work/$1" -m fast -w -t 60 -s stop
}

# sql ARGUMENT...: psql, unaligned, stops at the first error.
sql()
{
	"${as_user[@]}" "$bindir/psql" -X -q -A -t -v ON_ERROR_STOP=1 "$@"
}

clean_up()
{
	local status=$? pid data
	trap '' HUP INT TERM
	for pid in "${own_pids[@]}"; do
		kill "$pid" 2>/dev/null
	done
	for data in "${own_servers[@]}"; do
		[ ! -f "$data/postmaster.pid" ] ||
			"${as_user[@]}" "$bindir/pg_ctl" -D "$data" -m immediate -w -t 30 -s stop 2>/dev/null
	done
	wait 2>/dev/null
	cd / || exit 1
	if [ "$keep_work" = yes ]; then
		echo "kept: $work"
	elif [ -n "$work" ]; then
		rm -rf "$work"
	fi
	exit "$status"
}
