"""What a running edge asks of its memory, counted from outside."""

import os
import struct
import subprocess
from pathlib import Path

from .edge import Edge

KINDS = ["allocations", "openssl", "retains", "releases", "accesses"]


def build(directory):
    """The library that counts. The C compiler is the one that Swift's tools have with them."""
    library = directory / "counting.so"
    source = Path(__file__).with_name("counting.c")
    # It is to be ready before any other library's initializers run.
    options = ["-O1", "-shared", "-fPIC", "-Wl,-z,initfirst"]
    subprocess.run(["clang", *options, "-o", library, source, "-ldl"], check=True)
    return library


class CountedEdge(Edge):
    """An edge that is counted from its start."""

    def __init__(self, library, settings):
        super().__init__(settings)
        self.counts_file = Path(self.directory.name) / "counts"
        self.environment = os.environ | {
            "LD_PRELOAD": str(library), "COUNTS": str(self.counts_file)
        }  # fmt: skip

    def counts(self):
        """How often each kind of thing has happened so far."""
        octets = self.counts_file.read_bytes()
        return dict(zip(KINDS, struct.unpack(f"={len(KINDS)}Q", octets), strict=True))

    def growth(self, work):
        """What `work()` adds to the counts."""
        before = self.counts()
        work()
        return {kind: count - before[kind] for kind, count in self.counts().items()}
