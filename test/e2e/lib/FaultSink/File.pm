# A file that is rotated, and a disk that is full now and then.
package FaultSink::File;

use strict;
use warnings;

use parent -norequire, 'FaultSink';

use CdcStream;
use CdcTest;
use PostgreSQL::Test::Utils;

sub path
{
	my ($self) = @_;
	return "$self->{dir}/bank.ndjson";
}

sub uri
{
	my ($self) = @_;
	return 'file://' . $self->path . '?rotate=1MiB';
}

# A running client can no more make the file longer, as on a full disk.
sub things
{
	return ('disk');
}

sub full
{
	my ($self, $pid) = @_;
	my $size = (-s $self->path) // 0;
	return system_log('prlimit', "--pid=$pid", "--fsize=$size:") == 0;
}

sub not_full
{
	my ($self, $pid) = @_;
	return system_log('prlimit', "--pid=$pid", '--fsize=unlimited:') == 0;
}

sub delivered
{
	my ($self, $node) = @_;
	my $to = output_file('delivered');

	append_to_file($to, slurp_bytes($_)) foreach bank_files($self->path);
	return $to;
}

1;
