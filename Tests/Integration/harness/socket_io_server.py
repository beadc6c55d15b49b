"""A Socket.IO server (python-socketio on aiohttp), a program of the system's Python.

Arguments: a name that it tells its clients, a port (0 for any), and the page that it serves at `/`.
It prints its port when it listens.
"""

import asyncio
import sys

import socketio
from aiohttp import web

name, port, page = sys.argv[1], int(sys.argv[2]), sys.argv[3]
server = socketio.AsyncServer(async_mode="aiohttp", cors_allowed_origins="*")


@server.event
async def connect(session, _):
    await server.emit("hello", name, to=session)


@server.event
async def where(session):
    # Its own `transport` looks for the session under the wrong name in this version.
    engine = server.manager.eio_sid_from_sid(session, "/")
    return {"server": name, "transport": server.eio.transport(engine)}


@server.event
async def echo(_, thing):
    return thing


@server.event
async def count(session, to):
    """Sends the numbers below `to`, each as an event."""
    for number in range(to):
        await server.emit("number", number, to=session)


@server.event
async def join(session, room):
    server.enter_room(session, room)


@server.event
async def say(session, room, text):
    await server.emit("said", text, room=room, skip_sid=session)


@server.event
async def shout(session, text):
    await server.emit("shouted", text, skip_sid=session)


async def answer(_):
    return web.Response(text=page, content_type="text/html")


@web.middleware
async def gather(request, handler):
    """The engine takes the part of a body that has come for all of it: it is to have come."""
    if octets := await request.read():
        request.content.unread_data(octets)
    return await handler(request)


async def main():
    application = web.Application(middlewares=[gather], client_max_size=1 << 22)
    server.attach(application)
    application.router.add_get("/", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
