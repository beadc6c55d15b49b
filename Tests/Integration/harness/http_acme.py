"""Pebble (Debian) as a certificate authority for which every name is this machine."""

import json
import os
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from .backends import Program, free_port
from .conditions import eventually
from .wire import connect


class Names(Program):
    """A name server: each name is 127.0.0.1."""

    def __enter__(self):
        port, management = free_port(), free_port()
        self.address = f"127.0.0.1:{port}"
        self.start(
            "pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "",
            "-dns01", self.address, "-management", f"127.0.0.1:{management}",
            "-http01", "", "-https01", "", "-tlsalpn01", "", stdout=subprocess.DEVNULL,
        )  # fmt: skip
        eventually(lambda: accepts(f"127.0.0.1:{management}"), "the name server")
        return self


class CertificateAuthority(Program):
    """Asks for challenges at `port`; `url` is where an ACME client begins."""

    def __init__(self, names, certificate, port):
        self.names, (self.certificate, self.key), self.port = names, certificate, port

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="sluice-pebble-")
        address = f"127.0.0.1:{free_port()}"
        self.url = f"https://{address}/dir"
        file = Path(self.directory.name, "pebble.json")
        file.write_text(json.dumps({"pebble": self.settings(address)}))
        self.start(
            "pebble", "-config", file, "-dnsserver", self.names.address, stdout=subprocess.DEVNULL,
            env=os.environ | {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"},
        )  # fmt: skip
        eventually(lambda: accepts(address), "the authority")
        return self

    def settings(self, address):
        return {
            "listenAddress": address, "managementListenAddress": f"127.0.0.1:{free_port()}",
            "certificate": self.certificate, "privateKey": self.key, "httpPort": self.port,
            "tlsPort": free_port(), "ocspResponderURL": "", "externalAccountBindingRequired": False,
        }  # fmt: skip

    def __exit__(self, *arguments):
        super().__exit__(*arguments)
        self.directory.cleanup()


def accepts(address):
    with suppress(OSError):
        connect(address).close()
        return True
    return False


def certbot(authority, ca, directory, webroot, name):
    """Has a certificate issued for `name`; where it is."""
    command = [
        "certbot", "certonly", "--non-interactive", "--agree-tos", "--email", "a@example.com",
        "--webroot", "--webroot-path", webroot, "--domain", name, "--server", authority.url,
        "--config-dir", directory / "config", "--work-dir", directory / "work",
        "--logs-dir", directory / "logs",
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60,
        env=os.environ | {"REQUESTS_CA_BUNDLE": ca},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return directory / "config/live" / name / "fullchain.pem"
