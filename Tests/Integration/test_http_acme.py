"""A certificate is issued to a client that puts its challenges where the edge serves them."""

import pytest
from cryptography import x509

from harness.edge import Edge
from harness.http_acme import CertificateAuthority, Names, certbot
from harness.http_clients import forwarding

NAME = "shop.example.com"


@pytest.mark.parametrize("redirects", [False, True], ids=["alone", "beside the redirect"])
def test_certbot(enter, authority, localhost, tmp_path, redirects):
    """RFC 8555 from order to certificate, by certbot and Pebble."""
    challenges = tmp_path / "web/.well-known/acme-challenge"
    challenges.mkdir(parents=True)
    listener = {"acme_challenges": str(challenges), "redirect_to_https": redirects}
    edge = enter(Edge(forwarding("http://127.0.0.1:1", listener=listener)))
    issuer = enter(CertificateAuthority(enter(Names()), localhost, edge.port))
    file = certbot(issuer, authority.ca, tmp_path, tmp_path / "web", NAME)
    certificate = x509.load_pem_x509_certificate(file.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [NAME]
    record = edge.wait_for("request", status=200)
    assert record["target"].startswith("/.well-known/acme-challenge/")
    assert record["host"].startswith(NAME)
