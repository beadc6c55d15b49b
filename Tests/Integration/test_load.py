"""Two thousand tunnels at once, and what they cost."""

import asyncio
import resource

import pytest
from websockets.asyncio.client import connect as websocket

from harness.conditions import eventually
from harness.edge import Edge, configuration

TUNNELS = 2_000
# Resident memory that one idle plain tunnel may cost.
OCTETS_PER_TUNNEL = 16 * 1024


async def hold_all_open(edge):
    """Opens every tunnel, sends through each while all are open, then closes them."""
    gate = asyncio.Semaphore(100)
    clients = []

    async def open_one(number):
        async with gate:
            clients.append(
                await websocket(
                    edge.url(f"/{number}"), proxy=None, compression=None, ping_interval=None,
                    open_timeout=60, close_timeout=60,
                )
            )  # fmt: skip

    async def talk(number, client):
        for size in (1, 1_000):
            message = f"{number}:" + "x" * size
            await client.send(message)
            assert await asyncio.wait_for(client.recv(), 60) == message

    try:
        await asyncio.gather(*(open_one(number) for number in range(TUNNELS)))
        await asyncio.gather(*(talk(number, client) for number, client in enumerate(clients)))
        return edge.resident
    finally:
        await asyncio.gather(*(client.close() for client in clients))


def test_two_thousand_tunnels(enter, node_backend):
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 3 * TUNNELS:
        pytest.skip(f"needs {3 * TUNNELS} descriptors: raise `ulimit -n`")
    edge = enter(Edge(configuration(node_backend.url)))
    before, descriptors = edge.resident, edge.descriptor_count
    grown = asyncio.run(hold_all_open(edge)) - before
    assert grown < TUNNELS * OCTETS_PER_TUNNEL, f"{grown / TUNNELS:.0f} octets for each tunnel"
    edge.wait_for("tunnel", count=TUNNELS, timeout=30)
    assert len({record["request_id"] for record in edge.records("tunnel")}) == TUNNELS
    eventually(lambda: edge.descriptor_count <= descriptors + 2, "descriptors to be closed")
