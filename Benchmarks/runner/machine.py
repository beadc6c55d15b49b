"""What the machine is, what processes cost, and what others take from it meanwhile."""

import os
import platform
import resource
import subprocess
from pathlib import Path


def text_of(*command):
    """What a command prints, on whichever stream; empty where it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout + done.stderr).strip()


def description():
    """The machine in a few words each."""
    cpu = _value("/proc/cpuinfo", "model name") or platform.machine()
    memory = int((_value("/proc/meminfo", "MemTotal") or "0 kB").split()[0]) / (1 << 20)
    system = _value("/etc/os-release", "PRETTY_NAME", "=").strip('"')
    return {
        "cpu": f"{cpu}, {os.cpu_count()} cores",
        "memory": f"{memory:.0f} GB",
        "kernel": platform.release(),
        "system": system,
    }


def _value(path, name, separator=":"):
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next(
        (line.partition(separator)[2].strip() for line in lines if line.startswith(name)), "")


def descriptor_limit():
    """The descriptors that a process may have, once it has raised its limit as far as it may."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def family(pid):
    """A process and all its descendants."""
    members = [pid]
    for task in _entries(f"/proc/{pid}/task"):
        try:
            children = Path(f"/proc/{pid}/task/{task}/children").read_text(encoding="ascii")
        except OSError:
            continue
        for child in children.split():
            members += family(int(child))
    return members


def cpu_nanoseconds(pids):
    """CPU time that processes, with their descendants, have had (schedstat, nanoseconds)."""
    total = 0
    for pid in pids:
        for member in family(pid):
            for task in _entries(f"/proc/{member}/task"):
                try:
                    text = Path(f"/proc/{member}/task/{task}/schedstat").read_text("ascii")
                    total += int(text.split()[0])
                except OSError:
                    pass
    return total


def spent_nanoseconds(pids):
    """The same to the tick, with what threads have had that are gone (/proc/PID/stat)."""
    ticks = 0
    for pid in pids:
        for member in family(pid):
            try:
                text = Path(f"/proc/{member}/stat").read_text("ascii", errors="replace")
            except OSError:
                continue
            # utime and stime, counted behind the name, which may hold anything.
            ticks += sum(map(int, text.rpartition(")")[2].split()[11:13]))
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def resident_octets(pids):
    """Their proportional set size: pages that several processes share count once in all. Without
    pages of files: of these the count changes when another process maps the same library."""
    total = 0
    for pid in pids:
        for member in family(pid):
            for name in ("Pss_Anon", "Pss_Shmem"):
                value = _value(f"/proc/{member}/smaps_rollup", name)
                total += int(value.split()[0]) * 1024 if value else 0
    return total


def busy_nanoseconds():
    """CPU time that all processes of the machine have had, and what its host took (stolen)."""
    fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    user, nice, system, _, _, irq, softirq, stolen = (int(field) for field in fields[:8])
    tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) * tick, stolen * tick


def _entries(path):
    try:
        return os.listdir(path)
    except OSError:
        return []
