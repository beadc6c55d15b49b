"""A Socket.IO client (python-socketio), a program of the system's Python that does as it is told.

Each line that it reads is a list: a number, what is to be done, and arguments. Each line that it
prints is a list: the number with what came of it, or null with an event that came.
"""

import asyncio
import json
import sys

import aiohttp
import socketio

client = socketio.AsyncClient(
    reconnection_delay=0.1, reconnection_delay_max=0.5, randomization_factor=0, ssl_verify=False
)


def tell(*message):
    # Octets have no place in JSON.
    print(json.dumps(message, default=lambda octets: {"octets": len(octets)}), flush=True)


@client.on("*")
async def anything(event, *arguments):
    tell(None, event, *arguments)


@client.event
async def connect():
    tell(None, "connect")


@client.event
async def disconnect():
    tell(None, "disconnect")


async def join(url, transports=None, fields=None, cookies=None):
    """Connects like a browser: fields and cookies go with every request."""
    # `unsafe` keeps cookies of IP addresses, too.
    jar = aiohttp.CookieJar(unsafe=True)
    client.eio.http = aiohttp.ClientSession(headers=fields, cookies=cookies, cookie_jar=jar)
    await client.connect(url, transports=transports, wait_timeout=5)


async def transport():
    return client.transport()


async def call(event, *arguments):
    return await client.call(event, arguments or None, timeout=10)


async def octets(count):
    """Whether so many octets come back as they went."""
    sent = bytes(number * 31 & 255 for number in range(count))
    return await client.call("echo", sent, timeout=10) == sent


async def emit(event, *arguments):
    await client.emit(event, arguments or None)


async def leave():
    await client.disconnect()


DEEDS = {each.__name__: each for each in (join, transport, call, octets, emit, leave)}


async def do(number, deed, *arguments):
    try:
        tell(number, await DEEDS[deed](*arguments), None)
    except Exception as failure:
        tell(number, None, f"{type(failure).__name__}: {failure}")


async def main():
    reader = asyncio.StreamReader(limit=1 << 24)
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    running = set()
    while line := await reader.readline():
        task = asyncio.create_task(do(*json.loads(line)))
        running.add(task)
        task.add_done_callback(running.discard)


asyncio.run(main())
