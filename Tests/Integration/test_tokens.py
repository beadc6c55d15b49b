"""JSON Web Tokens: where they may travel, which are believed, and where they never appear."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from harness import tokens
from harness.authority import public_pem
from harness.backends import ScriptedBackend, switching
from harness.edge import Edge, configuration, sluice
from harness.refusals import check_refusal
from harness.wire import ask, tunnel, upgrade_head

ISSUER, AUDIENCE = "https://id.example.com", "chat"
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
SOURCES = ["authorization", "subprotocol", "cookie:session", "query:access_token"]
GOOD = {"iss": ISSUER, "aud": AUDIENCE}


def jwt_rules(*keys, **more):
    return {
        "keys": list(keys) or [{"algorithm": "HS256", "secret": tokens.SECRET}],
        "issuer": ISSUER, "audience": AUDIENCE, "token_from": SOURCES,
        "forward_claims": {"sub": "X-Auth-Subject"},
    } | more  # fmt: skip


@pytest.fixture(scope="module")
def backend(enter_for_module):
    def script(wire):
        fields = {}
        if "chat" in wire.request.octets.decode():
            fields["Sec_WebSocket_Protocol"] = "chat"
        wire.send(switching(wire.request, **fields))
        wire.read_to_end()

    return enter_for_module(ScriptedBackend(script))


@pytest.fixture(scope="module")
def edge(enter_for_module, backend):
    settings = configuration(backend.url, route={"auth": {"jwt": jwt_rules()}})
    return enter_for_module(Edge(settings))


def carried_by(source, token):
    """Target and fields of a request that carries `token` there, among bystanders."""
    return {
        "authorization": ("/room?x=1", [("Authorization", f"Bearer {token}")]),
        "authorization in lower case": ("/room", [("authorization", f"bearer {token}")]),
        "subprotocol": ("/room", [("Sec-WebSocket-Protocol", f"bearer, {token}, chat")]),
        "subprotocol over lines": (
            "/room",
            [("Sec-WebSocket-Protocol", "bearer"), ("Sec-WebSocket-Protocol", f"{token}, chat")],
        ),
        "cookie": ("/room", [("Cookie", f"a=1; session={token}; b=2")]),
        "query": (f"/room?x=1&access_token={token}&y=2", []),
    }[source]


CARRIERS = [
    "authorization", "authorization in lower case", "subprotocol", "subprotocol over lines",
    "cookie", "query",
]  # fmt: skip


@pytest.mark.parametrize("source", CARRIERS)
def test_a_good_token_from_every_source(edge, backend, source):
    token = tokens.hs256(tokens.claims(**GOOD))
    target, fields = carried_by(source, token)
    with tunnel(edge.address, target, fields=fields) as wire:
        request = backend.last_request()
        assert request["X-Auth-Subject"] == "alice"
        assert token.encode() not in request.octets, "the token reached the backend"
        if source.startswith("subprotocol"):
            assert request["Sec-WebSocket-Protocol"] == "chat"
            assert wire.response["Sec-WebSocket-Protocol"] == "chat"
    assert edge.wait_for("tunnel", request_id=request["X-Request-Id"])["subject"] == "alice"
    assert token not in edge.text, "the token is in the log"


def test_what_stands_beside_a_token_stays(edge, backend):
    token = tokens.hs256(tokens.claims(**GOOD))
    for source in ("cookie", "query", "authorization"):
        target, fields = carried_by(source, token)
        with tunnel(edge.address, target, fields=fields):
            request = backend.last_request()
        if source == "cookie":
            assert request["Cookie"] == "a=1; b=2"
        if source == "query":
            assert request.target == "/room?x=1&y=2"
            record = edge.wait_for("tunnel", request_id=request["X-Request-Id"])
            assert record["target"] == "/room?x=1&access_token=[redacted]&y=2"
        if source == "authorization":
            assert "Authorization" not in request


def test_every_place_is_cleaned_not_only_the_one_used(edge, backend):
    token = tokens.hs256(tokens.claims(**GOOD))
    fields = [
        ("Authorization", f"Bearer {token}"),
        ("Cookie", f"session={token}"),
        ("Sec-WebSocket-Protocol", f"bearer, {token}"),
    ]
    with tunnel(edge.address, f"/room?access_token={token}", fields=fields):
        request = backend.last_request()
    assert token.encode() not in request.octets
    assert request.target == "/room"
    assert "Cookie" not in request
    assert "Sec-WebSocket-Protocol" not in request


def test_the_marker_is_the_subprotocol_when_there_is_no_other(edge):
    """A browser that offered subprotocols and gets none fails the connection."""
    token = tokens.hs256(tokens.claims(**GOOD))
    with tunnel(edge.address, fields=[("Sec-WebSocket-Protocol", f"bearer, {token}")]) as wire:
        assert wire.response["Sec-WebSocket-Protocol"] == "bearer"


@pytest.mark.parametrize("name", ["X-Auth-Subject", "x-auth-subject", "X_Auth_Subject"])
def test_identity_sent_by_the_client_is_removed(edge, backend, name):
    token = tokens.hs256(tokens.claims(**GOOD))
    fields = [("Authorization", f"Bearer {token}"), (name, "root"), (name, "admin")]
    with tunnel(edge.address, fields=fields):
        request = backend.last_request()
    assert request["X-Auth-Subject"] == "alice"
    assert b"root" not in request.octets and b"admin" not in request.octets


def test_identity_sent_by_the_client_is_removed_without_a_value_to_set(edge, backend):
    token = tokens.hs256(tokens.claims(**GOOD, sub=None))
    fields = [("Authorization", f"Bearer {token}"), ("X-Auth-Subject", "root")]
    with tunnel(edge.address, fields=fields):
        assert "X-Auth-Subject" not in backend.last_request()


def confused():
    """An RSA public key used as an HMAC secret."""
    return tokens.hs256(tokens.claims(**GOOD), secret=public_pem(RSA_KEY).decode())


def cut(token):
    return token.rpartition(".")[0] + "."


BAD = {
    "another secret": tokens.hs256(tokens.claims(**GOOD), secret="x" * 40),
    "expired": tokens.hs256(tokens.claims(**GOOD, exp=1_000_000_000)),
    "not valid yet": tokens.hs256(tokens.claims(**GOOD, nbf=99_999_999_999)),
    "another issuer": tokens.hs256(tokens.claims(iss="https://evil.example", aud=AUDIENCE)),
    "no issuer": tokens.hs256(tokens.claims(aud=AUDIENCE)),
    "no signature": cut(tokens.hs256(tokens.claims(**GOOD))),
    "alg none": tokens.unsigned(tokens.claims(**GOOD)),
    "another algorithm": tokens.rs256(tokens.claims(**GOOD), RSA_KEY),
    "two parts": "abc.def",
    "not base64": "a!.b!.c!",
    "very long": "a" * 6_000 + ".b.c",
}


@pytest.mark.parametrize("token", BAD.values(), ids=BAD)
def test_bad_tokens(edge, backend, token):
    seen = backend.accepted
    response = ask(edge.address, upgrade_head(fields=[("Authorization", f"Bearer {token}")]))
    check_refusal(response, 401)
    assert response["WWW-Authenticate"].startswith('Bearer error="invalid_token"')
    assert backend.accepted == seen
    edge.wait_for("request", request_id=response["X-Request-Id"], status=401)
    assert token not in edge.text


@pytest.mark.parametrize("audience", ["billing", ["billing", "mail"], None])
def test_a_token_for_another_audience(edge, audience):
    token = tokens.hs256(tokens.claims(iss=ISSUER, aud=audience))
    response = ask(edge.address, upgrade_head(fields=[("Authorization", f"Bearer {token}")]))
    assert response.status in (401, 403) if audience is None else response.status == 403
    check_refusal(response, response.status)


def test_an_audience_among_several(edge):
    token = tokens.hs256(tokens.claims(iss=ISSUER, aud=["mail", AUDIENCE]))
    tunnel(edge.address, fields=[("Authorization", f"Bearer {token}")]).close()


@pytest.mark.parametrize("fields", [[], [("Authorization", "Basic YTpi")]], ids=["none", "basic"])
def test_no_token(edge, fields):
    """RFC 6750 §3.1: without a token the challenge names no error."""
    check_refusal(ask(edge.address, upgrade_head(fields=fields)), 401, WWW_Authenticate="Bearer")


@pytest.fixture
def accepts(enter, backend, tmp_path):
    """`accepts(rules, token)` is the status that an edge with these jwt rules answers."""

    def status(rules, *all_tokens):
        edge = enter(Edge(configuration(backend.url, route={"auth": {"jwt": rules}})))
        heads = [upgrade_head(fields=[("Authorization", f"Bearer {t}")]) for t in all_tokens]
        return [ask(edge.address, head).status for head in heads]

    return status


def test_keys_in_pem_files(accepts, tmp_path):
    rules = []
    for name, algorithm, key in (("rsa", "RS256", RSA_KEY), ("ec", "ES256", EC_KEY)):
        path = tmp_path / f"{name}.pem"
        path.write_bytes(public_pem(key))
        rules.append({"algorithm": algorithm, "public_key": f"file:{path}"})
    good = tokens.claims(**GOOD)
    stranger = rsa.generate_private_key(65537, 2048)
    answers = accepts(
        jwt_rules(*rules), tokens.rs256(good, RSA_KEY), tokens.es256(good, EC_KEY),
        tokens.rs256(good, stranger), confused(), tokens.hs256(good),
    )  # fmt: skip
    assert answers == [101, 101, 401, 401, 401]


def test_keys_in_a_jwks_file(accepts, tmp_path):
    path = tmp_path / "jwks.json"
    keys = [tokens.rsa_jwk(RSA_KEY, "first"), tokens.ec_jwk(EC_KEY, "second")]
    path.write_text(json.dumps({"keys": keys}))
    rules = jwt_rules(jwks={"file": str(path)})
    del rules["keys"]
    good = tokens.claims(**GOOD)
    answers = accepts(
        rules,
        tokens.rs256(good, RSA_KEY, kid="first"), tokens.es256(good, EC_KEY, kid="second"),
        tokens.rs256(good, RSA_KEY), tokens.rs256(good, RSA_KEY, kid="second"),
        tokens.es256(good, EC_KEY, kid="unknown"),
    )  # fmt: skip
    assert answers == [101, 101, 101, 401, 401]


def test_sluice_token(accepts):
    made = sluice(
        "token", "--secret", tokens.SECRET, "--subject", "bob", "--audience", AUDIENCE,
        "--expires", "1h",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    content = tokens.payload_of(token)
    assert content["sub"] == "bob"
    assert content["exp"] - tokens.claims()["iat"] in range(3_590, 3_611)
    rules = jwt_rules()
    del rules["issuer"]
    assert accepts(rules, token) == [101]


def test_sluice_token_from_a_configuration(enter, backend):
    edge = enter(Edge(configuration(backend.url, route={"auth": {"jwt": jwt_rules()}})))
    made = sluice("token", "--config", str(edge.file), "--route", "chat", "--subject", "carol")
    assert made.returncode == 0, made.stderr
    fields = [("Authorization", f"Bearer {made.stdout.strip()}")]
    tunnel(edge.address, fields=fields).close()
    assert backend.last_request()["X-Auth-Subject"] == "carol"


def test_api_keys(enter, backend, tmp_path):
    (tmp_path / "keys.txt").write_text("key-from-the-file\n")
    rules = {"header": "X-API-Key", "keys": ["key-in-place", f"file:{tmp_path / 'keys.txt'}"]}
    edge = enter(Edge(configuration(backend.url, route={"auth": {"api_keys": rules}})))
    for key in ("key-in-place", "key-from-the-file"):
        with tunnel(edge.address, fields=[("x-api-key", key)]):
            assert key.encode() not in backend.last_request().octets
    for fields in ([], [("X-API-Key", "key-in-plac")], [("X-API-Key", "")]):
        response = ask(edge.address, upgrade_head(fields=fields))
        check_refusal(response, 401)
        assert "WWW-Authenticate" in response
    assert "key-in-place" not in edge.text and "key-from-the-file" not in edge.text


def test_either_of_two_methods_admits(enter, backend):
    rules = {"jwt": jwt_rules(), "api_keys": {"header": "X-API-Key", "keys": ["the-key"]}}
    edge = enter(Edge(configuration(backend.url, route={"auth": rules})))
    token = tokens.hs256(tokens.claims(**GOOD))
    for fields in ([("X-API-Key", "the-key")], [("Authorization", f"Bearer {token}")]):
        tunnel(edge.address, fields=fields).close()
    check_refusal(ask(edge.address, upgrade_head()), 401)
