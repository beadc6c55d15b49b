"""The peers work with each other: a failure here is not the edge's."""

from websockets.sync.client import connect as websocket

from harness.backends import NginxBackend, ScriptedBackend
from harness.wire import connect, tunnel


def check_echo(url):
    with websocket(url, proxy=None, max_size=None) as client:
        for message in ("text", b"binary", b"x" * 300_000):
            client.send(message)
            assert client.recv(10) == message


def test_websockets_against_the_scripted_backend(enter):
    backend = enter(ScriptedBackend())
    with websocket(backend.url, proxy=None, compression=None) as client:
        client.send("scripted")
        assert client.recv(10) == "scripted"


def test_websockets_against_itself(websockets_backend):
    check_echo(websockets_backend.url)


def test_websockets_against_node(node_backend):
    check_echo(node_backend.url)


def test_raw_client_against_both(websockets_backend, node_backend):
    for backend in (websockets_backend, node_backend):
        with tunnel(backend.address) as wire:
            assert wire.echoes(b"z" * 70_000)


def test_raw_client_through_nginx_with_tls(enter, node_backend, authority, localhost):
    nginx = enter(NginxBackend(node_backend.address, localhost))
    with tunnel(nginx.address, tls=authority.client_context()) as wire:
        assert wire.echoes()


def test_unix_scripted_backend(enter, tmp_path):
    backend = enter(ScriptedBackend(path=str(tmp_path / "backend.sock")))
    with connect(backend.url) as wire:
        assert wire.upgrade().status == 101
        assert wire.echoes()
