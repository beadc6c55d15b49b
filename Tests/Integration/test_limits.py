"""What a peer may send in a tunnel: sizes of messages, their number, and octets, at a rate."""

import threading
import time

import pytest

from harness.ends import SIDES
from harness.wire import BINARY, CLOSE, PING, PONG, TEXT, frame, header

KIB, MIB = 1 << 10, 1 << 20
CONTINUATION = 0
KEY = b"\x01\x02\x03\x04"
LIMIT = 64 * KIB


def other(side):
    return "server" if side == "client" else "client"


@pytest.fixture
def limited(tunnels):
    """`limited(message_size=…, …)` is a tunnel on a route with these limits."""
    return lambda **limits: tunnels(route={"limits": limits}).open()


# MARK: message_size


@pytest.fixture
def sized(limited):
    return limited(message_size="64KiB")


def key_of(side):
    return KEY if side == "client" else None


def check_too_large(ends, side):
    ends.check_closed(
        **{side: 1009, other(side): 1001},
        reason="message_size", closed_by="edge", close_code=(1009, 1001),
    )  # fmt: skip


@pytest.mark.parametrize("side", SIDES)
def test_a_message_of_the_largest_size(sized, side):
    for opcode in (TEXT, BINARY):
        sized[side].send_frame(opcode, b"x" * LIMIT)
        assert sized.across(side).read_frame() == (opcode, b"x" * LIMIT, True)
    sized.check_passes()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("count", [LIMIT + 1, 10 * MIB, (1 << 63) - 1])
def test_a_larger_one_is_judged_by_its_header(sized, side, count):
    """Its payload never comes, and is not waited for."""
    sized[side].send_frame(TEXT, b"before")
    sized[side].send(header(BINARY, count, key=key_of(side)))
    assert sized.across(side).read_frame() == (TEXT, b"before", True)
    check_too_large(sized, side)


@pytest.mark.parametrize("side", SIDES)
def test_nothing_of_a_larger_one_is_delivered(sized, side):
    """Ten times as much as all buffers on the way would hold back."""
    wire = sized[side]
    octets = frame(BINARY, b"x" * (10 * MIB), masked=side == "client")
    thread = threading.Thread(target=send_what_goes, args=(wire, octets), daemon=True)
    thread.start()
    frames, close = sized.across(side).read_frames_to_close()
    assert (frames, close.code) == ([], 1001)
    assert wire.read_close().code == 1009
    sized.close()
    thread.join(10)


def send_what_goes(wire, octets):
    try:
        wire.send(octets)
    except OSError:
        pass


@pytest.mark.parametrize("side", SIDES)
def test_fragments_are_summed(sized, side):
    """Three fit; the fourth is an octet too much, and nothing of it passes."""
    wire, across = sized[side], sized.across(side)
    parts = [(BINARY, b"x" * 30_000), (CONTINUATION, b"y" * 30_000), (CONTINUATION, b"z" * 5_000)]
    for opcode, payload in parts:
        wire.send_frame(opcode, payload, final=False)
        assert across.read_frame() == (opcode, payload, False)
    left = LIMIT - 65_000
    wire.send(header(CONTINUATION, left + 1, key=key_of(side)))
    check_too_large(sized, side)


@pytest.mark.parametrize("side", SIDES)
def test_fragments_up_to_the_limit(sized, side):
    """Control frames between are not part of it, and each message has a sum of its own."""
    wire, across = sized[side], sized.across(side)
    for _ in range(3):
        wire.send_frame(BINARY, b"x" * (LIMIT - 1), final=False)
        wire.send_frame(PONG, bytes(125))
        wire.send_frame(CONTINUATION, b"", final=False)
        wire.send_frame(CONTINUATION, b"y")
        assert across.read_frame() == (BINARY, b"x" * (LIMIT - 1), False)
        assert across.read_frame() == (PONG, bytes(125), True)
        assert across.read_frame() == (CONTINUATION, b"", False)
        assert across.read_frame() == (CONTINUATION, b"y", True)


def test_many_fragments_of_one_octet(limited):
    ends = limited(message_size="1KiB")
    octets = frame(TEXT, b"0", final=False, masked=True)
    octets += frame(CONTINUATION, b"1", final=False, masked=True) * 1_024
    ends.client.send(octets)
    frames, close = ends.server.read_frames_to_close()
    assert len(frames) == 1_024
    assert close.code == 1001
    assert ends.client.read_close().code == 1009


# MARK: messages

RATE, BURST = 50, 10


@pytest.fixture
def numbered():
    return [f"message {number}".encode() for number in range(60)]


def test_throttled_messages(limited, numbered):
    """Nothing is lost, the order stays, and the rate holds."""
    limits = {"rate": f"{RATE}/s", "burst": BURST, "exceed": "throttle"}
    ends = limited(messages=limits)
    begin = time.monotonic()
    for payload in numbered:
        ends.client.send_frame(TEXT, payload)
    assert [ends.server.read_frame()[1] for _ in numbered] == numbered
    took = time.monotonic() - begin
    assert 0.9 * (len(numbered) - BURST) / RATE < took < 5
    ends.check_passes()


def test_a_throttled_peer_waits_in_its_own_send(limited):
    """The edge keeps little of what it does not pass on; the peer's kernel holds the rest."""
    ends = limited(messages={"rate": "1/m", "burst": 1, "exceed": "throttle"})
    before = ends.edge.resident
    ends.client.socket.settimeout(1)
    with pytest.raises(TimeoutError):
        while True:
            ends.client.send_frame(BINARY, bytes(100_000))
    assert ends.edge.resident - before < 4 * MIB
    assert ends.server.read_frame() == (BINARY, bytes(100_000), True)


def test_throttling_one_direction_leaves_the_other(limited, numbered):
    ends = limited(messages={"rate": "1/m", "burst": 1, "exceed": "throttle"})
    for _ in range(3):
        ends.client.send_frame(TEXT, b"held back")
    for payload in numbered:
        ends.server.send_frame(TEXT, payload)
    assert [ends.client.read_frame()[1] for _ in numbered] == numbered


def test_control_frames_are_no_messages(limited):
    """Pings behind the last allowed message pass at once, and so does a close."""
    ends = limited(messages={"rate": "1/m", "burst": 1, "exceed": "close"})
    ends.client.send_frame(TEXT, b"the one")
    assert ends.server.read_frame()[1] == b"the one"
    for number in range(30):
        opcode = PING if number % 2 else PONG
        ends.client.send_frame(opcode, b"%d" % number)
        assert ends.server.read_frame() == (opcode, b"%d" % number, True)
    ends.client.send_close(4000)
    assert ends.server.read_close().code == 4000


def test_fragments_are_one_message(limited):
    ends = limited(messages={"rate": "1/m", "burst": 1, "exceed": "close"})
    ends.client.send_frame(TEXT, b"0", final=False)
    for number in range(1, 20):
        ends.client.send_frame(CONTINUATION, b"%d" % number, final=number == 19)
    assert ends.server.read_message()[1] == b"".join(b"%d" % number for number in range(20))
    ends.client.send_frame(TEXT, b"second")
    ends.check_closed(
        client=1008, server=1001, reason="message_rate", closed_by="edge", close_code=(1008, 1001)
    )


def test_too_many_messages(limited):
    """As many as the burst pass; the next ends it."""
    ends = limited(messages={"rate": "1/m", "burst": 5, "exceed": "close"})
    ends.client.send(b"".join(frame(TEXT, b"%d" % number, masked=True) for number in range(9)))
    assert [ends.server.read_frame()[1] for _ in range(5)] == [b"%d" % n for n in range(5)]
    ends.check_closed(
        client=1008, server=1001, reason="message_rate", closed_by="edge", messages_in=5
    )


def test_messages_of_the_server(limited):
    """`from: server`: the client may send what it likes."""
    ends = limited(messages={"rate": "1/m", "burst": 2, "exceed": "close", "from": "server"})
    for number in range(20):
        ends.client.send_frame(TEXT, b"%d" % number)
        assert ends.server.read_frame()[1] == b"%d" % number
    for number in range(3):
        ends.server.send_frame(TEXT, b"%d" % number)
    assert [ends.client.read_frame()[1] for _ in range(2)] == [b"0", b"1"]
    ends.check_closed(client=1001, server=1008, reason="message_rate", closed_by="edge")


def test_the_client_alone_is_counted_by_default(limited):
    ends = limited(messages={"rate": "1/m", "burst": 2, "exceed": "close"})
    for number in range(20):
        ends.server.send_frame(TEXT, b"%d" % number)
        assert ends.client.read_frame()[1] == b"%d" % number
    ends.client.send_frame(TEXT, b"passes")
    assert ends.server.read_frame()[1] == b"passes"


@pytest.mark.parametrize("side", SIDES)
def test_each_by_itself(limited, side):
    """`from: both`: what one sends is not counted against the other."""
    ends = limited(messages={"rate": "1/m", "burst": 3, "exceed": "close", "from": "both"})
    for _ in range(3):
        ends.check_passes()
    ends[side].send_frame(TEXT, b"the fourth")
    ends.check_closed(**{side: 1008, other(side): 1001}, reason="message_rate", closed_by="edge")


def test_each_tunnel_has_its_own_measure(tunnels):
    limits = {"messages": {"rate": "1/m", "burst": 1, "exceed": "close"}}
    held = tunnels(route={"limits": limits}, workers=1)
    for _ in range(5):
        ends = held.open()
        ends.client.send_frame(TEXT, b"once")
        assert ends.server.read_frame()[1] == b"once"


def test_the_burst_comes_back_with_time(limited):
    """Messages at half the rate never meet the limit."""
    ends = limited(messages={"rate": "20/s", "burst": 1, "exceed": "close"})
    pace = threading.Event()
    for number in range(10):
        ends.client.send_frame(TEXT, b"%d" % number)
        assert ends.server.read_frame()[1] == b"%d" % number
        pace.wait(0.1)


# MARK: bytes


def pump(wire, octets, is_over):
    try:
        while not is_over.is_set():
            wire.send(octets)
    except OSError:
        pass


def measured(wire, seconds):
    """Octets for each second that come in, from an instant at which the burst is spent."""
    skipped = 0
    while skipped < 256 * KIB:
        skipped += len(wire.socket.recv(MIB))
    begin = end = time.monotonic()
    count = 0
    while end - begin < seconds:
        count += len(wire.socket.recv(MIB))
        end = time.monotonic()
    return count / (end - begin)


def test_throttled_octets(limited):
    """The rate of a tunnel that always has something to send: 1 MiB/s, give or take 5 %."""
    ends = limited(bytes={"rate": "1MiB/s", "burst": "64KiB", "exceed": "throttle"})
    is_over = threading.Event()
    octets = frame(BINARY, bytes(4_000), masked=True)
    thread = threading.Thread(target=pump, args=(ends.client, octets, is_over), daemon=True)
    thread.start()
    rate = measured(ends.server, 10)
    is_over.set()
    ends.close()
    thread.join(10)
    assert 0.95 * MIB < rate < 1.05 * MIB, f"{rate / MIB:.3f} MiB/s"


@pytest.mark.parametrize("side", SIDES)
def test_throttled_octets_arrive_as_they_were(limited, side):
    """One large frame and many small ones, over several times the burst."""
    limit = {"rate": "2MiB/s", "burst": "32KiB", "exceed": "throttle", "from": "both"}
    ends = limited(bytes=limit)
    masked = side == "client"
    octets = frame(BINARY, bytes(range(256)) * 2_000, masked=masked)
    octets += b"".join(frame(TEXT, b"%d" % number, masked=masked) for number in range(10_000))
    thread = threading.Thread(target=send_what_goes, args=(ends[side], octets), daemon=True)
    thread.start()
    assert ends.across(side).read_exactly(len(octets)) == octets
    thread.join(10)
    ends.check_passes()


def test_too_many_octets(limited):
    """Within the burst all is well; a message that goes over it ends the tunnel."""
    ends = limited(bytes={"rate": "1KiB/s", "burst": "64KiB", "exceed": "close"})
    ends.client.send_frame(BINARY, bytes(40_000))
    assert ends.server.read_frame() == (BINARY, bytes(40_000), True)
    ends.client.send_frame(BINARY, bytes(40_000))
    # Where in the message it is noticed is not said: if it begins to pass, it passes as a whole.
    frames, close = ends.server.read_frames_to_close()
    assert [each.payload for each in frames] in ([], [bytes(40_000)])
    assert close.code == 1001
    assert ends.client.read_close().code == 1008
    ends.client.send_close(1008)
    ends.server.send_close(1001)
    ends.check_record(reason="byte_rate", closed_by="edge", close_code=(1008, 1001))


def test_too_many_octets_of_the_server(limited):
    ends = limited(
        bytes={"rate": "1KiB/s", "burst": "64KiB", "exceed": "close", "from": "server"}
    )
    for _ in range(4):
        ends.client.send_frame(BINARY, bytes(40_000))
        assert ends.server.read_frame() == (BINARY, bytes(40_000), True)
    for _ in range(2):
        ends.server.send_frame(BINARY, bytes(40_000))
    _, close = ends.client.read_frames_to_close()
    assert close.code == 1001
    assert ends.server.read_close().code == 1008
    ends.client.send_close(1001)
    ends.server.send_close(1008)
    ends.check_record(reason="byte_rate", closed_by="edge")


def test_close_frames_pass_a_throttled_stream(limited):
    """The end of what was sent is still its end: the close frame comes behind it all."""
    ends = limited(bytes={"rate": "512KiB/s", "burst": "16KiB", "exceed": "throttle"})
    for number in range(30):
        ends.client.send_frame(BINARY, b"%02d" % number + bytes(10_000))
    ends.client.send_close(4001, "done")
    frames, close = ends.server.read_frames_to_close()
    assert [each.payload[:2] for each in frames] == [b"%02d" % number for number in range(30)]
    assert (close.opcode, close.code, close.reason) == (CLOSE, 4001, "done")
