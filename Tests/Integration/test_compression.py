"""permessage-deflate (RFC 7692): passed on, taken out, or done by the edge for its servers."""

import html
import json
import random
import threading
import zlib

import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import connect as websocket

from harness import browser
from harness.authority import pair
from harness.backends import WebSocketsBackend, switching
from harness.deflate import Deflater, Inflater, parameters, zeros
from harness.edge import Edge, configuration
from harness.ends import Tunnels
from harness.wire import BINARY, PING, PONG, TEXT, frame, header

CONTINUATION = 0
DEFLATE = "permessage-deflate"
KIB, MIB = 1 << 10, 1 << 20
# What one tunnel's message may cost the process while it is inflated, buffers and all.
GROWTH = 24 * MIB
PROSE = b"Nothing is so painful to the human mind as a great and sudden change. " * 200


def offering(*offers):
    return {"fields": [("Sec-WebSocket-Extensions", offer) for offer in offers]}


def accepting(request):
    """A server that takes whatever is offered first, as it is offered."""
    if "Sec-WebSocket-Extensions" not in request:
        return switching(request)
    offer = request["Sec-WebSocket-Extensions"].partition(",")[0].strip()
    return switching(request, Sec_WebSocket_Extensions=offer)


# MARK: pass, off


def test_pass_is_the_default(tunnels):
    ends = tunnels(answer=accepting).open(**offering(f"{DEFLATE}; client_no_context_takeover"))
    assert ends.server.request["Sec-WebSocket-Extensions"].startswith(DEFLATE)
    assert ends.client.response["Sec-WebSocket-Extensions"].startswith(DEFLATE)


def test_pass(tunnels):
    """Parameters and compressed frames go through as they are."""
    offer = f"{DEFLATE}; client_no_context_takeover; server_max_window_bits=10"
    ends = tunnels(answer=accepting, route={"compression": "pass"}).open(**offering(offer))
    for head in (ends.server.request, ends.client.response):
        assert parameters(head["Sec-WebSocket-Extensions"]) == parameters(offer)
    sent = frame(TEXT, Deflater()(PROSE), rsv1=True, masked=True)
    ends.client.send(sent)
    assert ends.server.read_exactly(len(sent)) == sent


def test_message_size_of_what_passes_is_that_on_the_wire(tunnels):
    route = {"compression": "pass", "limits": {"message_size": "1KiB"}}
    ends = tunnels(answer=accepting, route=route).open(**offering(DEFLATE))
    octets = Deflater()(PROSE)
    assert len(octets) < KIB < len(PROSE)
    ends.client.send_frame(TEXT, octets, rsv1=True)
    assert Inflater()(ends.server.read_frame()[1]) == PROSE


def test_off(tunnels):
    """The server is not asked, and the client gets no extension."""
    ends = tunnels(answer=accepting, route={"compression": "off"}).open(**offering(DEFLATE))
    assert DEFLATE not in ends.server.request.octets.decode()
    assert "Sec-WebSocket-Extensions" not in ends.client.response
    ends.check_passes()
    ends.client.send(header(TEXT, 5, key=b"\0\0\0\0", reserved=4))
    assert ends.client.read_close().code == 1002


def test_off_takes_every_offer_out(tunnels):
    offers = offering(f"{DEFLATE}; server_max_window_bits=10, {DEFLATE}", f"{DEFLATE}")
    ends = tunnels(route={"compression": "off"}).open(**offers)
    assert DEFLATE not in ends.server.request.octets.decode()


def test_a_client_without_it(tunnels):
    for compression in ("pass", "off", "offload"):
        ends = tunnels(answer=accepting, route={"compression": compression}).open()
        assert "Sec-WebSocket-Extensions" not in ends.client.response
        assert "Sec-WebSocket-Extensions" not in ends.server.request
        ends.check_passes()


# MARK: offload: what is negotiated


@pytest.fixture(scope="module")
def offloading(enter_for_module):
    return enter_for_module(Tunnels(answer=accepting, route={"compression": "offload"}))


# Whether the edge may take an offer, and what its answer then has to say.
OFFERS = {
    "plain": (DEFLATE, True, {}),
    "client bits, any": (f"{DEFLATE}; client_max_window_bits", True, {}),
    "client bits 12": (f"{DEFLATE}; client_max_window_bits=12", True, {}),
    "client bits 15": (f"{DEFLATE}; client_max_window_bits=15", True, {}),
    "client bits in quotes": (f'{DEFLATE}; client_max_window_bits="10"', True, {}),
    "server bits 9": (f"{DEFLATE}; server_max_window_bits=9", True, {"server_max_window_bits": 9}),
    "server bits 12": (
        f"{DEFLATE}; server_max_window_bits=12", True, {"server_max_window_bits": 12},
    ),
    "server bits 15": (
        f"{DEFLATE}; server_max_window_bits=15", True, {"server_max_window_bits": 15},
    ),
    "no server takeover": (
        f"{DEFLATE}; server_no_context_takeover", True, {"server_no_context_takeover": None},
    ),
    "no client takeover": (f"{DEFLATE}; client_no_context_takeover", True, {}),
    "all at once": (
        f"{DEFLATE}; client_max_window_bits=11; server_max_window_bits=10;"
        " server_no_context_takeover; client_no_context_takeover",
        True, {"server_max_window_bits": 10, "server_no_context_takeover": None},
    ),
    "the second of two": (f"{DEFLATE}; nonsense, {DEFLATE}", True, {}),
    "behind another extension": (f"x-other; a=b, {DEFLATE}", True, {}),
    "another name": ("x-webkit-deflate-frame", False, {}),
    "an unknown parameter": (f"{DEFLATE}; nonsense", False, {}),
    "bits 16": (f"{DEFLATE}; server_max_window_bits=16", False, {}),
    "bits 7": (f"{DEFLATE}; client_max_window_bits=7", False, {}),
    "bits with a zero first": (f"{DEFLATE}; server_max_window_bits=09", False, {}),
    "bits that are no number": (f"{DEFLATE}; server_max_window_bits=x", False, {}),
    "server bits without a value": (f"{DEFLATE}; server_max_window_bits", False, {}),
    "takeover with a value": (f"{DEFLATE}; server_no_context_takeover=1", False, {}),
    "a parameter twice": (
        f"{DEFLATE}; client_no_context_takeover; client_no_context_takeover", False, {},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("offer", "is_good", "wanted"), OFFERS.values(), ids=OFFERS)
def test_offers(offloading, offer, is_good, wanted):
    """RFC 7692 §7.1: one is taken with its conditions, or none; the tunnel works either way."""
    ends = offloading.open(**offering(offer))
    assert DEFLATE not in ends.server.request.octets.decode(), "the server was asked"
    if not is_good:
        assert "Sec-WebSocket-Extensions" not in ends.client.response
        return ends.check_passes()
    name, answered = parameters(ends.client.response["Sec-WebSocket-Extensions"])
    assert name == DEFLATE
    assert set(wanted) <= set(answered)
    most = wanted.get("server_max_window_bits", 15)
    assert int(answered.get("server_max_window_bits") or 15) <= most
    # §7.1.2.2: the answer may only have it where the offer did, and not more than that.
    if "client_max_window_bits" in answered:
        assert "client_max_window_bits" in offer
        assert 8 <= int(answered["client_max_window_bits"]) <= 15
    check_compressed_both_ways(ends, answered)
    ends.close()


def check_compressed_both_ways(ends, answered):
    """Messages in both directions, by the letter of what was negotiated."""
    bits = max(9, int(answered.get("client_max_window_bits") or 15))
    deflate = Deflater(bits=bits, takeover="client_no_context_takeover" not in answered)
    bits = int(answered.get("server_max_window_bits") or 15)
    inflate = Inflater(bits=bits, takeover="server_no_context_takeover" not in answered)
    chance = random.Random(7)
    # It comes again at a distance that only a large window spans.
    far = chance.randbytes(3_000)
    for message in (PROSE, far + far, b"", PROSE, far, b"x", bytes(200_000)):
        ends.client.send_frame(BINARY, deflate(message), rsv1=True)
        each = read_message(ends.server)
        assert each == (BINARY, False, message)
        ends.server.send_frame(TEXT if message.isascii() else BINARY, message)
        _, is_compressed, payload = read_message(ends.client)
        assert (inflate(payload) if is_compressed else payload) == message


def read_message(wire):
    """(opcode, whether it is compressed, payload) of the next message, fragments joined."""
    first = wire.read_whole_frame()
    parts, last = [first.payload], first
    while not last.final:
        last = wire.read_whole_frame()
        assert last.opcode == CONTINUATION and not last.rsv1
        parts.append(last.payload)
    return first.opcode, first.rsv1, b"".join(parts)


def test_bits_8_are_kept_or_declined(offloading):
    """zlib cannot make a window of 256 octets: whoever takes the offer has to manage it."""
    ends = offloading.open(**offering(f"{DEFLATE}; server_max_window_bits=8"))
    if "Sec-WebSocket-Extensions" not in ends.client.response:
        return ends.check_passes()
    _, answered = parameters(ends.client.response["Sec-WebSocket-Extensions"])
    assert answered["server_max_window_bits"] == "8"
    far = random.Random(8).randbytes(300)
    ends.server.send_frame(BINARY, far + far)
    _, is_compressed, payload = read_message(ends.client)
    assert (Inflater(bits=8)(payload) if is_compressed else payload) == far + far


# MARK: offload: messages


def test_what_the_server_says_is_compressed(offloading):
    """Large compressible messages shrink, and the second one by what the first has taught."""
    ends = offloading.open(**offering(DEFLATE))
    _, answered = parameters(ends.client.response["Sec-WebSocket-Extensions"])
    sizes = []
    for _ in range(2):
        ends.server.send_frame(TEXT, PROSE)
        _, is_compressed, payload = read_message(ends.client)
        assert is_compressed
        sizes.append(len(payload))
    assert sizes[0] < len(PROSE) / 10
    if "server_no_context_takeover" not in answered:
        assert sizes[1] < sizes[0]


def test_messages_that_the_client_did_not_compress(offloading):
    """§6: compression is for each message to use or not."""
    ends = offloading.open(**offering(DEFLATE))
    deflate = Deflater()
    for number in range(10):
        message = b"%d" % number + PROSE
        if number % 2:
            ends.client.send_frame(TEXT, message)
        else:
            ends.client.send_frame(TEXT, deflate(message), rsv1=True)
        assert read_message(ends.server) == (TEXT, False, message)


def test_compressed_fragments(offloading):
    """A compressed message may be cut anywhere, control frames between the pieces."""
    ends = offloading.open(**offering(DEFLATE))
    octets = Deflater()(PROSE)
    for cut in (0, 1, 2, len(octets) // 2, len(octets) - 1, len(octets)):
        ends.client.send_frame(TEXT, octets[:cut], rsv1=True, final=False)
        ends.client.send_frame(PING, b"between")
        ends.client.send_frame(CONTINUATION, octets[cut:])
        assert_frames(ends.server, PROSE)
        ends.client.close()
        ends = offloading.open(**offering(DEFLATE))


def assert_frames(wire, message):
    """The message arrives whole and plain, and the ping that stood in it somewhere."""
    parts, pings, is_whole = [], 0, False
    while not (is_whole and pings):
        each = wire.read_whole_frame()
        assert not each.rsv1
        if each.opcode == PING:
            pings += 1
            assert each.payload == b"between"
            continue
        parts.append(each.payload)
        is_whole = each.final
    assert b"".join(parts) == message


def test_a_compressed_message_octet_by_octet(offloading):
    ends = offloading.open(**offering(DEFLATE))
    for octet in frame(TEXT, Deflater()(PROSE), rsv1=True, masked=True):
        ends.client.send(bytes([octet]))
    assert read_message(ends.server) == (TEXT, False, PROSE)


def test_empty_messages(offloading):
    """§7.2.3.6: an empty one is one octet of zeros, and other forms are legal."""
    ends = offloading.open(**offering(DEFLATE))
    for octets in (b"\x00", b"\x02\x00", b"\x00\x00\x00\xff\xff\x00"):
        ends.client.send_frame(TEXT, octets, rsv1=True)
        assert read_message(ends.server) == (TEXT, False, b"")
    ends.client.send_frame(TEXT, b"")
    assert read_message(ends.server) == (TEXT, False, b"")
    ends.server.send_frame(TEXT, b"")
    _, is_compressed, payload = read_message(ends.client)
    assert (Inflater()(payload) if is_compressed else payload) == b""


def test_a_message_with_a_final_block(offloading):
    """§7.2.3.4: a message may end with a block that says it is the last."""
    ends = offloading.open(**offering(f"{DEFLATE}; client_no_context_takeover"))
    for _ in range(2):
        stream = zlib.compressobj(wbits=-15)
        octets = stream.compress(PROSE) + stream.flush(zlib.Z_FINISH) + b"\x00"
        ends.client.send_frame(TEXT, octets, rsv1=True)
        assert read_message(ends.server) == (TEXT, False, PROSE)


def test_control_frames_are_not_compressed(offloading):
    ends = offloading.open(**offering(DEFLATE))
    ends.client.send_frame(PING, b"from the client")
    assert ends.server.read_whole_frame() == (PING, b"from the client", True, False)
    ends.server.send_frame(PONG, b"from the client")
    assert ends.client.read_whole_frame() == (PONG, b"from the client", True, False)
    ends.client.send_close(4000, "enough")
    assert ends.server.read_close().reason == "enough"
    ends.server.send_close(4000)
    assert ends.client.read_close().code == 4000


def test_the_server_may_not_compress(offloading):
    """It was not asked: a reserved bit of it is a fault."""
    ends = offloading.open(**offering(DEFLATE))
    ends.server.send(header(TEXT, 5, reserved=4))
    assert ends.server.read_close().code == 1002
    assert ends.client.read_close().code == 1011


FACTORIES = {
    "takeover both ways": {},
    "no takeover of the server": {"server_no_context_takeover": True},
    "no takeover of the client": {"client_no_context_takeover": True},
    "no takeover": {"server_no_context_takeover": True, "client_no_context_takeover": True},
    "client bits, any": {"client_max_window_bits": True},
    "client bits 9": {"client_max_window_bits": 9},
    "server bits 9": {"server_max_window_bits": 9},
    "server bits 11, client bits 13": {"server_max_window_bits": 11, "client_max_window_bits": 13},
    "small and without takeover": {
        "server_max_window_bits": 9, "client_max_window_bits": 9,
        "server_no_context_takeover": True, "client_no_context_takeover": True,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def plain_echo(enter_for_module):
    """`websockets` as a server that knows no compression."""
    return enter_for_module(WebSocketsBackend(compression=None))


@pytest.fixture(scope="module", params=["ws", "wss"])
def echoing(request, enter_for_module, plain_echo, authority, localhost):
    """`echoing(**options)` is a `websockets` client at an offloading edge."""
    listener = {"address": "127.0.0.1:0"}
    options = {"proxy": None, "max_size": None, "ping_interval": None}
    if request.param == "wss":
        listener |= {"tls": {"certificates": [pair(localhost)]}}
        options |= {"ssl": authority.client_context(), "server_hostname": "localhost"}
    route = {"compression": "offload"}
    settings = configuration(plain_echo.url, listeners=[listener], route=route)
    edge = enter_for_module(Edge(settings))
    return lambda **more: websocket(edge.url(scheme=request.param), **options | more)


@pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES)
def test_websockets_against_a_server_without_it(echoing, plain_echo, factory):
    """All that a client library sends: large, small, many, in fragments, empty."""
    extensions = [ClientPerMessageDeflateFactory(**factory)]
    with echoing(compression=None, extensions=extensions) as client:
        assert [each.name for each in client.protocol.extensions] == [DEFLATE]
        assert DEFLATE not in str(plain_echo.requests[-1].headers)
        chance = random.Random(1)
        words = ["%x" % chance.getrandbits(32) for _ in range(200)]
        for message in (
            "", b"", "a", "compressible " * 100_000, chance.randbytes(1_000_000),
            *(" ".join(chance.choices(words, k=50)) for _ in range(200)),
        ):  # fmt: skip
            client.send(message)
            assert client.recv(30) == message
        for parts in (["", "a", ""], ["ab" * 50_000, "cd", "ef" * 50_000], [b"x"] * 50):
            client.send(iter(parts))
            assert client.recv(30) == parts[0][:0].join(parts)


def test_many_messages_in_flight(echoing):
    with echoing() as client:
        messages = [json.dumps({"number": n, "text": "word " * (n % 97)}) for n in range(2_000)]
        sender = threading.Thread(target=lambda: [client.send(each) for each in messages])
        sender.start()
        assert [client.recv(30) for _ in messages] == messages
        sender.join(30)


def test_several_clients_at_once(enter, echoing):
    """No window is another's: what one tunnel has learned, the other does not know."""
    clients = [enter(echoing()) for _ in range(8)]
    for turn in range(20):
        for number, client in enumerate(clients):
            client.send(f"client {number} " * (100 + turn))
        for number, client in enumerate(clients):
            assert client.recv(30) == f"client {number} " * (100 + turn)


# MARK: offload: limits


def bomb(ends, octets, *, limit):
    """Sends it; the process may not grow by more than `limit` at any time."""
    ends.edge.forget_peak()
    before = ends.edge.resident
    sender = threading.Thread(target=send_all, args=(ends.client, octets), daemon=True)
    sender.start()
    # The beginning of it may have passed, since it is inflated as it arrives.
    closing = threading.Thread(target=drain, args=(ends.server,), daemon=True)
    closing.start()
    assert ends.client.read_close().code == 1009
    grown = ends.edge.peak_resident - before
    assert grown < limit, f"{grown / MIB:.1f} MiB"
    ends.close()
    for thread in (sender, closing):
        thread.join(10)
    ends.check_record(reason="message_size", closed_by="edge")


def send_all(wire, octets):
    try:
        wire.send(octets)
    except OSError:
        pass


def drain(wire):
    try:
        while wire.socket.recv(MIB):
            pass
    except OSError:
        pass


def test_a_bomb(tunnels):
    """256 MiB of zeros in a quarter of one, on a route that allows messages of 1 MiB."""
    route = {"compression": "offload", "limits": {"message_size": "1MiB"}}
    ends = tunnels(route=route).open(**offering(DEFLATE))
    octets = zeros(256 * MIB)
    assert len(octets) < MIB
    bomb(ends, frame(BINARY, octets, rsv1=True, masked=True), limit=GROWTH)


def test_a_bomb_where_nothing_is_said_about_sizes(tunnels):
    """16 MiB are the limit then."""
    ends = tunnels(route={"compression": "offload"}).open(**offering(DEFLATE))
    bomb(ends, frame(BINARY, zeros(256 * MIB), rsv1=True, masked=True), limit=GROWTH + 16 * MIB)


def test_a_bomb_in_fragments(tunnels):
    route = {"compression": "offload", "limits": {"message_size": "1MiB"}}
    ends = tunnels(route=route).open(**offering(DEFLATE))
    octets = zeros(256 * MIB)
    sent = frame(BINARY, octets[:100], rsv1=True, final=False, masked=True)
    for start in range(100, len(octets), 100):
        sent += frame(CONTINUATION, octets[start : start + 100], final=False, masked=True)
    bomb(ends, sent, limit=GROWTH)


def test_many_bombs_at_once(tunnels):
    """Twenty clients: what each may cost is a message, not what it unpacks to."""
    route = {"compression": "offload", "limits": {"message_size": "1MiB"}}
    held = tunnels(route=route)
    octets = frame(BINARY, zeros(64 * MIB), rsv1=True, masked=True)
    every = [held.open(**offering(DEFLATE)) for _ in range(20)]
    held.edge.forget_peak()
    before = held.edge.resident
    for ends in every:
        threading.Thread(target=send_all, args=(ends.client, octets), daemon=True).start()
        threading.Thread(target=drain, args=(ends.server,), daemon=True).start()
    for ends in every:
        assert ends.client.read_close().code == 1009
        ends.close()
    grown = held.edge.peak_resident - before
    assert grown < 20 * 2 * MIB + GROWTH, f"{grown / MIB:.1f} MiB"


def test_message_size_is_that_of_the_inflated_message(tunnels):
    route = {"compression": "offload", "limits": {"message_size": "64KiB"}}
    held = tunnels(route=route)
    ends = held.open(**offering(DEFLATE))
    deflate = Deflater()
    message = b"x" * (64 * KIB)
    ends.client.send_frame(TEXT, deflate(message), rsv1=True)
    assert read_message(ends.server) == (TEXT, False, message)
    ends.client.send_frame(TEXT, deflate(message + b"x"), rsv1=True)
    assert ends.client.read_close().code == 1009
    ends.client.send_close(1009)
    ends.server.close()
    ends.check_record(reason="message_size", closed_by="edge")
    ends = held.open(**offering(DEFLATE))
    ends.client.send_frame(TEXT, b"x" * (64 * KIB + 1))
    assert ends.client.read_close().code == 1009


def test_message_size_of_the_server(tunnels):
    route = {"compression": "offload", "limits": {"message_size": "64KiB"}}
    ends = tunnels(route=route).open(**offering(DEFLATE))
    ends.server.send_frame(TEXT, b"x" * (64 * KIB))
    _, is_compressed, payload = read_message(ends.client)
    assert (Inflater()(payload) if is_compressed else payload) == b"x" * (64 * KIB)
    ends.server.send(header(TEXT, 64 * KIB + 1))
    ends.check_closed(client=1001, server=1009, reason="message_size")


BROKEN = {
    "a block of no type": b"\x07\xff\xff",
    "a stored block whose lengths disagree": b"\x00\x05\x00\x00\x00hello",
    "more codes than there are": bytes([0b00000101, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]),
    "a distance beyond the beginning": bytes.fromhex("4b04c2ff"),
}


@pytest.mark.parametrize("octets", BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_inflated(offloading, octets):
    with pytest.raises(Exception):
        Inflater()(octets)
    ends = offloading.open(**offering(DEFLATE))
    ends.client.send_frame(TEXT, octets, rsv1=True)
    assert ends.client.read_close().code == 1007
    # A part of the message may have been inflated and passed.
    frames, close = ends.server.read_frames_to_close()
    assert close.code == 1001 and not any(each.final for each in frames)
    ends.client.send_close(1007)
    ends.server.send_close(1001)
    ends.check_record(
        reason="bad_compression", closed_by="edge", close_code=(1007, 1001)
    )


def test_a_reference_beyond_the_agreed_window(offloading):
    """A client that agreed to forget and refers to the message before."""
    ends = offloading.open(**offering(f"{DEFLATE}; client_no_context_takeover"))
    _, answered = parameters(ends.client.response["Sec-WebSocket-Extensions"])
    if "client_no_context_takeover" not in answered:
        pytest.skip("the edge keeps the window although the client would do without")
    far = random.Random(3).randbytes(1_000)
    deflate = Deflater(takeover=True)
    ends.client.send_frame(BINARY, deflate(far), rsv1=True)
    assert read_message(ends.server) == (BINARY, False, far)
    ends.client.send_frame(BINARY, deflate(far), rsv1=True)
    assert ends.client.read_close().code == 1007


def test_broken_messages_behind_good_ones(offloading):
    ends = offloading.open(**offering(DEFLATE))
    ends.client.send_frame(TEXT, Deflater()(PROSE), rsv1=True)
    ends.client.send_frame(TEXT, BROKEN["a block of no type"], rsv1=True)
    assert read_message(ends.server) == (TEXT, False, PROSE)
    assert ends.client.read_close().code == 1007


def test_messages_are_counted(offloading):
    ends = offloading.open(**offering(DEFLATE))
    deflate = Deflater()
    for _ in range(5):
        ends.client.send_frame(TEXT, deflate(PROSE), rsv1=True)
        read_message(ends.server)
    ends.server.send_frame(TEXT, PROSE)
    read_message(ends.client)
    ends.client.send_close(1000)
    ends.server.send_close(1000)
    ends.check_record(messages_in=5, messages_out=1, reason="closed")


def test_the_rate_of_messages(tunnels):
    limits = {"messages": {"rate": "1/m", "burst": 2, "exceed": "close"}}
    route = {"compression": "offload", "limits": limits}
    ends = tunnels(route=route).open(**offering(DEFLATE))
    deflate = Deflater()
    for _ in range(3):
        ends.client.send_frame(TEXT, deflate(PROSE), rsv1=True)
    for _ in range(2):
        assert read_message(ends.server) == (TEXT, False, PROSE)
    ends.check_closed(client=1008, server=1001, reason="message_rate")


def test_heartbeats_between_compressed_messages(tunnels):
    route = {"compression": "offload", "heartbeat": {"interval": "1s", "timeout": "5s"}}
    ends = tunnels(route=route).open(**offering(DEFLATE))
    inflate = Inflater()
    for _ in range(2):
        each = ends.client.read_whole_frame()
        assert (each.opcode, each.rsv1) == (PING, False)
        ends.client.send_frame(PONG, each.payload)
        ends.server.send_frame(TEXT, PROSE)
        _, is_compressed, payload = read_message(ends.client)
        assert (inflate(payload) if is_compressed else payload) == PROSE
    ends.client.send_frame(TEXT, b"plain")
    assert ends.server.read_frame() == (TEXT, b"plain", True)


# MARK: a browser

ECHOES = """
  const socket = new WebSocket("%s");
  socket.binaryType = "arraybuffer";
  const waiting = [];
  socket.onmessage = (event) => waiting.shift()(event.data);
  const ended = new Promise((done) => { socket.onclose = done; });
  await new Promise((done, failed) => { socket.onopen = done; socket.onerror = failed; });
  const echo = (message) => new Promise((done) => { waiting.push(done); socket.send(message); });
  const wrong = [];
  let count = 0;
  for (let number = 0; number < 200; number += 1) {
    const text = `${number} ` + "all work and no play ".repeat(number * 7);
    if (await echo(text) !== text) wrong.push(number);
    count += 1;
  }
  const octets = new Uint8Array(500000).map((_, index) => index * index);
  const back = new Uint8Array(await echo(octets));
  if (back.length !== octets.length || back.some((each, index) => each !== octets[index]))
    wrong.push("binary");
  if (await echo("") !== "") wrong.push("empty");
  const extensions = socket.extensions;
  socket.close(4000, "enough");
  const { code, reason, wasClean } = await ended;
  return { extensions, wrong, count, code, reason, wasClean };
"""

ENDED = """
  const socket = new WebSocket("%s");
  const { code, reason, wasClean } = await new Promise((done) => { socket.onclose = done; });
  return { code, reason, wasClean };
"""


def in_browser(chromium, script, url):
    return json.loads(html.unescape(browser.outcome(chromium, script % url)))


def test_chromium_with_offload(enter, chromium, plain_echo):
    """Two hundred growing messages, binary and empty ones, and the closing handshake."""
    settings = configuration(plain_echo.url, route={"compression": "offload"})
    edge = enter(Edge(settings))
    seen = in_browser(chromium, ECHOES, edge.url())
    assert seen.pop("extensions").startswith(DEFLATE), seen
    assert seen == {"wrong": [], "count": 200, "code": 4000, "reason": "enough", "wasClean": True}
    record = edge.wait_for("tunnel")
    assert (record["reason"], int(record["close_code"])) == ("closed", 4000)
    assert (int(record["messages_in"]), int(record["messages_out"])) == (202, 202)


@pytest.mark.parametrize("compression", ["pass", "off"])
def test_chromium_without(enter, chromium, node_backend, compression):
    """Node's server takes the offer where it gets it."""
    edge = enter(Edge(configuration(node_backend.url, route={"compression": compression})))
    seen = in_browser(chromium, ECHOES, edge.url())
    assert seen["extensions"].startswith(DEFLATE) == (compression == "pass")
    assert (seen["wrong"], seen["count"], seen["code"]) == ([], 200, 4000)


def test_chromium_is_told_why(enter, chromium, plain_echo):
    """A browser shows the code and the reason of the edge's close, and calls it clean."""
    route = {"compression": "offload", "idle_timeout": "1s"}
    edge = enter(Edge(configuration(plain_echo.url, route=route)))
    seen = in_browser(chromium, ENDED, edge.url())
    assert (seen["code"], seen["wasClean"]) == (1001, True)
    assert seen["reason"]
    assert edge.wait_for("tunnel")["reason"] == "idle_timeout"
