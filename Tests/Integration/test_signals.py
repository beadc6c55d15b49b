"""SIGTERM and SIGINT: stop accepting, give tunnels their grace, leave with 0."""

import signal
import time

import pytest

from harness.backends import ScriptedBackend
from harness.conditions import eventually
from harness.edge import Edge, configuration
from harness.wire import connect, is_refused, tunnel

TUNNELS = 12
BOTH = [signal.SIGTERM, signal.SIGINT]


@pytest.fixture
def backend(enter):
    return enter(ScriptedBackend())


def most_are_open(wires):
    """Whether few have been told to end: the closes are spread over the grace."""
    return sum(wire.is_open() for wire in wires) > len(wires) // 2


@pytest.mark.parametrize("number", BOTH)
def test_without_tunnels(enter, backend, number):
    edge = enter(Edge(configuration(backend.url, shutdown_grace="30s")))
    edge.signal(number)
    assert edge.wait_for_exit(5) == 0


@pytest.mark.parametrize("number", BOTH)
def test_the_last_tunnel_ends_the_grace(enter, backend, number):
    edge = enter(Edge(configuration(backend.url, shutdown_grace="60s")))
    wires = [tunnel(edge.address) for _ in range(TUNNELS)]
    edge.signal(number)
    eventually(lambda: is_refused(edge.address), "new connections to be refused", 3)
    assert most_are_open(wires), "the grace was not given"
    for wire in wires:
        wire.close()
    assert edge.wait_for_exit(5) == 0
    assert len(edge.records("tunnel")) == TUNNELS


def test_the_grace_ends(enter, backend):
    edge = enter(Edge(configuration(backend.url, shutdown_grace="2s")))
    wires = [tunnel(edge.address) for _ in range(TUNNELS)]
    begin = time.monotonic()
    edge.signal()
    assert most_are_open(wires)
    assert edge.wait_for_exit(8) == 0
    assert 1.0 < time.monotonic() - begin < 6
    for wire in wires:
        wire.read_to_end()
        wire.close()
    records = edge.records("tunnel")
    assert [record["closed_by"] for record in records] == ["edge"] * TUNNELS
    assert [record["reason"] for record in records] == ["shutdown"] * TUNNELS


def test_a_client_without_a_request_does_not_hold_it_up(enter, backend):
    limits = {"handshake_timeout": "20s"}
    edge = enter(Edge(configuration(backend.url, shutdown_grace="2s", limits=limits)))
    with connect(edge.address) as wire:
        wire.send(b"GET / HT")
        edge.signal()
        assert edge.wait_for_exit(8) == 0


@pytest.mark.parametrize("number", BOTH)
def test_a_second_signal_does_not_wait(enter, backend, number):
    edge = enter(Edge(configuration(backend.url, shutdown_grace="60s")))
    wires = [enter(tunnel(edge.address)) for _ in range(TUNNELS)]
    edge.signal(number)
    eventually(lambda: is_refused(edge.address), "the first signal to work", 3)
    assert most_are_open(wires)

    def is_over_when_told_again():
        edge.signal(number)
        return edge.process.poll() is not None

    eventually(is_over_when_told_again, "a later signal to end it", 3)
    edge.wait_for_exit(2)


def test_a_port_is_free_for_the_next_process_at_once(enter, backend):
    """Tunnels of the last process do not keep the next from binding."""
    first = enter(Edge(configuration(backend.url, shutdown_grace="60s")))
    address = first.address
    wires = [enter(tunnel(address)) for _ in range(TUNNELS)]
    first.signal()
    eventually(lambda: is_refused(address), "the listener to close", 3)
    settings = configuration(backend.url, listeners=[{"address": address}])
    second = enter(Edge(settings))
    with tunnel(second.address) as other:
        assert other.echoes()
    assert most_are_open(wires)
