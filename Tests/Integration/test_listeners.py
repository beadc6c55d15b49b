"""Listeners of every kind, and upstreams over unix sockets."""

import os
import socket
import stat

from harness.backends import ScriptedBackend
from harness.edge import Edge, configuration
from harness.refusals import check_refusal
from harness.wire import ask, tunnel, upgrade_head


def test_several_listeners_in_the_order_of_the_file(enter, tmp_path):
    backend = enter(ScriptedBackend())
    path = str(tmp_path / "edge.sock")
    listeners = [
        {"address": "127.0.0.1:0"}, {"address": "[::1]:0"}, {"address": f"unix:{path}"},
    ]  # fmt: skip
    edge = enter(Edge(configuration(backend.url, listeners=listeners)))
    assert edge.addresses[0].startswith("127.0.0.1:")
    assert edge.addresses[1].startswith("[::1]:")
    assert edge.addresses[2] == f"unix:{path}"
    for address in edge.addresses:
        with tunnel(address) as wire:
            assert wire.echoes()
    record = edge.wait_for("tunnel", client="::1")
    assert record["upstream"]


def test_every_worker_accepts_on_one_port(enter):
    backend = enter(ScriptedBackend())
    edge = enter(Edge(configuration(backend.url, workers=4)))
    assert len(edge.addresses) == 1
    tunnels = [tunnel(edge.address) for _ in range(40)]
    assert all(wire.echoes() for wire in tunnels)
    for wire in tunnels:
        wire.close()


def test_a_socket_file_left_behind_is_replaced(enter, tmp_path):
    path = str(tmp_path / "edge.sock")
    left = socket.socket(socket.AF_UNIX)
    left.bind(path)
    left.close()
    backend = enter(ScriptedBackend())
    edge = enter(Edge(configuration(backend.url, listeners=[{"address": f"unix:{path}"}])))
    with tunnel(edge.address) as wire:
        assert wire.echoes()


def test_a_file_that_is_no_socket_is_left_alone(enter, tmp_path):
    path = tmp_path / "precious.txt"
    path.write_text("precious")
    edge = Edge(
        configuration("ws://127.0.0.1:9", listeners=[{"address": f"unix:{path}"}]),
        awaits_ready=False,
    )
    with edge:
        assert edge.wait_for_exit() == 1
    assert path.read_text() == "precious"


def test_the_socket_file_goes_with_the_process(enter, tmp_path):
    path = str(tmp_path / "edge.sock")
    backend = enter(ScriptedBackend())
    edge = enter(Edge(configuration(backend.url, listeners=[{"address": f"unix:{path}"}])))
    assert stat.S_ISSOCK(os.stat(path).st_mode)
    edge.signal()
    assert edge.wait_for_exit() == 0
    assert not os.path.exists(path)


def test_unix_upstream(enter, tmp_path):
    backend = enter(ScriptedBackend(path=str(tmp_path / "backend.sock")))
    edge = enter(Edge(configuration(backend.url)))
    with tunnel(edge.address, "/room") as wire:
        assert wire.echoes(b"x" * 100_000)
    assert backend.last_request().target == "/room"


def test_unix_upstream_that_is_not_there(enter, tmp_path):
    edge = enter(Edge(configuration(f"unix:{tmp_path / 'missing.sock'}")))
    check_refusal(ask(edge.address, upgrade_head()), 502)


def test_an_address_that_is_taken(enter):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        settings = configuration("ws://127.0.0.1:9", listeners=[{"address": address}])
        with Edge(settings, awaits_ready=False) as edge:
            assert edge.wait_for_exit() == 1
    assert address in edge.text
