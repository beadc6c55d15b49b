"""The proxies: how each is configured, started, and ended."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from runner import machine
from runner.works import PLAIN, TLS

BENCHMARKS = Path(__file__).resolve().parent.parent
RELAY, SPLICE, SLUICE = "bare relay", "splicing relay", "Sluice"
#: Names as the tables and `--only` have them, in the order of the tables.
NAMES = (RELAY, SPLICE, SLUICE, "nginx", "HAProxy", "Caddy", "h2o")
PACKAGES = {"nginx": "nginx", "HAProxy": "haproxy", "Caddy": "caddy", "h2o": "h2o"}
#: Below the ports that the kernel gives to the load's own connections (32768 and up).
FIRST_PORT = 21_000


class NotRunning(Exception):
    """A program did not start, or does not answer."""


@dataclass(frozen=True)
class Setting:
    """What all programs of a run share."""

    folder: Path
    bench: Path
    sluice: Path
    backend_port: int
    proxy_cpu: int
    load_cpu: int

    @property
    def tunnels_max(self):
        """Tunnels for which a proxy, with two descriptors for each, has enough."""
        return (machine.descriptor_limit() - 1000) // 2


@dataclass
class Program:
    """A program that this run has started, with all that it starts itself."""

    processes: list = field(default_factory=list)

    def start(self, command, cpu, log, environment=None):
        """Starts a command, held to one core. Ctrl-C is for the runner alone to see."""
        with open(log, "ab") as output:
            self.processes.append(subprocess.Popen(
                ["taskset", "--cpu-list", str(cpu), *map(str, command)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                env={**os.environ, **(environment or {})}))

    @property
    def pids(self):
        return [process.pid for process in self.processes]

    @property
    def runs(self):
        return all(process.poll() is None for process in self.processes)

    def stop(self):
        """Ends the processes: politely, then their whole sessions, which hold nothing else."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(3)
            except subprocess.TimeoutExpired:
                pass
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        self.processes = []


def free_ports(count):
    """TCP ports of this machine on which nobody listens."""
    ports = []
    for port in range(FIRST_PORT, 32_768):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.append(port)
        if len(ports) == count:
            return ports
    raise NotRunning("no free ports")


class Proxy:
    """One of the proxies, which listens on a plain port and on one with TLS."""

    def __init__(self, name, setting, ports):
        self.name = name
        self.setting = setting
        self.ports = dict(zip((PLAIN, TLS), ports))
        self.program = Program()

    def url(self, transport):
        """What the load connects to."""
        port = self.ports[transport]
        return f"ws://127.0.0.1:{port}/" if transport == PLAIN else f"wss://localhost:{port}/"

    def takes(self, work):
        """Whether the work says something about this proxy."""
        return self.name != SPLICE or work.is_bulk

    def start(self):
        """Starts it, and waits until its ports echo."""
        for command, environment in self._commands():
            self.program.start(command, self.setting.proxy_cpu, self.log, environment)
        for transport in (PLAIN,) if self.name == SPLICE else (PLAIN, TLS):
            self._await(transport)

    def stop(self):
        """Ends it."""
        self.program.stop()

    @property
    def log(self):
        """The file with what it says."""
        return self.setting.folder / f"{self.name.replace(' ', '-')}.log"

    def _await(self, transport, timeout=15):
        deadline = time.monotonic() + timeout
        probe = load_command(self.setting, self.url(transport)) + [
            "--connections", "1", "--time", "0.02", "--warmup", "0"]
        while self.program.runs and time.monotonic() < deadline:
            if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
                return
            time.sleep(0.1)
        last = self.log.read_text(errors="replace")[-500:]
        raise NotRunning(f"{self.name} does not answer over {transport}: {last}")

    def _commands(self):
        """The commands that are this proxy, each with its environment."""
        folder, plain, tls = self.setting.folder, self.ports[PLAIN], self.ports[TLS]
        relay = [self.setting.bench, "relay", "--to", f"127.0.0.1:{self.setting.backend_port}"]
        if self.name == SPLICE:
            return [([*relay, "--listen", f"127.0.0.1:{plain}", "--splice"], None)]
        if self.name == RELAY:
            secure = ["--certificate", folder / "cert.pem", "--key", folder / "key.pem"]
            return [([*relay, "--listen", f"127.0.0.1:{plain}"], None),
                    ([*relay, "--listen", f"127.0.0.1:{tls}", *secure], None)]
        if self.name == SLUICE:
            environment = {
                "CERTIFICATES": str(folder), "PLAIN_PORT": str(plain), "TLS_PORT": str(tls),
                "BACKEND_PORT": str(self.setting.backend_port)}
            edge = BENCHMARKS / "edge.yaml"
            return [([self.setting.sluice, "run", "--config", edge], environment)]
        return [self._peer_command(folder)]

    def _peer_command(self, folder):
        if self.name == "nginx":
            command = ["nginx", "-e", folder / "nginx.log", "-p", folder, "-c",
                       self._configuration("nginx.conf")]
            return command, None
        if self.name == "HAProxy":
            return ["haproxy", "-db", "-f", self._configuration("haproxy.cfg")], None
        if self.name == "h2o":
            return ["h2o", "-m", "worker", "-c", self._configuration("h2o.conf")], None
        environment = {"GOMAXPROCS": "1", "HOME": str(folder), "XDG_DATA_HOME": str(folder),
                       "XDG_CONFIG_HOME": str(folder)}
        command = ["caddy", "run", "--adapter", "caddyfile", "--config",
                   self._configuration("Caddyfile")]
        return command, environment

    def _configuration(self, name):
        """The peer's configuration, its placeholders filled in."""
        values = {
            "FOLDER": self.setting.folder, "PLAIN": self.ports[PLAIN], "TLS": self.ports[TLS],
            "BACKEND": self.setting.backend_port, "TUNNELS": self.setting.tunnels_max,
            "DESCRIPTORS": 2 * self.setting.tunnels_max,
            "IF_ROOT": "" if os.geteuid() == 0 else "# ",
        }
        text = (BENCHMARKS / "peers" / name).read_text(encoding="utf-8")
        path = self.setting.folder / name
        path.write_text(re.sub("@([A-Z_]+)@", lambda match: str(values[match[1]]), text))
        return path


def load_command(setting, url):
    """The load, held to its core."""
    return ["taskset", "--cpu-list", str(setting.load_cpu), str(setting.bench), "load",
            "--to", url, "--ca", str(setting.folder / "cert.pem"), "--json"]


def start_backend(setting):
    """The echo backend, on the load's core."""
    program = Program()
    listen = f"127.0.0.1:{setting.backend_port}"
    program.start([setting.bench, "backend", "--listen", listen], setting.load_cpu,
                  setting.folder / "backend.log")
    return program


def make_certificate(folder):
    """A certificate for localhost (P-256), signed by itself."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True)
    both = (folder / "cert.pem").read_text() + (folder / "key.pem").read_text()
    (folder / "both.pem").write_text(both)


def versions(names, setting):
    """What each program says it is."""
    commands = {
        SLUICE: (setting.sluice, "version"), "nginx": ("nginx", "-v"),
        "HAProxy": ("haproxy", "-v"), "Caddy": ("caddy", "version"), "h2o": ("h2o", "-v"),
        "OpenSSL": ("openssl", "version"), "Swift": ("swift", "--version"),
    }
    found = {}
    for name, command in commands.items():
        if name in NAMES and name not in names:
            continue
        match = re.search(r"\d+\.\d+[\w.+-]*", machine.text_of(*map(str, command)))
        found[name] = match[0] if match else "unknown"
    return found


def missing_programs(names):
    """Those of the peers whose program is not there."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return [name for name in names
            if name in PACKAGES and not shutil.which(PACKAGES[name], path=path)]
