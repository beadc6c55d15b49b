"""One measurement of one proxy, and all of them in rounds."""

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field

from runner import machine
from runner.proxies import NotRunning, load_command


@dataclass
class Sample:
    """What one run of the load found."""

    work: str
    proxy: str
    round: int
    #: Units a second: round trips, messages or connections.
    rate: float = 0.0
    #: The proxy's own CPU time for each, in microseconds.
    cpu: float = 0.0
    #: How much of its core the proxy used, and the load, and how much all others took of any.
    busy: float = 0.0
    load: float = 0.0
    others: float = 0.0
    stolen: float = 0.0
    #: Microseconds, corrected for coordinated omission: p50, p90, p99, p999, max.
    latency: dict = field(default_factory=dict)
    #: What of it passed before the load came to send, where it tells that apart.
    lag: dict = field(default_factory=dict)
    #: Octets of memory for each idle tunnel.
    memory: float = 0.0
    fault: str = ""

    def as_dict(self):
        return asdict(self)


@dataclass(frozen=True)
class Pace:
    """How long and how often."""

    rounds: int
    seconds: float
    warmup: float


class Clocks:
    """Readings of all that is compared before and after."""

    def __init__(self, proxy_pids, own_pids):
        self.time = time.monotonic_ns()
        self.proxy = machine.cpu_nanoseconds(proxy_pids)
        # A load may end its threads as soon as it has said that measuring is over.
        self.own = self.proxy + machine.spent_nanoseconds(own_pids)
        self.busy, self.stolen = machine.busy_nanoseconds()


def measure(proxy, work, pace, round_number, backend):
    """Runs the load once."""
    sample = Sample(work.key, proxy.name, round_number)
    command = load_command(proxy.setting, proxy.url(work.transport)) + [
        "--marks", "--connections", str(work.connections), "--time", str(pace.seconds),
        "--warmup", str(pace.warmup), *work.arguments]
    take(sample, command, proxy, backend.pids)
    return sample


def said_by_bench(line):
    """What a line of our own load says: that measuring begins or ends, or all that it found."""
    return line if line in ("begin", "end") else json.loads(line)


def take(sample, command, proxy, other_pids=(), said=said_by_bench):
    """Fills a sample by one run of a load. The proxy's CPU is read when measuring begins and when
    it ends: `said` tells "begin", "end" and members of the report from the load's lines."""
    settle(proxy)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          start_new_session=True) as load:
        try:
            own = [load.pid, *other_pids]
            clocks = {}
            report = {}
            for line in load.stdout:
                word = said(line.strip())
                if word in ("begin", "end"):
                    clocks[word] = Clocks(proxy.program.pids, own)
                else:
                    report.update(word)
            error = load.stderr.read().strip()
        except BaseException:
            load.kill()
            raise
    _fill(sample, report, clocks)
    if load.returncode != 0 or "first_fault" in report:
        sample.fault = report.get("first_fault") or error or f"status {load.returncode}"


def _fill(sample, report, clocks):
    if not {"begin", "end"} <= clocks.keys() or "units_per_second" not in report:
        sample.fault = report.get("first_fault", "nothing was measured")
        return
    first, last = clocks["begin"], clocks["end"]
    elapsed = last.time - first.time
    cpu = last.proxy - first.proxy
    sample.rate = report["units_per_second"]
    if not sample.rate:
        sample.fault = "nothing came back"
    else:
        sample.cpu = cpu / 1000 / (sample.rate * elapsed / 1e9)
    sample.busy = cpu / elapsed
    sample.load = (last.own - first.own - cpu) / elapsed
    sample.others = max(0, last.busy - first.busy - (last.own - first.own)) / elapsed
    sample.stolen = (last.stolen - first.stolen) / elapsed
    # An open loop's latency needs no correction: it counts from the intended time of sending.
    sample.latency = report.get("corrected") or report.get("latency") or {}
    sample.lag = report.get("lag") or {}


def settle(proxy, limit=5.0):
    """Waits until the proxy is done with the connections of an earlier run."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        before = machine.cpu_nanoseconds(proxy.program.pids)
        time.sleep(0.1)
        if machine.cpu_nanoseconds(proxy.program.pids) - before < 2_000_000:
            return


def measure_memory(proxy, work):
    """Opens idle tunnels through a proxy that has just been started: what it grows by for each."""
    sample = Sample(work.key, proxy.name, 1)
    proxy.start()
    command = load_command(proxy.setting, proxy.url(work.transport)) + [
        "--marks", "--work", "idle", "--connections", str(work.connections), "--time", "3",
        "--warmup", "0.5"]
    try:
        take_memory(sample, command, proxy, work.connections)
    finally:
        proxy.stop()
    return sample


def take_memory(sample, command, proxy, connections):
    """Fills a sample by what the proxy grows by for each connection of a load that is idle."""
    settle(proxy)
    before = machine.resident_octets(proxy.program.pids)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                          start_new_session=True) as load:
        try:
            if load.stdout.readline().strip() == "begin":
                settle(proxy, limit=2)
                after = machine.resident_octets(proxy.program.pids)
                sample.memory = (after - before) / connections
            report = json.loads(load.stdout.read().splitlines()[-1])
        except BaseException:
            load.kill()
            raise
    if load.returncode != 0:
        sample.fault = report.get("first_fault", "not all connections stayed open")


def measure_works(works, proxies, pace, backend, note):
    """All works that move something. The proxies take turns, and another one begins each round."""
    samples = []
    for work in works:
        takers = [proxy for proxy in proxies if proxy.takes(work)]
        for number in range(pace.rounds):
            turn = number % max(1, len(takers))
            for proxy in takers[turn:] + takers[:turn]:
                sample = measure(proxy, work, pace, number + 1, backend)
                samples.append(sample)
                note(sample)
    return samples


def measure_idle(works, proxies, note):
    """Memory of idle tunnels, each with a process of its own."""
    samples = []
    for work in works:
        for proxy in (proxy for proxy in proxies if proxy.takes(work)):
            try:
                sample = measure_memory(proxy, work)
            except (NotRunning, ValueError, IndexError) as error:
                sample = Sample(work.key, proxy.name, 1, fault=str(error))
            samples.append(sample)
            note(sample)
    return samples


def show(sample):
    """A line for whoever watches."""
    head = f"{sample.work:16} {sample.proxy:12}"
    if sample.memory:
        line = f"{sample.memory / 1024:10.1f} KB each"
    else:
        line = f"{sample.rate:10.0f}/s {sample.cpu:10.2f} µs CPU, busy {sample.busy:4.0%}"
        if sample.latency:
            line += f", p50 {sample.latency['p50']:.0f} p99 {sample.latency['p99']:.0f} µs"
        if sample.others > 0.1:
            line += f"  (others took {sample.others:.0%} of a core)"
    print(head, line, f"FAILED: {sample.fault}" if sample.fault else "", flush=True)
    if sample.fault:
        print(f"run: {sample.work}, {sample.proxy}: {sample.fault}", file=sys.stderr)
