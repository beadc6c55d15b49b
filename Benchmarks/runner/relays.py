"""The relays whose rooms are measured, and what is measured there."""

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from runner import measuring
from runner.proxies import NotRunning, Program, free_ports

BENCHMARKS = Path(__file__).resolve().parent.parent
SLUICE, NODE = "Sluice", "Node ws"
NAMES = (SLUICE, NODE)
#: Seconds that idle peers wait: heartbeats have passed, and V8 has had time to collect garbage.
IDLE_WARMUP = 30
#: Where Debian keeps node-ws, for a Node of any other origin.
NODE_PATH = "/usr/share/nodejs"
_CONFIGURATION = """\
workers: 1
listeners: [{{ address: "127.0.0.1:{port}" }}]
routes:
  - name: rooms
    match: {{ path: / }}
    origins: any
    rooms: {{ limits: {{ rooms: 1000000, peers: 1000000 }} }}
limits: {{ connections: 100000 }}
log: {{ access: false }}
"""


@dataclass(frozen=True)
class Work:
    """What peers do."""

    key: str
    title: str
    arguments: tuple
    peers: int = 0

    @property
    def is_idle(self):
        return self.key == "idle"

    @property
    def is_paced(self):
        """Whether the rate is given, so that latency is the figure."""
        return "--rate" in self.arguments


def _work(key, title, name, peers, *more):
    arguments = ("--work", name, *(("--peers", str(peers)) if peers else ()), *more)
    return Work(key, title, arguments, peers)


WORKS = (
    _work("latency", "2,000 peers, 10,000 signals/s", "latency", 2000, "--rate", "10000"),
    _work("steady", "2,000 peers, 50,000 signals/s", "latency", 2000, "--rate", "50000"),
    _work("throughput", "400 peers, as many signals as are taken", "throughput", 400),
    _work("acks", "the same, each answered with an `ack`", "throughput", 400, "--ack"),
    _work("join", "500 joins/s", "join", 0, "--rate", "500"),
    _work("idle", "4,000 idle peers", "idle", 4000),
)


@dataclass(frozen=True)
class Setting:
    """What all runs share."""

    folder: Path
    bench: Path
    sluice: Path
    server_cpu: int
    load_cpu: int


class Relay:
    """A server with rooms, on one core, with a process of its own for each run."""

    def __init__(self, name, setting):
        self.name = name
        self.setting = setting
        self.program = Program()
        self.port = 0

    def start(self):
        """Starts it, and waits until a room of it can be entered."""
        [self.port] = free_ports(1)
        self.program.start(self._command(), self.setting.server_cpu, self.log,
                           {"NODE_PATH": NODE_PATH})
        deadline = time.monotonic() + 15
        probe = self.load("--work", "idle", "--peers", "4", "--time", "0.02", "--warmup", "0")
        while self.program.runs and time.monotonic() < deadline:
            if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
                return
            time.sleep(0.1)
        raise NotRunning(f"{self.name}: {self.log.read_text(errors='replace')[-500:]}")

    def stop(self):
        """Ends it."""
        self.program.stop()

    @property
    def log(self):
        """The file with what it says."""
        return self.setting.folder / f"{self.name.replace(' ', '-')}.log"

    def load(self, *arguments):
        """The command of a load on it."""
        return ["taskset", "--cpu-list", str(self.setting.load_cpu), str(self.setting.bench),
                "rooms", "--to", f"ws://127.0.0.1:{self.port}/", "--json", *arguments]

    def _command(self):
        if self.name == NODE:
            return ["node", BENCHMARKS / "rooms-relay.js", self.port]
        path = self.setting.folder / "rooms.yaml"
        path.write_text(_CONFIGURATION.format(port=self.port), encoding="utf-8")
        return [self.setting.sluice, "run", "--no-watch", "--config", path]


def measure(relay, work, pace, number):
    """One run, on a relay that has just been started."""
    sample = measuring.Sample(work.key, relay.name, number)
    try:
        relay.start()
        if work.is_idle:
            command = relay.load(*work.arguments, "--marks", "--warmup", str(IDLE_WARMUP),
                                 "--time", "3")
            measuring.take_memory(sample, command, relay, work.peers)
        else:
            command = relay.load(*work.arguments, "--marks", "--warmup", str(pace.warmup),
                                 "--time", str(pace.seconds))
            measuring.take(sample, command, relay)
    except (NotRunning, ValueError, IndexError, OSError) as error:
        sample.fault = str(error)
    finally:
        relay.stop()
    return sample


def measure_all(works, relays, pace):
    """All works. The relays take turns, and another one begins each round."""
    samples = []
    for work in works:
        for number in range(pace.rounds):
            turn = number % len(relays)
            for relay in relays[turn:] + relays[:turn]:
                sample = measure(relay, work, pace, number + 1)
                samples.append(sample)
                measuring.show(sample)
    return samples


def load_average():
    """The machine's, of the last minute."""
    return os.getloadavg()[0]
