"""Fixtures of tests about rooms, for the modules that import them."""

import itertools

import pytest

from harness.edge import Edge
from harness.rooms import configuration

names = (f"room-{number}" for number in itertools.count(1))


@pytest.fixture(scope="module")
def edge(enter_for_module):
    return enter_for_module(Edge(configuration(workers=2)))


@pytest.fixture
def path():
    """The path of a room that no other test knows."""
    return f"/rooms/{next(names)}"


@pytest.fixture
def url(edge, path):
    return edge.url(path)


@pytest.fixture
def start(enter):
    """`start(rooms, **settings)`: an edge with rooms, which reloads when it is told to."""

    def run(rooms=None, **settings):
        settings = configuration(rooms, **settings)
        edge = enter(Edge(settings, options=["--no-watch"]))
        edge.settings = settings
        return edge

    return run
