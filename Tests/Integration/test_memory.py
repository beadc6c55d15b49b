"""What a message costs in memory: nothing. Its way neither allocates nor counts references."""

import pytest

from harness.authority import pair
from harness.backends import ScriptedBackend, echo
from harness.counting import CountedEdge, build
from harness.edge import configuration
from harness.wire import tunnel

KIB, MIB = 1 << 10, 1 << 20
# Enough that one of anything for each message stands out from what goes on beside them: a timer
# that wakes, a chunk that a slow moment takes.
WARM_UP, MESSAGES, ALLOWED = 50, 400, 100
SIZES = {"small": 32, "of some receives": 64 * KIB, "large": MIB}


@pytest.fixture(scope="module")
def edge(enter_for_module, tmp_path_factory, localhost):
    backend = enter_for_module(ScriptedBackend(echo))
    listeners = [
        {"address": "127.0.0.1:0"},
        {"address": "127.0.0.1:0", "tls": {"certificates": [pair(localhost)]}},
    ]
    # All that has to be kept up with for a message.
    limits = {
        "message_size": "64MiB", "messages": {"rate": "1000000/s"}, "bytes": {"rate": "10GiB/s"},
    }  # fmt: skip
    route = {"limits": limits, "heartbeat": {"interval": "5s", "timeout": "5s", "to": "both"}}
    library = build(tmp_path_factory.mktemp("counting"))
    settings = configuration(backend.url, listeners=listeners, workers=1, route=route)
    return enter_for_module(CountedEdge(library, settings))


def test_what_is_counted_counts(edge):
    """A connection is made of memory: the counts see it, and see references."""
    grown = edge.growth(lambda: tunnel(edge.addresses[0]).close())
    assert grown["allocations"] > 5 and grown["retains"] > 5, grown
    assert edge.counts()["openssl"] > 100


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
def test_a_message_costs_no_memory(edge, authority, is_tls, size):
    tls = authority.client_context() if is_tls else None
    payload = bytes(size)
    with tunnel(edge.addresses[is_tls], tls=tls) as wire:
        for _ in range(WARM_UP):
            assert wire.echoes(payload)

        def converse():
            for _ in range(MESSAGES):
                assert wire.echoes(payload)

        grown = edge.growth(converse)
    own = {kind: count for kind, count in grown.items() if kind != "openssl"}
    assert max(own.values()) < ALLOWED, own
