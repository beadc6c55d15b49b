"""What is measured over HTTP and HTTP/2, and the proxies that it is measured of."""

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from runner import machine, measuring
from runner.proxies import BENCHMARKS, NotRunning, Program

SLUICE, NGINX, HAPROXY = "Sluice", "nginx", "HAProxy"
NAMES = (SLUICE, NGINX, HAPROXY)
#: What listeners speak: HTTP/1.1, HTTP/2 from the first octet on, and either of them over TLS.
PLAIN, H2C, TLS = "plain", "h2c", "TLS"
#: Octets of an answer.
BODY = 1024
REQUESTS, TUNNELS, IDLE = "requests", "tunnels", "idle"
#: Seconds that idle tunnels wait before they count.
IDLE_WARMUP = 2


@dataclass(frozen=True)
class Work:
    """One kind of load, through one kind of listener."""

    key: str
    title: str
    kind: str
    listener: str
    connections: int
    #: Requests under way, or WebSockets, on each of them.
    streams: int
    is_http1: bool = False

    @property
    def label(self):
        """The name of its rows."""
        return self.title.format(count=self.count)

    @property
    def count(self):
        """Requests under way, or WebSockets, in all."""
        return self.connections * self.streams

    def takes(self, name, number):
        """Whether a proxy takes part in a round."""
        if self.kind == REQUESTS:
            # HAProxy is there for orientation: the comparison is with nginx.
            return name != HAPROXY or number == 1
        # This nginx has no WebSockets over HTTP/2.
        return name != NGINX


WORKS = (
    Work("requests h2 tls", "1 KB answers, HTTP/2 over TLS, 8 × 32", REQUESTS, TLS, 8, 32),
    Work("requests h2 plain", "1 KB answers, HTTP/2, plain, 8 × 32", REQUESTS, H2C, 8, 32),
    Work("requests h1 tls", "1 KB answers, HTTP/1.1 over TLS, 64", REQUESTS, TLS, 64, 1, True),
    Work("requests h1 plain", "1 KB answers, HTTP/1.1, plain, 64", REQUESTS, PLAIN, 64, 1, True),
    Work("tunnels tls", "32 B echo, 64 WebSockets on one connection, TLS", TUNNELS, TLS, 1, 64),
    Work("tunnels plain", "32 B echo, 64 WebSockets on one connection, plain", TUNNELS, H2C, 1, 64),
    Work("idle tls", "{count:,} idle WebSockets, 100 on each connection, TLS", IDLE, TLS, 40, 100),
)
#: Connections to the backend that are kept: as many as there are requests under way at most.
IDLE_CONNECTIONS = max(work.count for work in WORKS if work.kind == REQUESTS)


@dataclass(frozen=True)
class Setting:
    """What all runs share."""

    folder: Path
    bench: Path
    sluice: Path
    backend_port: int
    echo_port: int
    proxy_cpu: int
    load_cpu: int


class Proxy:
    """A proxy on one core, with a listener of each kind."""

    def __init__(self, name, setting, ports):
        self.name = name
        self.setting = setting
        self.ports = dict(zip((PLAIN, H2C, TLS), ports))
        self.program = Program()

    def start(self):
        """Starts it, and waits until everything that is measured works once."""
        command, environment = self._command()
        self.program.start(command, self.setting.proxy_cpu, self.log, environment)
        deadline = time.monotonic() + 15
        for work in WORKS:
            if work.takes(self.name, 1):
                self._await(work, deadline)

    def stop(self):
        """Ends it."""
        self.program.stop()

    @property
    def log(self):
        """The file with what it says."""
        return self.setting.folder / f"{self.name}-http.log"

    def authority(self, listener):
        """Where a listener is, by the name in the certificate where there is one."""
        host = "localhost" if listener == TLS else "127.0.0.1"
        return f"{host}:{self.ports[listener]}"

    def _await(self, work, deadline):
        if work.kind == REQUESTS:
            probe = request_load(self, work, "-n", "1", "-c", "1")
        else:
            probe = tunnel_load(self, work, "--streams", "1", "--time", "0.02", "--warmup", "0")
        while self.program.runs and time.monotonic() < deadline:
            done = subprocess.run(probe, capture_output=True, text=True, check=False)
            if done.returncode == 0 and (work.kind != REQUESTS or _is_answer(done.stdout)):
                return
            time.sleep(0.1)
        last = self.log.read_text(errors="replace")[-500:]
        raise NotRunning(f"{self.name} does not serve {work.key}: {last}")

    def _command(self):
        setting = self.setting
        if self.name == NGINX:
            return nginx_command(setting, "nginx-http", self._values()), None
        if self.name == HAPROXY:
            path = configuration(setting, "haproxy-http.cfg", self._values())
            return ["haproxy", "-db", "-f", path], None
        environment = {
            "CERTIFICATES": str(setting.folder), "PLAIN_PORT": str(self.ports[PLAIN]),
            "H2C_PORT": str(self.ports[H2C]), "TLS_PORT": str(self.ports[TLS]),
            "ECHO_PORT": str(setting.echo_port), "BACKEND_PORT": str(setting.backend_port),
            "IDLE_CONNECTIONS": str(IDLE_CONNECTIONS)}
        edge = BENCHMARKS / "edge-http.yaml"
        return [setting.sluice, "run", "--no-watch", "--config", edge], environment

    def _values(self):
        return {
            "PLAIN": self.ports[PLAIN], "H2C": self.ports[H2C], "TLS": self.ports[TLS],
            "ECHO": self.setting.echo_port, "IDLE": IDLE_CONNECTIONS,
            "TUNNELS": (machine.descriptor_limit() - 1000) // 2}


def configuration(setting, name, values):
    """A peer's configuration, its placeholders filled in."""
    values = values | {
        "FOLDER": setting.folder, "BACKEND": setting.backend_port, "BODY": "x" * BODY,
        "DESCRIPTORS": machine.descriptor_limit() - 1000,
        "IF_ROOT": "" if os.geteuid() == 0 else "# "}
    text = (BENCHMARKS / "peers" / name).read_text(encoding="utf-8")
    path = setting.folder / name
    path.write_text(re.sub("@([A-Z0-9_]+)@", lambda match: str(values[match[1]]), text))
    return path


def nginx_command(setting, name, values):
    """An nginx with the configuration and the log of this name."""
    path = configuration(setting, f"{name}.conf", values)
    return ["nginx", "-e", setting.folder / f"{name}.log", "-p", setting.folder, "-c", path]


def start_backends(setting):
    """What requests and WebSockets are forwarded to, both on the load's core."""
    program = Program()
    for name, command in (
            ("nginx-backend", nginx_command(setting, "nginx-backend", {})),
            ("echo", [setting.bench, "backend", "--listen", f"127.0.0.1:{setting.echo_port}"])):
        program.start(command, setting.load_cpu, setting.folder / f"{name}.log")
    return program


# The loads, each held to its core.


def request_load(proxy, work, *arguments):
    """h2load, by one thread."""
    scheme = "https" if work.listener == TLS else "http"
    kind = ["--h1"] if work.is_http1 else []
    return [*_on_load_cpu(proxy), "h2load", "-t", "1", *kind, *arguments,
            f"{scheme}://{proxy.authority(work.listener)}/"]


def tunnel_load(proxy, work, *arguments):
    """bench streams."""
    scheme = "wss" if work.listener == TLS else "ws"
    return [*_on_load_cpu(proxy), str(proxy.setting.bench), "streams",
            "--to", f"{scheme}://{proxy.authority(work.listener)}/echo",
            "--ca", str(proxy.setting.folder / "cert.pem"), "--json", *arguments]


def _on_load_cpu(proxy):
    return ["taskset", "--cpu-list", str(proxy.setting.load_cpu)]


def _is_answer(text):
    """Whether h2load has got one answer of the right length."""
    return " 1 2xx," in text and f"({BODY}) data" in text


def said_by_h2load(line):
    """What a line of h2load says: that measuring begins or ends, or something that it found."""
    if line.startswith("Main benchmark duration is started"):
        return "begin"
    if line.startswith("Main benchmark duration is over"):
        return "end"
    if found := re.match(r"finished in \S+, ([\d.]+) req/s", line):
        return {"units_per_second": float(found[1])}
    if found := re.match(r"requests: .* (\d+) failed, (\d+) errored, (\d+) timeout", line):
        return _fault(line, any(map(int, found.groups())))
    if found := re.match(r"status codes: \d+ 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", line):
        return _fault(line, any(map(int, found.groups())))
    return {}


def _fault(line, is_one):
    return {"first_fault": line} if is_one else {}


# Measuring.


def measure(proxy, work, pace, number, backends):
    """One run."""
    sample = measuring.Sample(work.key, proxy.name, number)
    if work.kind == REQUESTS:
        command = request_load(
            proxy, work, "-c", str(work.connections), "-m", str(work.streams),
            "-D", f"{pace.seconds * 1000:.0f}ms", "--warm-up-time", f"{pace.warmup * 1000:.0f}ms")
        measuring.take(sample, command, proxy, backends.pids, said_by_h2load)
    else:
        command = tunnel_load(
            proxy, work, "--marks", "--connections", str(work.connections),
            "--streams", str(work.streams), "--time", str(pace.seconds),
            "--warmup", str(pace.warmup))
        measuring.take(sample, command, proxy, backends.pids)
    return sample


def measure_memory(proxy, work, number):
    """Memory of idle tunnels, in a process that has just been started."""
    sample = measuring.Sample(work.key, proxy.name, number)
    command = tunnel_load(
        proxy, work, "--marks", "--work", "idle", "--connections", str(work.connections),
        "--streams", str(work.streams), "--warmup", str(IDLE_WARMUP), "--time", "3")
    try:
        proxy.start()
        measuring.take_memory(sample, command, proxy, work.count)
    except (NotRunning, ValueError, IndexError) as error:
        sample.fault = str(error)
    finally:
        proxy.stop()
    return sample


def turns(works, proxies, pace):
    """Each turn of each work. The proxies take turns, and another one begins each round."""
    for work in works:
        for number in range(1, pace.rounds + 1):
            takers = [proxy for proxy in proxies if work.takes(proxy.name, number)]
            turn = (number - 1) % max(1, len(takers))
            for proxy in takers[turn:] + takers[:turn]:
                yield work, proxy, number


def start_all(proxies):
    """The proxies that start. One that does not is left out, and whoever watches is told."""
    started = []
    for proxy in proxies:
        try:
            proxy.start()
            started.append(proxy)
        except (NotRunning, OSError) as error:
            proxy.stop()
            print(f"http: left out: {error}", file=sys.stderr)
        except BaseException:
            stop_all([*started, proxy])
            raise
    return started


def stop_all(proxies):
    """Ends them."""
    for proxy in proxies:
        proxy.stop()


def measure_all(works, proxies, pace, backends):
    """All works: those that move something beside each other, then memory one by one."""
    samples = []
    started = start_all(proxies)
    if not started:
        sys.exit("http: no proxy runs")
    try:
        moving = [work for work in works if work.kind != IDLE]
        for work, proxy, number in turns(moving, started, pace):
            samples.append(measure(proxy, work, pace, number, backends))
            measuring.show(samples[-1])
    finally:
        stop_all(started)
    idle = [work for work in works if work.kind == IDLE]
    for work, proxy, number in turns(idle, started, pace):
        samples.append(measure_memory(proxy, work, number))
        measuring.show(samples[-1])
    return samples
