# CdcTest: what the plugin's TAP tests share.
#
# A node is a PostgreSQL::Test::Cluster that finds the plugin in the tree that the test belongs to.  All
# decoding goes through a copy of a slot, so that the slot itself stays where it is and the same WAL
# can be decoded again and again; the output is a file of records, one on each line, or of frames.
package CdcTest;

use strict;
use warnings;

use Cwd qw(abs_path);
use Errno;
use Exporter qw(import);
use File::Basename qw(dirname);
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(
	make_node create_slot endpos run_sql output_file same_files
	decode decode_by_sql decode_into decode_fails slot_options option_array
	load_records identities strictly_rising read_lines slurp_bytes read_piece
	seed_random pick chance between
	memory_of walsender_pid
);

my $top = abs_path(dirname(abs_path(__FILE__)) . '/../../..');
my $count = 0;

# Seconds that a program may take before the test ends it.
our $timeout = $PostgreSQL::Test::Utils::timeout_default;

# ------------------------------------------------------------------------------------------------
# Servers and slots
# ------------------------------------------------------------------------------------------------

# make_node(NAME, LINE OF CONFIGURATION...): a started server
sub make_node
{
	my ($name, @conf) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(allows_streaming => 'logical', extra => [ '--locale=C', '--encoding=UTF8' ]);
	# TEMP_CONFIG, where there is one, says where the plugin is; by hand it is in the tree
	$node->append_conf('postgresql.conf', plugin_conf($node)) unless $ENV{TEMP_CONFIG};
	$node->append_conf('postgresql.conf', join("\n",
		'log_statement = none',
		'log_min_messages = warning',
		'autovacuum = off',
		'max_connections = 40',
		'max_replication_slots = 40',
		'max_wal_senders = 20',
		'max_wal_size = 8GB',
		'checkpoint_timeout = 1h',
		@conf, ''));
	$node->start;
	return $node;
}

# Only minor releases from 2026 on know output_plugin_libraries, and the others do not start with it.
sub plugin_conf
{
	my ($node) = @_;
	my ($described) = run_command([ $node->installed_command('postgres'), '--describe-config' ]);
	my $conf = "dynamic_library_path = '$top:\$libdir'\n";

	$conf .= "output_plugin_libraries = 'pgoutput, test_decoding, cdc_decoder'\n"
	  if $described =~ /^output_plugin_libraries\t/m;
	return $conf;
}

sub create_slot
{
	my ($node, $db, $slot) = @_;
	$node->safe_psql($db, "SELECT pg_create_logical_replication_slot('$slot', 'cdc_decoder')");
	return $slot;
}

# Up to here: the end of all that has been committed.
sub endpos
{
	my ($node) = @_;
	return $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
}

# run_sql(NODE, DATABASE, SQL, [OPTIONS]): statements by the thousand, from a file and not the command
# line; stops at the first error unless on_error => 0.  Returns what was printed.
sub run_sql
{
	my ($node, $db, $sql, %args) = @_;
	my $file = output_file('sql');

	append_to_file($file, $sql);
	my ($stdout, $stderr) = ('', '');
	local %ENV = $node->_get_env();
	$ENV{PGOPTIONS} = $args{pgoptions} if $args{pgoptions};
	$ENV{PGCLIENTENCODING} = $args{client_encoding} if $args{client_encoding};
	IPC::Run::run(
		[ $node->installed_command('psql'), '-X', '-A', '-t', '-q', '-d', $node->connstr($db),
		  '-v', 'ON_ERROR_STOP=' . ($args{on_error} // 1), '-f', $file ],
		'<', \undef, '>', \$stdout, '2>', \$stderr, IPC::Run::timeout($args{timeout} // $timeout))
	  or die "psql failed on $file: $stderr";
	unlink $file;
	${ $args{stderr} } = $stderr if $args{stderr};
	chomp $stdout;
	return $stdout;
}

sub output_file
{
	my ($suffix) = @_;
	return sprintf('%s/cdc_%d_%d.%s', $PostgreSQL::Test::Utils::tmp_check, $$, ++$count, $suffix);
}

# ------------------------------------------------------------------------------------------------
# Decoding
# ------------------------------------------------------------------------------------------------

# The plugin's options, as arguments of pg_recvlogical, and as those of the SQL functions.
sub slot_options
{
	my (%options) = @_;
	return map { ('-o', "$_=$options{$_}") } sort keys %options;
}

sub option_array
{
	my (%options) = @_;
	return join('', map { ", '$_', '$options{$_}'" } sort keys %options);
}

sub copied
{
	my ($node, $db, $slot, $plugin) = @_;
	my $copy = sprintf('%s_copy_%d', $slot, ++$count);

	$plugin //= 'cdc_decoder';
	$node->safe_psql($db, "SELECT pg_copy_logical_replication_slot('$slot', '$copy', false, '$plugin')");
	return $copy;
}

sub walsender_command
{
	my ($node, $db, $slot, $file, %args) = @_;
	return [
		$node->installed_command('pg_recvlogical'), '--dbname', $node->connstr($db), '-S', $slot,
		'--start', '--no-loop', '-f', $file, '--endpos', $args{endpos} // endpos($node),
		slot_options(%{ $args{options} // {} }), @{ $args{arguments} // [] } ];
}

# decode(NODE, DATABASE, SLOT, [options =>, pgoptions =>, endpos =>, arguments =>, plugin =>]): through a walsender,
# from a copy of the slot, with another plugin if one is named; returns the file.
sub decode
{
	my ($node, $db, $slot, %args) = @_;
	my $copy = copied($node, $db, $slot, $args{plugin});
	my $file = output_file('out');
	my $command = walsender_command($node, $db, $copy, $file, %args);
	my ($stdout, $stderr) = ('', '');

	{
		local %ENV = $node->_get_env();
		$ENV{PGOPTIONS} = $args{pgoptions} if $args{pgoptions};
		IPC::Run::run($command, '<', \undef, '>', \$stdout, '2>', \$stderr, IPC::Run::timeout($timeout))
		  or die "pg_recvlogical failed: $stderr";
	}
	drop_slot($node, $db, $copy);
	return $file;
}

# The same where it is to fail; returns what pg_recvlogical said.
sub decode_fails
{
	my ($node, $db, $slot, %args) = @_;
	my $file = eval { decode($node, $db, $slot, %args) };

	return defined $file ? undef : $@;
}

# decode_into(SUB, NODE, DATABASE, SLOT, ...): as decode(), but calls SUB with each piece of output as it
# arrives and with the slot's name, so that the walsender can be looked at in the midst of its work.
sub decode_into
{
	my ($sub, $node, $db, $slot, %args) = @_;
	my $copy = copied($node, $db, $slot);
	my $command = walsender_command($node, $db, $copy, '-', %args);

	{
		local %ENV = $node->_get_env();
		open(my $pipe, '-|', @$command) or die "could not run $command->[0]: $!";
		while ((my $piece = read_piece($pipe, 1024 * 1024)) ne '')
		{
			$sub->($piece, $copy);
		}
		close($pipe) or die 'pg_recvlogical failed';
	}
	drop_slot($node, $db, $copy);
	return;
}

# The walsender may take a moment to leave the slot.
sub drop_slot
{
	my ($node, $db, $slot) = @_;
	$node->poll_query_until($db,
		"SELECT NOT active FROM pg_replication_slots WHERE slot_name = '$slot'")
	  or die "slot $slot stays active";
	$node->safe_psql($db, "SELECT pg_drop_replication_slot('$slot')");
	return;
}

# decode_by_sql(NODE, DATABASE, SLOT, [options =>, settings => SQL]): by pg_logical_slot_peek_changes.
sub decode_by_sql
{
	my ($node, $db, $slot, %args) = @_;
	my %options = %{ $args{options} // {} };
	my $binary = ($options{framing} // '') eq 'frames';
	my $file = output_file('out');
	my $sql = $args{settings} // '';
	my $arguments = "'$slot', NULL, NULL" . option_array(%options);

	# hex, since psql drops characters of text that it does not like to print (U+FFFF and such)
	$sql .= $binary
	  ? "SELECT encode(data, 'hex') FROM pg_logical_slot_peek_binary_changes($arguments);"
	  : "SELECT encode(convert_to(data, getdatabaseencoding()), 'hex') FROM pg_logical_slot_peek_changes($arguments);";
	my $text = run_sql($node, $db, $sql, %args);
	$text =~ s/([0-9a-f]+)(?:\n|\z)/pack('H*', $1) . "\n"/ge;
	append_to_file($file, $text);
	return $file;
}

# ------------------------------------------------------------------------------------------------
# Records
# ------------------------------------------------------------------------------------------------

sub slurp_bytes
{
	my ($file) = @_;
	open(my $handle, '<:raw', $file) or die "could not open $file: $!";
	local $/;
	return scalar <$handle>;
}

# read_piece(HANDLE, MOST): what is there to be read, once something is; '' at the end.	PostgreSQL's modules handle
# SIGCHLD, so that whichever process ends or is stopped interrupts sysread().
sub read_piece
{
	my ($handle, $most) = @_;
	while (1)
	{
		my $got = sysread($handle, my $piece, $most);
		return $piece if defined $got;
		die "could not read: $!" unless $!{EINTR};
	}
}

sub read_lines
{
	my ($file) = @_;
	open(my $handle, '<:raw', $file) or die "could not open $file: $!";
	chomp(my @lines = <$handle>);
	return \@lines;
}

# same_files(NAME, EXPECTED, GOT): byte by byte; shows the first lines that differ.
sub same_files
{
	my ($name, $expected, $got) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return pass($name) if -s $expected && slurp_bytes($expected) eq slurp_bytes($got);
	fail($name);
	my ($left, $right) = (read_lines($expected), read_lines($got));
	diag(sprintf('%d lines expected, %d found', scalar @$left, scalar @$right));
	foreach my $i (0 .. ($#$left > $#$right ? $#$left : $#$right))
	{
		my ($l, $r) = ($left->[$i] // '(none)', $right->[$i] // '(none)');
		next if $l eq $r;
		my ($same) = ($l ^ $r) =~ /^(\0*)/;
		my $at = length($same) > 80 ? length($same) - 80 : 0;
		diag("line $i from byte $at, expected: " . substr($l, $at, 400));
		diag("line $i from byte $at, found:    " . substr($r, $at, 400));
		last;
	}
	return 0;
}

# load_records(NODE, DATABASE, FILE, TABLE): a table of the lines, number and text.  No control byte is
# ever in a record, so CSV with such for quote and delimiter takes a line as it is.
sub load_records
{
	my ($node, $db, $file, $table) = @_;
	$node->safe_psql($db, qq(
		CREATE TABLE $table (number bigint GENERATED ALWAYS AS IDENTITY, line text);
		COPY $table (line) FROM '$file'
			WITH (FORMAT csv, DELIMITER E'\\x1f', QUOTE E'\\x1e', ESCAPE E'\\x1e', ENCODING 'UTF8')));
	return;
}

# identities(FILE): of each record [commit_lsn, seq, part] in one string that sorts as they do
sub identities
{
	my ($file) = @_;
	my @found;

	foreach my $line (@{ read_lines($file) })
	{
		# names are not tricky where this is used, so the first "commit_lsn" is the member
		$line =~ m{"commit_lsn":"([0-9A-F]+)/([0-9A-F]+)","seq":([0-9]+)(?:,"part":([0-9]+))?}
		  or die "no identity in: $line";
		push @found, sprintf('%08X/%08X %020d %05d', hex $1, hex $2, $3, $4 // 0);
	}
	return \@found;
}

# Each greater than the one before, so unique as well.
sub strictly_rising
{
	my ($name, $identities) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	foreach my $i (1 .. $#$identities)
	{
		next if $identities->[$i] gt $identities->[ $i - 1 ];
		fail($name);
		diag("record $i has $identities->[$i] after $identities->[$i - 1]");
		return 0;
	}
	return ok(@$identities > 1, $name);
}

# ------------------------------------------------------------------------------------------------
# Chance
# ------------------------------------------------------------------------------------------------

# The seed is fixed, printed, and CDC_SEED in the environment replaces it ("random" for a new one).
sub seed_random
{
	my ($seed) = @_;

	$seed = $ENV{CDC_SEED} if defined $ENV{CDC_SEED};
	$seed = int(rand(2**31)) if $seed eq 'random';
	note("seed $seed; CDC_SEED=$seed repeats this run");
	srand($seed);
	return $seed;
}

sub pick
{
	return $_[ int(rand(@_)) ];
}

# True once in N times.
sub chance
{
	my ($n) = @_;
	return rand() * $n < 1;
}

sub between
{
	my ($low, $high) = @_;
	return $low + int(rand($high - $low + 1));
}

# ------------------------------------------------------------------------------------------------
# Memory
# ------------------------------------------------------------------------------------------------

# Bytes that the process has of its own: shared buffers do not count.
sub memory_of
{
	my ($pid) = @_;
	my $status = slurp_file("/proc/$pid/status");

	$status =~ /^RssAnon:\s+(\d+) kB/m or die "no RssAnon in /proc/$pid/status";
	return $1 * 1024;
}

sub walsender_pid
{
	my ($node, $db, $slot) = @_;
	return $node->safe_psql($db,
		"SELECT active_pid FROM pg_replication_slots WHERE slot_name = '$slot'");
}

1;
