"""What is measured. The reader's explanation of each work is in Benchmarks/README.md."""

from dataclasses import dataclass, replace

PLAIN, TLS = "plain", "TLS"
_BULK = ("echo 64k", "echo 1m", "mixed", "up 16k", "down 16k")


@dataclass(frozen=True)
class Work:
    """One kind of load, over one transport."""

    name: str
    title: str
    connections: int
    arguments: tuple = ()
    transport: str = PLAIN

    @property
    def key(self):
        """What `--work` and the raw figures call it."""
        return f"{self.name} {self.transport.lower()}"

    @property
    def label(self):
        """The name of its row."""
        return f"{self.title.format(connections=f'{self.connections:,}')}, {self.transport}"

    @property
    def is_idle(self):
        return self.name == "idle"

    @property
    def is_paced(self):
        """Whether the rate is given, so that it says nothing about the proxy."""
        return "--rate" in self.arguments

    @property
    def is_bulk(self):
        """Whether the octets cost more than the messages: where splice(2) has a point."""
        return self.transport == PLAIN and self.name in _BULK

    @property
    def has_latency(self):
        return not self.is_idle and not self.name.startswith(("up", "down"))


def _echo(name, title, size, connections, *more):
    arguments = ("--work", "echo", "--size", str(size), *more)
    return Work(name, title, connections, arguments)


def _stream(direction, words):
    title = f"16 KB messages to the {words}"
    arguments = ("--work", "stream", "--direction", direction, "--size", "16384")
    return Work(f"{direction} 16k", title, 8, arguments)


_ECHO_32 = _echo("echo 32", "32 B echo, {connections} connections", 32, 64)
_ECHO_64K = _echo("echo 64k", "64 KB echo, {connections} connections", 65_536, 16)
_ECHO_1M = _echo("echo 1m", "1 MB echo, {connections} connections", 1_048_576, 4)
_CROWD = replace(_ECHO_32, name="crowd 32", connections=4000, transport=TLS)
_PACED = _echo("paced 32", "32 B echo, 10,000 a second", 32, 64, "--rate", "10000")
_MIXED = Work(
    "mixed", "mixed sizes echo, {connections} connections", 32, ("--work", "mixed"))
_CHURN = Work("churn", "connect, echo, close", 32, ("--work", "churn", "--size", "32"))
_IDLE = Work("idle", "{connections} idle tunnels", 8000, ("--work", "idle"))


def _both(work):
    return [work, replace(work, transport=TLS)]


def all_works():
    """Every work, in the order of the tables."""
    return [
        *_both(_ECHO_32), _CROWD, *_both(_PACED), *_both(_ECHO_64K), _ECHO_1M, *_both(_MIXED),
        *_both(_stream("up", "server")), *_both(_stream("down", "client")), *_both(_CHURN),
        *_both(_IDLE),
    ]


def chosen(filters, connections_max):
    """The works whose key contains one of `filters`, with as many connections as are possible."""
    works = [
        replace(work, connections=min(work.connections, connections_max)) for work in all_works()
    ]
    if not filters:
        return works
    return [work for work in works if any(text.lower() in work.key for text in filters)]
