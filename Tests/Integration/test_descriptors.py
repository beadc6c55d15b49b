"""Out of descriptors: refuse, keep what is there, do not spin, recover."""

import threading

from harness.backends import ScriptedBackend
from harness.conditions import eventually
from harness.edge import Edge, configuration
from harness.refusals import check_refusal
from harness.wire import connect, tunnel, upgrade_head

DESCRIPTORS = 200
CLIENTS = 300


def test_exhaustion_and_recovery(enter):
    backend = enter(ScriptedBackend())
    edge = enter(Edge(configuration(backend.url, workers=2), descriptors=DESCRIPTORS))
    steady = [tunnel(edge.address) for _ in range(10)]

    # More clients than descriptors, all at once and all still there.
    wires = [enter(connect(edge.address)) for _ in range(CLIENTS)]
    for wire in wires:
        wire.send(upgrade_head())
    answers = []
    for wire in wires:
        wire.socket.settimeout(1)
        try:
            answers.append(wire.read_response())
        except (TimeoutError, EOFError, ConnectionResetError):
            answers.append(None)
            assert all(wire.echoes() for wire in steady), "a tunnel that was there suffered"
    refused = [answer for answer in answers if answer and answer.status != 101]
    assert refused, "nobody was refused"
    for answer in refused:
        check_refusal(answer, 503)
        assert "Retry-After" in answer

    assert all(wire.echoes() for wire in steady), "a tunnel that was there suffered"

    # A second's processor time while nothing happens: a loop that cannot accept must not spin.
    before = edge.processor_seconds
    threading.Event().wait(1)
    assert edge.processor_seconds - before < 0.25

    for wire in wires:
        wire.close()
    eventually(lambda: is_admitted(edge), "upgrades to be admitted again")
    assert all(wire.echoes() for wire in steady)
    for wire in steady:
        wire.close()


def is_admitted(edge):
    try:
        with connect(edge.address) as wire:
            wire.socket.settimeout(2)
            return wire.upgrade().status == 101
    except (OSError, EOFError):
        return False
