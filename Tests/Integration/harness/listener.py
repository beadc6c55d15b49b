"""A client that listens until it is ended, and answers pings: `listener.py URL`."""

import sys

from websockets.sync.client import connect

with connect(sys.argv[1], proxy=None, ping_interval=None, compression=None) as client:
    print("open", flush=True)
    for _ in client:
        pass
