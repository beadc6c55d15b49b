"""coturn, the TURN server that most people run."""

import asyncio
import re
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from harness.backends import Program, free_port
from harness.conditions import eventually
from harness.wire import connect

OLD, NEW = "the-old-secret-of-turn-servers", "the-new-secret-of-turn-servers"


class TurnServer(Program):
    """coturn (Debian package `coturn`) on the loopback, with secrets in common with the edge."""

    def __init__(self, *secrets):
        self.secrets = secrets

    def __enter__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="sluice-turn-"))
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.log = (self.directory / "log").open("w+")
        self.start(
            shutil.which("turnserver") or "/usr/bin/turnserver",
            "-n", "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1",
            f"--listening-port={self.port}", "--realm=rooms.example", "--use-auth-secret",
            *(f"--static-auth-secret={secret}" for secret in self.secrets),
            "--allow-loopback-peers", "--no-cli", "--no-tls", "--no-dtls", "--log-file=stdout",
            "--simple-log", f"--pidfile={self.directory / 'pid'}",
            f"--userdb={self.directory / 'users'}", stdout=self.log, stderr=self.log,
        )  # fmt: skip
        eventually(self.accepts, "coturn to accept connections")
        return self

    def accepts(self):
        assert self.process.poll() is None, "coturn ended by itself"
        with suppress(OSError):
            connect(self.address).close()
            return True
        return False

    def __exit__(self, *arguments):
        super().__exit__(*arguments)
        self.log.seek(0)
        print("log of coturn:")
        print("".join(self.log.readlines()[-20:]))
        self.log.close()
        shutil.rmtree(self.directory)

    @property
    def urls(self):
        return [f"turn:{self.address}?transport={transport}" for transport in ("udp", "tcp")]

    async def relays(self, server, *, transport="udp"):
        """Whether its own client gets packets through it with these credentials."""
        return await asyncio.to_thread(self.run_client, server, transport)

    def run_client(self, server, transport):
        made = subprocess.run(
            [
                "turnutils_uclient", *(["-t"] if transport == "tcp" else []), "-y", "-c",
                "-m", "1", "-n", "3", "-p", str(self.port), "-u", server["username"],
                "-w", server["credential"], "127.0.0.1",
            ],
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        output = made.stdout + made.stderr
        if made.returncode != 0:
            assert "Cannot complete Allocation" in output, output
            return False
        assert re.search(r"tot_send_msgs=6, tot_recv_msgs=6", output), output
        assert "Total lost packets 0 " in output, output
        return True
