"""Fixtures of tests about ordinary requests, for the modules that import them."""

import pytest

from harness.edge import Edge
from harness.http_clients import forwarding
from harness.http_recorder import Recorder, answered


@pytest.fixture
def through(enter):
    """`through(answer, …)` is an edge before a recorder, which is its `server`."""

    def start(answer=lambda request: answered(), **settings):
        server = enter(Recorder(answer))
        edge = enter(Edge(forwarding(server.url, **settings)))
        edge.server = server
        return edge

    return start


def web(edge, target="/"):
    return edge.url(target, scheme="http")
