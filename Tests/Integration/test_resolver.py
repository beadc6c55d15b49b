"""Names of servers: all addresses are used, and asked for again when their lifetime ends."""

import os
import shutil
import signal
import socket
import subprocess
from contextlib import contextmanager

import pytest

from harness.backends import ScriptedBackend
from harness.conditions import eventually
from harness.edge import Edge, configuration
from harness.wire import tunnel

NAME_SERVER = "127.83.0.53"
NAME = "backends.sluice.test"

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("dnsmasq"),
    reason="needs root, to give the edge a resolv.conf of its own, and dnsmasq",
)


class NameServer:
    """dnsmasq with one name, whose addresses can be changed. Lifetime: one second."""

    def __init__(self, directory):
        self.hosts = directory / "hosts"
        self.resolver = directory / "resolv.conf"
        self.resolver.write_text(f"nameserver {NAME_SERVER}\noptions timeout:1 attempts:1\n")

    @contextmanager
    def running(self, *addresses):
        self.write(addresses)
        self.process = subprocess.Popen(
            [
                "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv",
                "--no-hosts", f"--addn-hosts={self.hosts}", "--local-ttl=1", "--bind-interfaces",
                "--except-interface=lo", f"--listen-address={NAME_SERVER}", "--user=root",
                "--pid-file=",
            ]  # fmt: skip
        )
        try:
            eventually(self.answers, "the name server")
            yield self
        finally:
            self.process.terminate()
            self.process.wait(10)

    @staticmethod
    def answers():
        """Whether a question gets any answer (RFC 1035 §4.1: identifier 7, one question)."""
        labels = b"".join(bytes([len(label)]) + label.encode() for label in NAME.split("."))
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.settimeout(1)
            sock.sendto(b"\0\7\1\0\0\1" + bytes(6) + labels + b"\0\0\1\0\1", (NAME_SERVER, 53))
            try:
                return sock.recv(512)[:2] == b"\0\7"
            except OSError:
                return False

    def change(self, *addresses):
        self.write(addresses)
        self.process.send_signal(signal.SIGHUP)

    def write(self, addresses):
        self.hosts.write_text("".join(f"{address} {NAME}\n" for address in addresses))

    def edge(self, port):
        """An edge in a mount namespace in which this is the name server."""
        edge = Edge(configuration(f"ws://{NAME}:{port}", workers=1))
        edge.command = [
            "unshare", "--mount", "sh", "-c",
            f"mount --bind {self.resolver} /etc/resolv.conf && exec \"$@\"", "sh", *edge.command,
        ]  # fmt: skip
        return edge


@pytest.fixture
def names(enter, tmp_path):
    def make(*addresses):
        return enter(NameServer(tmp_path).running(*addresses))

    return make


def backends(enter, *hosts):
    """Backends on one port of several addresses."""
    first = enter(ScriptedBackend(host=hosts[0]))
    return [first, *(enter(ScriptedBackend(host=host, port=first.port)) for host in hosts[1:])]


def test_all_addresses_are_used(enter, names):
    servers = backends(enter, "127.83.0.1", "127.83.0.2", "127.83.0.3")
    edge = enter(names("127.83.0.1", "127.83.0.2", "127.83.0.3").edge(servers[0].port))
    wires = [tunnel(edge.address) for _ in range(6)]
    assert [server.accepted for server in servers] == [2, 2, 2]
    for wire in wires:
        wire.close()


def test_a_change_is_followed_and_tunnels_stay(enter, names):
    servers = backends(enter, "127.83.0.1", "127.83.0.2")
    server = names("127.83.0.1")
    edge = enter(server.edge(servers[0].port))
    steady = tunnel(edge.address)
    assert servers[0].accepted == 1
    server.change("127.83.0.2")

    def arrives_at_the_second():
        tunnel(edge.address).close()
        return servers[1].accepted

    eventually(arrives_at_the_second, "a tunnel to the new address")
    assert steady.echoes(), "a tunnel to an address that is no longer named was cut"
    before = servers[0].accepted
    tunnel(edge.address).close()
    assert servers[0].accepted == before
    steady.close()


def test_the_last_good_addresses_outlive_the_name(enter, names):
    servers = backends(enter, "127.83.0.1")
    server = names("127.83.0.1")
    edge = enter(server.edge(servers[0].port))
    tunnel(edge.address).close()
    server.change()
    edge.wait_for("cannot resolve", name=NAME)
    with tunnel(edge.address) as wire:
        assert wire.echoes()


def test_a_name_that_does_not_exist(enter, names):
    edge = enter(names().edge(9))
    edge.wait_for("cannot resolve", name=NAME)
    with pytest.raises(AssertionError, match="503"):
        tunnel(edge.address)
