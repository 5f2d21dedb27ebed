# The examples in doc/format-*.md are what comes out: each sql block is run, each json block is the records since the
# last one, member by member in the same order, and each sh block is a command that works.
use strict;
use warnings;

use Cwd qw(getcwd);
use FindBin;
use lib "$FindBin::RealBin/lib";
use CdcStream;
use CdcTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Wal2json;

my $node = wal2json_node('format_documentation');

check_page('wal2json', 'include-empty-transaction' => 'off');
check_page('cloudevents', source => 'shop');
$node->stop;
done_testing();

# check_page(FORMAT, OPTIONS): a comment <!-- options: a b --> turns these on for the next json block.
sub check_page
{
	my ($format, %options) = @_;
	my $text = slurp_file("$FindBin::RealBin/../../doc/format-$format.md");
	my $folder = PostgreSQL::Test::Utils::tempdir();
	my $db = "shop_$format";
	my ($blocks, $at, $commands) = (0, 0, 0);
	my @on;

	$node->safe_psql('postgres', "CREATE DATABASE $db");
	create_slot($node, $db, $db);
	create_slot($node, $db, 'events') if $format eq 'cloudevents';
	# the slot that is moved from is wal2json's, where there is one
	$node->safe_psql($db, "SELECT pg_create_logical_replication_slot('old_slot', '" . ($missing ? 'cdc_decoder' : 'wal2json') . "')")
	  if $format eq 'wal2json';
	while ($text =~ /^(?:```(sql|json|sh)\n(.*?)^```$|<!-- options: (.*?) -->)/msg)
	{
		my ($kind, $block, $names) = ($1, $2, $3);
		if (defined $names)
		{
			@on = split / /, $names;
		}
		elsif ($kind eq 'sql')
		{
			ok(defined eval { run_sql($node, $db, $block) }, "$format: " . ($block =~ /^(.{1,60})/)[0]) or diag($@);
		}
		elsif ($kind eq 'sh')
		{
			# each command has something to deliver
			$node->safe_psql($db, "INSERT INTO log VALUES ('for command " . ++$commands . "')");
			run_in($folder, $db, $block);
		}
		else
		{
			my @lines = @{ read_lines(decode($node, $db, $db, options => { format => $format, %options, map { $_ => 'on' } @on })) };
			my @wanted = split(/\n/, $block);
			# what the page shows is behind what it has shown, told with the options of before
			my @found = splice(@lines, -@wanted);
			$blocks++;
			is(masked($found[$_]), masked($wanted[$_]), "$format, block $blocks: record " . ($_ + 1)) foreach 0 .. $#wanted;
			$at += @wanted;
			is(scalar @lines + @wanted, $at, "$format, block $blocks: and no other") unless @on;
			@on = ();
		}
	}
	cmp_ok($blocks, '>', 2, "$format: there are examples");
	cmp_ok($commands, '>', 0, "$format: and commands");
	if ($format eq 'wal2json')
	{
		# the commands share a slot: the second has what came after the first
		my @lines = map { scalar(grep { /"action":"I"/ } @{ read_lines("$folder/$_") }) } 'changes.ndjson', 'events.ndjson';
		is_deeply(\@lines, [ 5, 1 ], 'wal2json: what the commands deliver');
	}
	else
	{
		is(scalar @{ read_lines("$folder/events.ndjson") }, $at - 2 + 1, 'cloudevents: what the command delivers');
	}
	return;
}

# What differs from run to run.
sub masked
{
	my ($line) = @_;

	return undef unless defined $line;
	$line =~ s{"(lsn|nextlsn)":"[0-9A-F/]+"}{"$1":"LSN"}g;
	$line =~ s{"xid":("?)[0-9]+}{"xid":$1XID}g;
	$line =~ s{"id":"[0-9A-F]+/[0-9A-F]+-}{"id":"LSN-}g;
	$line =~ s{"sequence":"[0-9A-F]{16}-}{"sequence":"LSN-}g;
	$line =~ s{"(time|timestamp)":"(\d{4}-\d\d-\d\d)([ T])(\d\d:\d\d:\d\d)(\.\d{1,6})?(Z|\+00)"}{"$1":"TIME$3$6"}g;
	return $line;
}

# A command as it stands on the page, but for the names of database and folder.
sub run_in
{
	my ($folder, $db, $command) = @_;
	my $here = getcwd();
	my $client = client_binary();

	$command =~ s/\bshop\b/$db/g;
	$command =~ s{/tmp/}{$folder/}g;
	$command =~ s/^cdc_client stream/$client stream --progress=off/mg;
	chdir($folder);
	my ($stdout, $stderr, $status);
	{
		local %ENV = $node->_get_env();
		($stdout, $stderr) = run_command([ 'bash', '-e', '-c', $command ]);
		$status = $?;
	}
	chdir($here);
	is($status, 0, 'the command: ' . ($command =~ /(--sink\S+|-f \S+)/)[0]) or diag("$command\n$stderr");
	return;
}
