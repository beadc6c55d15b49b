"""A certificate authority that lives for one test run."""

import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def write_private(path, key):
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    path.chmod(0o600)


def public_pem(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


class Authority:
    """Issues certificates into a directory. `ca` is the path of its own certificate."""

    def __init__(self, directory, name="sluice test authority"):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = (
            self.builder(self.name, self.key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(self.usage(signs_certificates=True), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        self.ca = self.write(self.directory / "ca.pem", self.certificate)

    def builder(self, subject, key):
        now = datetime.datetime.now(datetime.timezone.utc)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
        )

    @staticmethod
    def usage(*, signs_certificates=False):
        return x509.KeyUsage(
            digital_signature=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, key_cert_sign=signs_certificates,
            crl_sign=signs_certificates, encipher_only=False, decipher_only=False,
        )

    @staticmethod
    def write(path, certificate):
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return str(path)

    def issue(self, name, *names, key=None, client=False):
        """(certificate path, key path) for `name` and further names or addresses."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        purpose = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            self.builder(subject, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(self.usage(), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([general_name(each) for each in (name, *names)]),
                critical=False,
            )
            .sign(self.key, hashes.SHA256())
        )
        stem = name.replace("*", "wildcard") + ("-client" if client else "")
        key_path = self.directory / f"{stem}-key.pem"
        write_private(key_path, key)
        return self.write(self.directory / f"{stem}.pem", certificate), str(key_path)

    def issue_rsa(self, name, *names):
        return self.issue(name, *names, key=rsa.generate_private_key(65537, 2048))

    def client_context(self, *, certificate=None, version=None):
        """A TLS client that trusts this authority; `version` pins TLS 1.2 or 1.3."""
        context = ssl.create_default_context(cafile=self.ca)
        if certificate:
            context.load_cert_chain(*certificate)
        if version:
            context.minimum_version = context.maximum_version = version
        return context


def general_name(text):
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def pair(issued):
    """What a listener's `certificates` list takes."""
    certificate, key = issued
    return {"certificate": certificate, "key": key}
