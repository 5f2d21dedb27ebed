# CdcFrames: a reader of framing=frames, written from plugin/cdc_protocol.h alone.
package CdcFrames;

use strict;
use warnings;

use CdcTest;
use Exporter qw(import);

our @EXPORT = qw(read_frames lsn_text);

my $message_header_size = 40;
my $frame_header_size = 40;

# read_frames(FILE): of what pg_recvlogical wrote, which puts a newline behind each message, every
# message as { the header's fields, frames => [ { kind, op, part, seq, relation, payload, key,
# old_key, first } ] }; dies where a byte is not as the protocol has it.
sub read_frames
{
	my ($file) = @_;
	my $bytes = slurp_bytes($file);
	my $at = 0;
	my @messages;

	while ($at < length $bytes)
	{
		my $message = read_message_header($bytes, $at);
		$at += $message_header_size;
		# no frame in a test is as long as one whose length begins with a newline
		while (substr($bytes, $at, 1) ne "\n")
		{
			my $frame = read_frame($bytes, $at);
			$at += $frame->{length};
			push @{ $message->{frames} }, $frame;
		}
		$at++;
		die "message without frames before byte $at" unless $message->{frames};
		push @messages, $message;
	}
	return \@messages;
}

sub read_message_header
{
	my ($bytes, $at) = @_;

	die "message header cut off at byte $at" if $at + $message_header_size > length $bytes;
	my ($version, $flags, $reserved, $timeline, $commit_lsn, $end_lsn, $time, $xid, $reserved_too) =
	  unpack('C C n N Q> Q> q> N N', substr($bytes, $at, $message_header_size));
	die "version $version at byte $at" if $version != 1;
	die "flags $flags at byte $at" if $flags & ~3;
	die "reserved bytes are not 0 at byte $at" if $reserved != 0 || $reserved_too != 0;
	return {
		transactional => $flags & 1, tombstones => ($flags & 2) >> 1, timeline => $timeline, commit_lsn => $commit_lsn,
		end_lsn => $end_lsn, time => $time, xid => $xid };
}

sub read_frame
{
	my ($bytes, $at) = @_;

	die "frame header cut off at byte $at" if $at + $frame_header_size > length $bytes;
	my ($length, $kind, $op, $part, $seq, $relation, $payload_length, @keys) =
	  unpack('N a a n Q> N N N N N N', substr($bytes, $at, $frame_header_size));
	die "frame of $length bytes passes the end at byte $at" if $at + $length > length $bytes;
	die "payload passes its frame at byte $at" if $frame_header_size + $payload_length > $length;
	my $whole = substr($bytes, $at, $length);
	return {
		length => $length, kind => $kind, op => $op, part => $part, seq => $seq, relation => $relation,
		payload => substr($whole, $frame_header_size, $payload_length),
		key => pointed_to($whole, @keys[ 0, 1 ]),
		old_key => pointed_to($whole, @keys[ 2, 3 ]),
		key_is_inside => $keys[0] + $keys[1] <= $frame_header_size + $payload_length };
}

sub pointed_to
{
	my ($frame, $offset, $length) = @_;

	return undef if $offset == 0 && $length == 0;
	die "key at $offset of $length bytes is not in its frame"
	  if $offset < $frame_header_size || $length == 0 || $offset + $length > length $frame;
	return substr($frame, $offset, $length);
}

sub lsn_text
{
	my ($lsn) = @_;
	return sprintf('%X/%X', $lsn >> 32, $lsn & 0xffffffff);
}

1;
