"""A running sluice: its configuration, its listeners, its log."""

import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from .conditions import eventually

REPOSITORY = Path(__file__).resolve().parents[3]
LOG_LINES_SHOWN = 60


def binary():
    """The program under test: $SLUICE, else the release build."""
    path = Path(os.environ.get("SLUICE", REPOSITORY / ".build/release/sluice"))
    assert path.is_file(), f"{path} is missing: run `swift build -c release` or set SLUICE"
    return str(path)


def sluice(*arguments, timeout=30, **options):
    """Runs a command of sluice that ends by itself."""
    return subprocess.run(
        [binary(), *arguments], capture_output=True, text=True, timeout=timeout, **options
    )


def configuration(*servers, listeners=None, upstream=None, log=None, route=None, **top):
    """The smallest useful configuration: one plain listener, one route, one upstream."""
    return {
        "listeners": listeners or [{"address": "127.0.0.1:0"}],
        "routes": [
            {"name": "chat", "match": {"path": "/"}, "origins": "any", "upstream": "backend"}
            | (route or {})
        ],
        "upstreams": [{"name": "backend", "servers": list(servers)} | (upstream or {})],
        "log": {"format": "json", "level": "info"} | (log or {}),
    } | top


class Edge:
    """`sluice run` (or another command that serves) as a context manager."""

    def __init__(
        self, settings=None, *, arguments=None, options=(), descriptors=None, awaits_ready=True
    ):
        self.directory = tempfile.TemporaryDirectory(prefix="sluice-test-")
        self.file = Path(self.directory.name) / "sluice.yaml"
        if settings is not None:
            self.configure(settings)
            arguments = ["run", "--config", str(self.file), *options]
        self.command = [binary(), *arguments]
        if descriptors:
            self.command = ["prlimit", f"--nofile={descriptors}:{descriptors}", *self.command]
        self.awaits_ready = awaits_ready
        self.environment = None
        self.popen_options = {}
        self.lines = []
        self.log = []
        self.changed = threading.Condition()
        self.is_stopped = False

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, errors="replace", env=self.environment,
            **self.popen_options,
        )
        self.reader = threading.Thread(target=self.read_log, daemon=True)
        self.reader.start()
        try:
            if self.awaits_ready:
                self.wait_for("ready")
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, kind, *_):
        status = self.process.poll()
        self.end()
        if not self.is_stopped and kind is None:
            assert status is None, f"sluice ended by itself with {status}:\n{self.text}"

    def end(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.directory.cleanup()
        print(f"log of {' '.join(self.command)}:")
        print("\n".join(self.lines[-LOG_LINES_SHOWN:]))

    def configure(self, settings):
        """Puts another configuration in the place of the one there is, as editors do."""
        new = self.file.with_suffix(".new")
        # JSON is YAML, and Python can write it without a package.
        new.write_text(settings if isinstance(settings, str) else json.dumps(settings, indent=2))
        new.rename(self.file)

    def reload(self, settings=None):
        """Has the configuration read again; the record of what came of it."""
        if settings is not None:
            self.configure(settings)
        outcomes = ("reloaded", "reload refused: the edge goes on with the configuration it has")

        def count():
            return sum(record.get("message") in outcomes for record in list(self.log))

        before = count()
        self.process.send_signal(signal.SIGHUP)
        eventually(lambda: count() > before, "the reload to be over")
        return [record for record in list(self.log) if record.get("message") in outcomes][-1]

    def read_log(self):
        for line in self.process.stderr:
            line = line.rstrip("\n")
            with self.changed:
                self.lines.append(line)
                try:
                    record = json.loads(line)
                except ValueError:
                    record = None
                if isinstance(record, dict):
                    self.log.append(record)
                self.changed.notify_all()
        with self.changed:
            self.changed.notify_all()

    @property
    def text(self):
        return "\n".join(self.lines)

    def records(self, message, **keys):
        """The log records with this message and these values."""
        return [
            record
            for record in list(self.log)
            if record.get("message") == message
            and all(str(record.get(key)) == str(value) for key, value in keys.items())
        ]

    def wait_for(self, message, *, count=1, timeout=10.0, **keys):
        """The `count`th record with this message and these values, when it has come."""
        end = time.monotonic() + timeout
        with self.changed:
            while len(found := self.records(message, **keys)) < count:
                left = end - time.monotonic()
                if left <= 0 or not self.reader.is_alive():
                    raise AssertionError(
                        f"no {message} {keys or ''} in the log (exit status"
                        f" {self.process.poll()}):\n{self.text}"
                    )
                self.changed.wait(min(left, 0.2))
        return found[count - 1]

    @property
    def addresses(self):
        return [record["address"] for record in self.records("listening")]

    @property
    def address(self):
        return self.addresses[0]

    @property
    def port(self):
        return int(self.address.rpartition(":")[2])

    def url(self, path="/", *, scheme="ws", listener=0, host="127.0.0.1"):
        port = self.addresses[listener].rpartition(":")[2]
        return f"{scheme}://{host}:{port}{path}"

    def signal(self, number=signal.SIGTERM):
        self.is_stopped = True
        self.process.send_signal(number)

    def wait_for_exit(self, timeout=10.0):
        """The exit status; the whole log has been read when it returns."""
        self.is_stopped = True
        status = self.process.wait(timeout)
        self.reader.join(timeout)
        return status

    @property
    def resident(self):
        """Resident memory in octets."""
        return self.memory("VmRSS")

    @property
    def peak_resident(self):
        """The most that it has been since `forget_peak()`."""
        return self.memory("VmHWM")

    def forget_peak(self):
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def memory(self, key):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the process has no resident memory: it has ended")

    @property
    def descriptor_count(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    @property
    def processor_seconds(self):
        """User and system time so far."""
        after_name = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")
