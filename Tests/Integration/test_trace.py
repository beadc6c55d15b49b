"""W3C Trace Context: a traceparent is made or passed on, and its number stands in records."""

import re

import pytest

from harness.backends import ScriptedBackend
from harness.edge import Edge, configuration
from harness.wire import ask, tunnel, upgrade_head

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
FIELD = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-01")


@pytest.fixture
def backend(enter):
    return enter(ScriptedBackend())


def seen(edge, backend, *fields):
    """The request at the server, and the record's trace."""
    with tunnel(edge.address, fields=fields):
        request = backend.last_request()
    record = edge.wait_for("tunnel", request_id=request["X-Request-Id"])
    return request, record.get("trace_id")


def test_one_is_made(enter, backend):
    edge = enter(Edge(configuration(backend.url, trace=True)))
    first, trace = seen(edge, backend)
    assert FIELD.fullmatch(first["traceparent"])[1] == trace and set(trace) != {"0"}
    second, other = seen(edge, backend)
    assert other != trace


def test_one_is_passed_on(enter, backend):
    edge = enter(Edge(configuration(backend.url, trace=True)))
    request, trace = seen(edge, backend, ("traceparent", PARENT), ("tracestate", "a=b"))
    assert trace == TRACE
    found = FIELD.fullmatch(request["traceparent"])
    assert found[1] == TRACE and found[2] != "b7ad6b7169203331"
    assert request["tracestate"] == "a=b"


@pytest.mark.parametrize(
    "fields", [[("traceparent", "nonsense")], [("traceparent", PARENT), ("traceparent", PARENT)]]
)
def test_a_bad_one_is_replaced(enter, backend, fields):
    edge = enter(Edge(configuration(backend.url, trace=True)))
    request, trace = seen(edge, backend, *fields, ("tracestate", "a=b"))
    assert len(request.values("traceparent")) == 1
    assert FIELD.fullmatch(request["traceparent"])[1] == trace != TRACE
    assert "tracestate" not in request


def test_refusals_have_it_too(enter, backend):
    edge = enter(Edge(configuration(backend.url, trace=True)))
    ask(edge.address, upgrade_head(key="bad", fields=[("traceparent", PARENT)]))
    assert edge.wait_for("request", status=400)["trace_id"] == TRACE


def test_without_traces_it_is_the_peers_own(enter, backend):
    edge = enter(Edge(configuration(backend.url)))
    request, trace = seen(edge, backend, ("traceparent", PARENT))
    assert request["traceparent"] == PARENT and trace is None
