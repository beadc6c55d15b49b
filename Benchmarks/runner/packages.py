"""Debian's packages of the peers."""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

POLICY = Path("/usr/sbin/policy-rc.d")


def install(packages):
    """Installs what is missing of `packages`, and gives those that cannot be had."""
    missing = [package for package in packages if not _is_installed(package)]
    if not missing:
        return []
    if not shutil.which("apt-get"):
        print("run: no apt-get here; left out:", ", ".join(missing), file=sys.stderr)
        return missing
    _as_root("apt-get", "update")
    with _no_services():
        # One by one: a package that this release does not have leaves the others as they are.
        return [
            package for package in missing
            if not _as_root(
                "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes",
                "--no-install-recommends", package)
        ]


def _is_installed(package):
    done = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package],
        capture_output=True, text=True, check=False)
    return done.stdout == "installed"


def _as_root(*command):
    """Whether a command, run as root, has worked."""
    prefix = [] if os.geteuid() == 0 else ["sudo"]
    try:
        return subprocess.run([*prefix, *command], check=False).returncode == 0
    except OSError as error:
        print(f"run: {command[0]}: {error}", file=sys.stderr)
        return False


@contextmanager
def _no_services():
    """Debian starts a service once it is installed. Not these: they would hold ports, and run
    beside what is measured (policy-rc.d: 101 forbids)."""
    is_ours = not POLICY.exists() and _as_root(
        "sh", "-c", f"printf '#!/bin/sh\\nexit 101\\n' >{POLICY} && chmod 755 {POLICY}")
    try:
        yield
    finally:
        if is_ours:
            _as_root("rm", "-f", str(POLICY))
