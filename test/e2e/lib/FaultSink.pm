# FaultSink: the sinks as the fault runner sees them: a server that can die, and what it has got.
#
# A sink is an object of a package FaultSink::NAME, in FaultSink/NAME.pm, made with a folder of its own:
#	missing				why it cannot be had here, or undef
#	programs			that its server and delivered() take
#	things				what it has that can fail (FaultPlan): "server", "disk"
#	start, stop, crash	its server; crash is kill -9; pids are its processes
#	proxy				the CdcProxy before it
#	uri					for --sink: through the proxy
#	delivered(NODE)		a file of what has arrived, a record on each line, in the order of its arrival
#	exactly_once		else every record at least once
#	rows_once			each existing row, too
#	resumes_snapshot	a client that is started again goes on with existing rows, or begins with them anew
#	last_snapshot		what of the options a client is started with that finds existing rows delivered
#	stored_as_jsonb		delivered() has the records as the type jsonb writes them
package FaultSink;

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);

use CdcStream ();

my $folder = dirname(abs_path(__FILE__)) . '/FaultSink';

# make(NAME, FOLDER)
sub make
{
	my ($name, $dir) = @_;
	my $package = ucfirst $name;

	require "$folder/$package.pm";
	my $self = "FaultSink::$package"->new($dir);
	$self->{name} = $name;
	return $self;
}

# The client is asked: it knows what it was built with.
sub missing
{
	my ($self) = @_;
	my $client = CdcStream::client_binary();
	my $built_in = qx("$client" --version);

	return "cdc_client is built without $self->{name}" if $built_in !~ /^\s+\Q$self->{name}\E\s/m;
	foreach my $program ($self->programs)
	{
		return "there is no program $program" unless grep { -x "$_/$program" } split(/:/, $ENV{PATH});
	}
	return undef;
}

# What a sink is like that has no server of its own.
sub new { my ($class, $dir) = @_; return bless { dir => $dir }, $class }
sub name { my ($self) = @_; return $self->{name} }
sub programs { return () }
sub things { return () }
sub start { return }
sub stop { return }
sub pids { return () }
sub proxy { my ($self) = @_; return $self->{proxy} }
sub exactly_once { return 1 }
sub rows_once { return 1 }
sub resumes_snapshot { return 1 }
sub last_snapshot { return ('--snapshot=initial', '--max-rate=1000000') }
sub stored_as_jsonb { return 0 }

1;
