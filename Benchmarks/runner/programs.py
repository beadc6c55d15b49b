"""What a runner prepares: our own programs, and the cores on which they run."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def build(product, given):
    """The path of one of our programs, built unless it was given."""
    if given:
        return given.resolve()
    command = ["swift", "build", "-c", "release", "--package-path", str(ROOT)]
    subprocess.run([*command, "--product", product], check=True)
    shown = subprocess.run(
        [*command, "--show-bin-path"], check=True, capture_output=True, text=True)
    return Path(shown.stdout.strip()) / product


def processors():
    """The servers' core and the load's. The runner keeps away from the former."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("two cores are needed, one for what is measured and one for the load")
    os.sched_setaffinity(0, cores[1:])
    return cores[0], cores[1]
