"""Waiting for something to become true, with a limit and a message."""

import signal
import time


def eventually(condition, what, timeout=10.0):
    """The first true value of `condition()`; fails when there is none within `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        time.sleep(0.01)


def is_stopped(number):
    """Whether a process stands still (SIGSTOP has reached all of it)."""
    with open(f"/proc/{number}/stat") as status:
        return status.read().rpartition(")")[2].split()[0] == "T"


class Frozen:
    """The edge takes nothing until the `with` ends: what comes meanwhile comes at once."""

    def __init__(self, edge):
        self.process = edge.process

    def __enter__(self):
        self.process.send_signal(signal.SIGSTOP)
        eventually(lambda: is_stopped(self.process.pid), "the edge to stand still")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGCONT)
