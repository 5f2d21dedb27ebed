# An HTTP endpoint, which remembers nothing: each record at least once.
package FaultSink::Http;

use strict;
use warnings;

use parent -norequire, 'FaultSink';

use CdcProxy;
use CdcTest;
use File::Copy qw(copy);
use HttpReceiver;

sub things
{
	return ('server');
}

sub rows_once
{
	return 0;
}

sub programs
{
	return ('python3');
}

sub exactly_once
{
	return 0;
}

# What a killed receiver was just writing down, it has not answered: the end of a torn line is not there.
sub start
{
	my ($self) = @_;

	if (!$self->{receiver})
	{
		$self->{receiver} = HttpReceiver->new;
		$self->{proxy} = CdcProxy->new_tcp("127.0.0.1:$self->{receiver}{port}");
		return;
	}
	my $records = slurp_bytes($self->{receiver}->records_file);
	truncate($self->{receiver}->records_file, rindex($records, "\n") + 1) or die "could not truncate: $!";
	$self->{receiver}->start;
	return;
}

sub stop
{
	my ($self) = @_;
	$self->{receiver}->stop('TERM') if $self->{receiver};
	return;
}

sub crash
{
	my ($self) = @_;
	$self->{receiver}->stop('KILL');
	return;
}

sub pids
{
	my ($self) = @_;
	return ($self->{receiver}{pid});
}

sub uri
{
	my ($self) = @_;
	return "http://127.0.0.1:$self->{proxy}{port}$self->{receiver}{path}";
}

sub delivered
{
	my ($self, $node) = @_;
	my $to = output_file('delivered');
	copy($self->{receiver}->records_file, $to) or die "could not copy: $!";
	return $to;
}

1;
