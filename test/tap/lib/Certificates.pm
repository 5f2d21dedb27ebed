# Certificates: an authority, and certificates of it, by the openssl program.
package Certificates;

use strict;
use warnings;

use Exporter qw(import);
use PostgreSQL::Test::Utils;

our @EXPORT = qw(make_certificates);

# make_certificates(NAME...): a folder with ca.pem, and NAME.pem and NAME.key for each; all of localhost
sub make_certificates
{
	my (@names) = @_;
	my $folder = PostgreSQL::Test::Utils::tempdir();
	my @key = qw(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes);

	append_to_file("$folder/san", "subjectAltName=DNS:localhost\n");
	openssl('req', '-x509', @key, '-days', '2', '-subj', '/CN=test authority',
		'-keyout', "$folder/ca.key", '-out', "$folder/ca.pem");
	foreach my $name (@names)
	{
		openssl('req', @key, '-subj', "/CN=$name", '-keyout', "$folder/$name.key", '-out', "$folder/$name.csr");
		openssl('x509', '-req', '-in', "$folder/$name.csr", '-CA', "$folder/ca.pem", '-CAkey', "$folder/ca.key",
			'-CAcreateserial', '-days', '2', '-extfile', "$folder/san", '-out', "$folder/$name.pem");
	}
	return $folder;
}

sub openssl
{
	my @command = ('openssl', @_);
	my ($stdout, $stderr) = run_command(\@command);

	die "@command failed: $stderr" if $?;
	return;
}

1;
