# CdcLaunch: runs one test of PostgreSQL::Test by hand, with what is built in the source tree.
package CdcLaunch;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);

our @EXPORT = qw(launch);

# launch(FILE, [NAME => VALUE of environment]...): whether it passed.  Its folder stays behind where it did not.
sub launch
{
	my ($file, %more) = @_;
	my $pg_config = $ENV{PG_CONFIG} // 'pg_config';
	my $test = abs_path($file) // die "there is no \"$file\"\n";

	chomp(my $bindir = qx("$pg_config" --bindir));
	chomp(my $pgxs = qx("$pg_config" --pgxs));
	die "\"$pg_config\" does not run: PG_CONFIG in the environment names another\n" if $? != 0;
	$pgxs = dirname(dirname($pgxs));

	# PostgreSQL does not run as root
	my $dir = tempdir('cdc_test.XXXXXX', TMPDIR => 1, CLEANUP => 0);
	my @unprivileged;
	if ($> == 0)
	{
		system('chown', 'postgres:', $dir) == 0 or die "cannot give \"$dir\" to user postgres\n";
		@unprivileged = ('setpriv', '--reuid=postgres', '--regid=postgres', '--init-groups', 'env', "HOME=$dir");
	}
	local %ENV = %ENV;
	delete @ENV{qw(PGHOST PGUSER PGDATABASE PGSERVICE CDC_SEED)};
	%ENV = (%ENV, %more, PERL5LIB => join(':', "$pgxs/test/perl", $ENV{PERL5LIB} // ()), PATH => "$bindir:$ENV{PATH}",
		PG_REGRESS => "$pgxs/test/regress/pg_regress", PGPORT => 65432, TESTDIR => $dir, TESTDATADIR => $dir, TESTLOGDIR => "$dir/log");
	chdir($dir) or die "cannot enter \"$dir\": $!\n";
	my $status = system(@unprivileged, $^X, $test);
	chdir('/');
	if ($status != 0)
	{
		print "# the servers' folders and logs are in $dir\n";
		return 0;
	}
	remove_tree($dir);
	return 1;
}

1;
