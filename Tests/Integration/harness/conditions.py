"""Waiting for something to become true, with a limit and a message."""

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
