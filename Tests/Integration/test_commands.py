"""The command line: check, token, proxy, echo, version, help, exit codes."""

import re
import ssl

import pytest
from websockets.sync.client import connect as websocket

from harness.authority import pair
from harness.backends import ScriptedBackend
from harness.conditions import eventually
from harness.edge import REPOSITORY, Edge, configuration, sluice
from harness.tokens import SECRET, payload_of
from harness.wire import tunnel

# ArgumentParser's exit code for a command line it cannot read (sysexits' EX_USAGE).
USAGE = 64


def check(tmp_path, text, **options):
    path = tmp_path / "sluice.yaml"
    path.write_text(text)
    return sluice("check", "--config", str(path), **options), path


GOOD = """\
listeners:
  - address: 127.0.0.1:0
routes:
  - name: chat
    match: { path: /chat/ }
    origins: any
    upstream: backend
upstreams:
  - name: backend
    servers: ["ws://127.0.0.1:9001"]
"""


def test_check_of_a_good_file(tmp_path):
    made, _ = check(tmp_path, GOOD)
    assert made.returncode == 0, made.stderr


def test_check_reports_every_error_with_its_place(tmp_path):
    text = """\
listeners:
  - address: 127.0.0.1:99999
routes:
  - name: chat
    match: { path: chat }
    origins: any
    idle_timeout: soon
    upstream: backnd
    limit: 3
upstreams:
  - name: backend
    servers: [gopher://127.0.0.1:9001]
    balance: hashish
"""
    made, path = check(tmp_path, text)
    assert made.returncode == 1
    expected = {
        2: r"listeners\[0\]\.address",
        5: r"routes\[0\]\.match\.path",
        7: r"routes\[0\]\.idle_timeout",
        8: r"routes\[0\]\.upstream",
        9: r"routes\[0\]\.limit\b",
        12: r"upstreams\[0\]\.servers\[0\]",
        13: r"upstreams\[0\]\.balance",
    }
    for line, key in expected.items():
        pattern = rf"^{re.escape(str(path))}:{line}: {key}.*: .+$"
        assert re.search(pattern, made.stderr, re.M), f"{pattern}\nnot in\n{made.stderr}"


SINGLE_ERRORS = {
    "no routes": (GOOD.replace("routes:", "route:"), "route"),
    "not YAML": (GOOD + "\n  - [", ""),
    "no origins": (GOOD.replace("    origins: any\n", ""), "origins"),
    "two upstreams of one name": (
        GOOD + "  - { name: backend, servers: [ws://127.0.0.1:9002] }\n", "backend",
    ),
    "an upstream without servers": (GOOD.replace("[\"ws://127.0.0.1:9001\"]", "[]"), "servers"),
    "a size for a duration": (
        GOOD.replace("origins: any", "origins: any\n    idle_timeout: 64KiB"), "idle_timeout",
    ),
    "a key of later": (GOOD + "cluster: { redis: redis://127.0.0.1 }\n", "cluster"),
    "an unset variable": (GOOD.replace("127.0.0.1:9001", "${SLUICE_TEST_UNSET}"), "UNSET"),
    "a certificate that is missing": (
        GOOD.replace(
            "127.0.0.1:0",
            "127.0.0.1:0\n    tls: { certificates: [{ certificate: no.pem, key: no-key.pem }] }",
        ),
        "no.pem",
    ),
    "an unknown algorithm": (
        GOOD.replace(
            "origins: any",
            "origins: any\n    auth: { jwt: { keys: [{ algorithm: HS1, secret: x }],"
            " token_from: [authorization] } }",
        ),
        "algorithm",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "named"), SINGLE_ERRORS.values(), ids=SINGLE_ERRORS)
def test_check_of_a_bad_file(tmp_path, text, named):
    made, path = check(tmp_path, text)
    assert made.returncode == 1, made.stdout + made.stderr
    assert str(path) in made.stderr and named in made.stderr
    assert "Fatal" not in made.stderr


def test_run_refuses_what_check_refuses(tmp_path):
    path = tmp_path / "sluice.yaml"
    path.write_text(GOOD.replace("path: /chat/", "path: chat"))
    made = sluice("run", "--config", str(path))
    assert made.returncode == 1
    assert f"{path}:5: routes[0].match.path: " in made.stderr


def test_variables_and_their_defaults(tmp_path, monkeypatch):
    text = GOOD.replace("127.0.0.1:9001", "127.0.0.1:${SLUICE_TEST_PORT}")
    monkeypatch.setenv("SLUICE_TEST_PORT", "9001")
    assert check(tmp_path, text)[0].returncode == 0
    monkeypatch.delenv("SLUICE_TEST_PORT")
    assert check(tmp_path, text)[0].returncode == 1
    assert check(tmp_path, text.replace("_PORT}", "_PORT:-9001}"))[0].returncode == 0


def test_paths_are_relative_to_the_file(tmp_path, localhost):
    """Not to the directory the command runs in."""
    (tmp_path / "tls").mkdir()
    for source, name in zip(localhost, ("c.pem", "k.pem")):
        (tmp_path / "tls" / name).write_bytes(open(source, "rb").read())
    tls = "127.0.0.1:0\n    tls: { certificates: [{ certificate: tls/c.pem, key: tls/k.pem }] }"
    made, _ = check(tmp_path, GOOD.replace("127.0.0.1:0", tls, 1), cwd="/")
    assert made.returncode == 0, made.stderr


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_file_that_is_missing(tmp_path, command):
    path = tmp_path / "nothing.yaml"
    made = sluice(command, "--config", str(path))
    assert made.returncode == 1
    assert str(path) in made.stderr


def test_the_example_is_good():
    if not (REPOSITORY / "certs/dev/localhost.pem").exists():
        pytest.skip("certs/dev is made by `make run` and by certs/generate")
    made = sluice("check", "--config", str(REPOSITORY / "config/sluice.yaml"))
    assert made.returncode == 0, made.stderr


def test_version():
    made = sluice("version")
    assert made.returncode == 0
    assert re.search(r"\d+\.\d+\.\d+", made.stdout)


def test_help_names_every_command():
    made = sluice("--help")
    assert made.returncode == 0
    for command in ("run", "check", "proxy", "token", "version", "echo"):
        assert re.search(rf"^\s+{command}\b", made.stdout, re.M), made.stdout


@pytest.mark.parametrize("command", ["run", "check", "proxy", "token", "version", "echo"])
def test_help_of_a_command(command):
    made = sluice(command, "--help")
    assert made.returncode == 0
    assert f"sluice {command}" in made.stdout


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["run", "--nonsense"], ["check", "--config"], ["proxy"], ["token"]],
    ids=" ".join,
)
def test_usage_errors(arguments):
    made = sluice(*arguments)
    assert made.returncode == USAGE
    assert made.stdout == "" and "Usage" in made.stderr


@pytest.mark.parametrize("url", ["nonsense", "gopher://127.0.0.1:1", "ws://"])
def test_proxy_to_nonsense(url):
    made = sluice("proxy", "--to", url, "--listen", "127.0.0.1:0")
    assert made.returncode in (1, USAGE)
    assert made.stderr


def test_proxy_without_a_configuration(enter):
    backend = enter(ScriptedBackend())
    arguments = ["proxy", "--to", backend.url, "--listen", "127.0.0.1:0"]
    edge = enter(Edge(arguments=arguments, awaits_ready=False))
    found = eventually(
        lambda: re.search(r"(wss?)://[^\s/:]+:([1-9]\d*)", without(backend.url, edge.text)),
        "the URL that it prints",
    )
    tls = None
    if found[1] == "wss":
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    with tunnel(f"127.0.0.1:{found[2]}", "/any/path", tls=tls) as wire:
        assert wire.echoes()
    assert backend.last_request().target == "/any/path"
    edge.signal()
    assert edge.wait_for_exit() == 0


def without(part, text):
    return text.replace(part, "")


def test_echo(enter):
    edge = enter(Edge(arguments=["echo", "--listen", "127.0.0.1:0", "--json"], awaits_ready=False))
    edge.wait_for("listening")
    with websocket(f"ws://{edge.address}/any", proxy=None) as client:
        for message in ("text", b"binary", "", "x" * 70_000):
            client.send(message)
            assert client.recv(10) == message
        client.send(iter(["in ", "two"]))
        assert client.recv(10) == "in two"
    edge.signal()
    assert edge.wait_for_exit() == 0


def test_token_with_a_secret():
    made = sluice("token", "--secret", SECRET, "--subject", "alice", "--expires", "90s")
    assert made.returncode == 0, made.stderr
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", made.stdout)
    assert payload_of(made.stdout.strip())["sub"] == "alice"


def test_token_for_a_route_without_a_key(tmp_path):
    path = tmp_path / "sluice.yaml"
    path.write_text(GOOD)
    for route in ("chat", "missing"):
        made = sluice("token", "--config", str(path), "--route", route)
        assert made.returncode in (1, USAGE)
        assert route in made.stderr and made.stdout == ""


def test_token_with_a_bad_duration():
    made = sluice("token", "--secret", SECRET, "--expires", "soon")
    assert made.returncode in (1, USAGE)
    assert made.stdout == ""


def test_a_key_that_does_not_fit_its_certificate(tmp_path, authority, localhost):
    other = authority.issue("other.example")
    mixed = pair((localhost[0], other[1]))
    settings = configuration(
        "ws://127.0.0.1:9", listeners=[{"address": "127.0.0.1:0", "tls": {"certificates": [mixed]}}]
    )
    with Edge(settings, awaits_ready=False) as edge:
        assert edge.wait_for_exit() == 1
    assert "listeners[0].tls.certificates[0]" in edge.text
