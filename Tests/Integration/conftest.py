"""Fixtures. What they hand out is in harness/; every server listens on a port of its own.

Chromium is $CHROMIUM, else the first of its names in the path (Debian package `chromium`).
"""

import os
import resource
import signal
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import browser  # noqa: E402
from harness.authority import Authority  # noqa: E402
from harness.backends import NodeBackend, WebSocketsBackend  # noqa: E402
from harness.ends import Tunnels  # noqa: E402

DESCRIPTORS = 20_000


def pytest_configure():
    """2,000 tunnels need descriptors; children inherit what is set here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
            return
        except (ValueError, PermissionError):
            pass
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@pytest.fixture
def enter():
    """`enter(thing)` starts a context manager that ends with the test."""
    with ExitStack() as stack:
        yield stack.enter_context


@pytest.fixture(scope="module")
def enter_for_module():
    """`enter_for_module(thing)` starts a context manager that ends with the file's tests."""
    with ExitStack() as stack:
        yield stack.enter_context


@pytest.fixture
def tunnels(enter):
    """`tunnels(**settings)` starts an edge whose tunnels the test holds at both ends."""
    return lambda **settings: enter(Tunnels(**settings))


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def localhost(authority):
    """(certificate, key) for localhost and the loopback addresses."""
    return authority.issue("localhost", "127.0.0.1", "::1")


@pytest.fixture(scope="session")
def websockets_backend():
    with WebSocketsBackend() as backend:
        yield backend


@pytest.fixture(scope="session")
def node_backend():
    with NodeBackend() as backend:
        yield backend


@pytest.fixture(scope="session")
def chromium():
    """The path of a Chromium; tests that need one fail where there is none."""
    found = browser.find(os.environ.get("CHROMIUM"))
    assert found, "no Chromium in the path: install Debian's `chromium`, or set CHROMIUM"
    return found


@pytest.fixture
def succeed(request):
    """`succeed(edge)`: has a new process take over, which ends with the test."""

    def run(edge):
        edge.process.send_signal(signal.SIGUSR2)
        number = int(edge.wait_for("ready", count=2)["pid"])
        request.addfinalizer(lambda: end(number))
        edge.wait_for("the new process serves: this one ends after its tunnels")
        edge.is_stopped = True

    return run


def end(number):
    with suppress(ProcessLookupError):
        os.kill(number, signal.SIGKILL)
