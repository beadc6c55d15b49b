"""A new process takes the listening sockets over: nobody who connects meanwhile is refused or reset."""

import asyncio
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from harness.backends import ScriptedBackend
from harness.conditions import eventually
from harness.edge import Edge, configuration
from harness.wire import connect, frame, is_refused, tunnel, upgrade_head

RATE, SECONDS = 500, 4.0


@pytest.fixture
def backend(enter):
    return enter(ScriptedBackend())


@pytest.fixture
def succeed(request):
    """`succeed(edge)`: has a new process take over; its number. It ends with the test."""

    def run(edge, count=2):
        edge.process.send_signal(signal.SIGUSR2)
        number = int(edge.wait_for("ready", count=count)["pid"])
        request.addfinalizer(lambda: end(number))
        edge.wait_for("the new process serves: this one ends after its tunnels", count=count - 1)
        edge.is_stopped = True
        return number

    return run


def end(number):
    with suppress(ProcessLookupError):
        os.kill(number, signal.SIGKILL)


def is_over(number):
    """Whether a process has ended; one that nobody has waited for counts, too."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


class Visitors:
    """Clients that come at a rate, each for one message: what became of them."""

    def __init__(self, port, tls=None):
        self.port, self.tls = port, tls
        self.good, self.faults = 0, []

    async def visit(self):
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self.port, ssl=self.tls, server_hostname=self.tls and "localhost"
            )
            writer.write(upgrade_head() + frame(1, b"hello", masked=True))
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 "), head
            assert await reader.readexactly(7) == frame(1, b"hello")
            writer.write(frame(8, b"\x03\xe8", masked=True))
            assert await reader.readexactly(4) == frame(8, b"\x03\xe8")
            self.good += 1
            writer.close()
        except Exception as fault:
            self.faults.append(repr(fault))

    async def come(self, seconds, at_half):
        """All of them, on time; `at_half` is called when half the time has passed."""
        tasks, begin, count = [], time.monotonic(), int(RATE * seconds)
        for number in range(count):
            await asyncio.sleep(max(0, begin + number / RATE - time.monotonic()))
            tasks.append(asyncio.create_task(self.visit()))
            if number == count // 4:
                at_half()
        await asyncio.wait_for(asyncio.gather(*tasks), 60)


@pytest.mark.parametrize("scheme", ["plain", "tls"])
def test_nobody_is_refused_or_reset(enter, succeed, node_backend, authority, localhost, scheme):
    listener = {"address": "127.0.0.1:0"}
    if scheme == "tls":
        listener["tls"] = {
            "certificates": [{"certificate": str(localhost[0]), "key": str(localhost[1])}]
        }
    settings = configuration(
        node_backend.url, listeners=[listener], shutdown_grace="2s", workers=2,
        log={"access": False},
    )  # fmt: skip
    edge = enter(Edge(settings))
    tls = ssl.create_default_context(cafile=authority.ca) if scheme == "tls" else None
    visitors = Visitors(edge.port, tls)
    seconds = SECONDS if scheme == "plain" else SECONDS / 2
    asyncio.run(visitors.come(seconds, lambda: edge.process.send_signal(signal.SIGUSR2)))
    number = int(edge.wait_for("ready", count=2)["pid"])
    try:
        assert not visitors.faults, (len(visitors.faults), visitors.faults[:5])
        assert visitors.good == int(RATE * seconds)
        edge.is_stopped = True
        assert edge.process.wait(20) == 0
        with tunnel(f"127.0.0.1:{visitors.port}", tls=tls) as wire:
            wire.echoes()
    finally:
        end(number)


def test_tunnels_end_one_after_the_other(enter, succeed, backend):
    edge = enter(Edge(configuration(backend.url, shutdown_grace="4s")))
    wires = [tunnel(edge.address) for _ in range(12)]
    succeed(edge)
    assert sum(wire.is_open() for wire in wires) > 6, "the grace was not given"
    with tunnel(edge.address) as wire:
        wire.echoes()
        for old in wires:
            close = old.read_close()
            assert close.code == 1001
            old.answer_close(close)
        assert edge.process.wait(20) == 0
        wire.echoes()
    assert len(edge.records("tunnel", reason="shutdown")) == 12


def test_who_was_accepted_is_served(enter, succeed, backend):
    """A client that has connected and not yet asked is not told to go elsewhere."""
    edge = enter(Edge(configuration(backend.url, shutdown_grace="10s", workers=1)))
    with connect(edge.address) as early, connect(edge.address) as half:
        half.send(upgrade_head()[:20])
        # Both are accepted when a later one has been answered.
        with tunnel(edge.address) as wire:
            wire.echoes()
        succeed(edge)
        for wire, octets in ((early, upgrade_head()), (half, upgrade_head()[20:])):
            wire.send(octets)
            assert wire.read_response().status == 101
            wire.echoes()


def test_again_and_again(enter, succeed, backend):
    edge = enter(Edge(configuration(backend.url, shutdown_grace="1s", workers=3)))
    first = edge.process.pid
    succeed(edge)
    numbers = [first]
    for count in (3, 4):
        number = int(edge.records("ready")[-1]["pid"])
        numbers.append(number)
        os.kill(number, signal.SIGUSR2)
        edge.wait_for("ready", count=count)
        last = int(edge.records("ready")[-1]["pid"])
        try:
            eventually(lambda: is_over(number), "the one before to end", 20)
            for _ in range(20):
                with tunnel(edge.address) as wire:
                    wire.echoes()
        except BaseException:
            end(last)
            raise
    end(int(edge.records("ready")[-1]["pid"]))
    eventually(lambda: is_refused(edge.address), "nobody to be left")


def test_a_new_process_that_does_not_start_changes_nothing(enter, backend):
    edge = enter(Edge(configuration(backend.url), options=["--no-watch"]))
    with tunnel(edge.address) as held:
        edge.configure("listeners: 7")
        edge.process.send_signal(signal.SIGUSR2)
        edge.wait_for("the new process does not serve: this one goes on")
        held.echoes()
        with tunnel(edge.address) as wire:
            wire.echoes()
    # And it can be tried again.
    edge.process.send_signal(signal.SIGUSR2)
    edge.wait_for("the new process does not serve: this one goes on", count=2)


def test_a_unix_socket_stays_in_its_place(enter, succeed, backend, tmp_path):
    path = tmp_path / "edge.sock"
    listeners = [{"address": f"unix:{path}"}, {"address": "127.0.0.1:0"}]
    edge = enter(
        Edge(configuration(backend.url, listeners=listeners, shutdown_grace="1s", workers=2))
    )
    number = succeed(edge)
    assert edge.process.wait(20) == 0
    with tunnel(f"unix:{path}") as wire:
        wire.echoes()
    os.kill(number, signal.SIGTERM)
    eventually(lambda: is_over(number), "the new process to end")
    assert not path.exists()


# systemd -----------------------------------------------------------------------------------------

ACTIVATE = """
import os, sys
numbers = [int(word) for word in sys.argv[1].split(",")]
for place, number in enumerate(numbers):
    os.dup2(number, 100 + place)
    os.close(number)
for place in range(len(numbers)):
    os.dup2(100 + place, 3 + place)
    os.close(100 + place)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(numbers))}
os.execv(sys.argv[2], sys.argv[2:])
"""


class Activated(Edge):
    """An edge that is started with sockets that are open already, as systemd does."""

    def __init__(self, settings, sockets):
        super().__init__(settings)
        self.numbers = [each.fileno() for each in sockets]
        words = ",".join(map(str, self.numbers))
        self.command = [sys.executable, "-c", ACTIVATE, words, *self.command]
        self.popen_options = {"pass_fds": self.numbers}


@pytest.mark.parametrize("workers", [1, 3])
def test_sockets_that_are_open_already(enter, backend, tmp_path, workers):
    path = tmp_path / "activated.sock"
    tcp, unix, extra = socket.socket(), socket.socket(socket.AF_UNIX), socket.socket()
    tcp.bind(("127.0.0.1", 0))
    unix.bind(str(path))
    extra.bind(("127.0.0.1", 0))
    for each in (tcp, unix, extra):
        each.listen(16)
    address = "127.0.0.1:%d" % tcp.getsockname()[1]
    # Who came before the process was there is served.
    with connect(address) as early:
        early.send(upgrade_head())
        settings = configuration(
            backend.url, workers=workers,
            listeners=[{"address": address}, {"address": f"unix:{path}"}],
        )  # fmt: skip
        edge = enter(Activated(settings, [tcp, unix, extra]))
        unused = "127.0.0.1:%d" % extra.getsockname()[1]
        for each in (tcp, unix, extra):
            each.close()
        assert early.read_response().status == 101
        early.echoes()
        for place in (address, f"unix:{path}"):
            for _ in range(10):
                with tunnel(place) as wire:
                    wire.echoes()
        assert is_refused(unused), "a socket that nobody serves was left open"
    edge.signal()
    assert edge.wait_for_exit() == 0
    assert path.exists(), "the file belongs to whoever made it"


def test_variables_that_are_meant_for_another_process(enter, backend):
    edge = Edge(configuration(backend.url))
    edge.environment = os.environ | {"LISTEN_PID": "1", "LISTEN_FDS": "3"}
    edge = enter(edge)
    with tunnel(edge.address) as wire:
        wire.echoes()


@pytest.fixture
def supervisor(tmp_path):
    """A socket as systemd's NOTIFY_SOCKET."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(str(tmp_path / "notify"))
        notices.settimeout(10)
        yield notices


def fields(notices):
    return dict(line.split("=", 1) for line in notices.recv(4096).decode().splitlines())


def test_a_supervisor_is_told(enter, backend, supervisor):
    edge = Edge(configuration(backend.url, shutdown_grace="1s"))
    edge.environment = os.environ | {"NOTIFY_SOCKET": supervisor.getsockname()}
    edge = enter(edge)
    assert fields(supervisor) == {"READY": "1", "STATUS": "serving"}
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    edge.reload()
    notice = fields(supervisor)
    assert notice.pop("RELOADING") == "1"
    assert before <= int(notice.pop("MONOTONIC_USEC")) and not notice
    assert fields(supervisor) == {"READY": "1", "STATUS": "serving"}
    edge.reload("nonsense")
    assert "RELOADING" in fields(supervisor)
    assert "refused" in fields(supervisor)["STATUS"]
    edge.signal()
    assert fields(supervisor) == {"STOPPING": "1"}
    edge.wait_for_exit()


def test_a_supervisor_follows(enter, backend, succeed, supervisor):
    edge = Edge(configuration(backend.url, shutdown_grace="1s"))
    edge.environment = os.environ | {"NOTIFY_SOCKET": supervisor.getsockname()}
    edge = enter(edge)
    assert fields(supervisor)["READY"] == "1"
    number = succeed(edge)
    notice = fields(supervisor)
    assert notice["MAINPID"] == str(number) and notice["READY"] == "1"


def test_an_abstract_notify_socket(enter, backend):
    name = f"sluice-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind("\0" + name)
        notices.settimeout(10)
        edge = Edge(configuration(backend.url))
        edge.environment = os.environ | {"NOTIFY_SOCKET": "@" + name}
        enter(edge)
        assert fields(notices)["READY"] == "1"


def test_systemd_finds_nothing_wrong_with_the_unit():
    unit = Path(__file__).resolve().parents[2] / "config/sluice.service"
    text = unit.read_text()
    for key in ("Type=notify", "NotifyAccess=all", "ExecReload=", "LimitNOFILE="):
        assert key in text
    found = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True
    )
    complaints = [
        line for line in found.stderr.splitlines()
        # The program is not installed where the unit looks for it.
        if unit.name in line and "is not executable" not in line
    ]  # fmt: skip
    assert not complaints, complaints
