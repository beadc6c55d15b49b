"""Frames (RFC 6455 §5) in both directions: what passes as it is, and what ends a tunnel how."""

import struct
import threading

import pytest

from harness.backends import switching
from harness.conditions import eventually
from harness.ends import SIDES, Tunnels
from harness.wire import (
    BINARY, CLOSE, PING, PONG, TEXT, close_payload, connect, frame, header, tunnel, upgrade_head,
)  # fmt: skip

CONTINUATION = 0
KEY = b"\x01\x02\x03\x04"
# What the other peer is told when this one broke the protocol.
TOLD = {"client": 1001, "server": 1011}
DEFLATE = "permessage-deflate"
OFFER = [("Sec-WebSocket-Extensions", DEFLATE)]


def deflating(request):
    """The 101 of a server that takes permessage-deflate where it is offered."""
    if "Sec-WebSocket-Extensions" not in request:
        return switching(request)
    return switching(request, Sec_WebSocket_Extensions=DEFLATE)


@pytest.fixture(scope="module")
def held(enter_for_module):
    return enter_for_module(Tunnels(answer=deflating))


@pytest.fixture
def ends(held):
    both = held.open()
    yield both
    both.close()


def key_of(side):
    return KEY if side == "client" else None


def head(opcode, count=5, **parts):
    """A header alone, since no payload may be needed to judge it: for the side that is given."""
    return lambda side: header(opcode, count, key=key_of(side), **parts)


def whole(opcode, payload, **parts):
    return lambda side: frame(opcode, payload, masked=side == "client", **parts)


def wrong_mask(opcode, count=5):
    return lambda side: header(opcode, count, key=None if side == "client" else KEY)


def close_of(octets):
    return whole(CLOSE, octets)


def joined(*makers):
    return lambda side: b"".join(make(side) for make in makers)


OPENED = whole(TEXT, b"opened", final=False)
NOTHING = whole(PING, b"")
UNUSED_CODES = [
    0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 9999, 32_768, 65_535,
]  # fmt: skip

# What is sent before (and delivered), what is at fault, and the code.
INVALID = {
    "wrong mask on text": (NOTHING, wrong_mask(TEXT), 1002),
    "wrong mask on an empty frame": (NOTHING, wrong_mask(BINARY, 0), 1002),
    "wrong mask on a ping": (NOTHING, wrong_mask(PING), 1002),
    "wrong mask on a close": (NOTHING, wrong_mask(CLOSE, 0), 1002),
    "wrong mask on 70,000 octets": (NOTHING, wrong_mask(BINARY, 70_000), 1002),
    **{f"opcode {code}": (NOTHING, head(code), 1002) for code in (3, 4, 5, 6, 7)},
    **{f"opcode {code}": (NOTHING, head(code), 1002) for code in (11, 12, 13, 14, 15)},
    "opcode 3 inside of a message": (OPENED, head(3), 1002),
    **{f"reserved bits {bits}": (NOTHING, head(TEXT, reserved=bits), 1002) for bits in range(1, 8)},
    "RSV1 on a ping": (NOTHING, head(PING, reserved=4), 1002),
    "RSV1 on a close": (NOTHING, head(CLOSE, 0, reserved=4), 1002),
    "RSV1 on a continuation": (OPENED, head(CONTINUATION, reserved=4), 1002),
    "a ping in fragments": (NOTHING, head(PING, final=False), 1002),
    "a pong in fragments": (NOTHING, head(PONG, final=False), 1002),
    "a close in fragments": (NOTHING, head(CLOSE, final=False), 1002),
    "a ping of 126 octets": (NOTHING, head(PING, 126), 1002),
    "a pong of 126 octets": (NOTHING, head(PONG, 126), 1002),
    "a close of 126 octets": (NOTHING, head(CLOSE, 126), 1002),
    "a ping of 65,536 octets": (NOTHING, head(PING, 65_536), 1002),
    "a continuation first": (NOTHING, head(CONTINUATION), 1002),
    "a continuation first, not final": (NOTHING, head(CONTINUATION, final=False), 1002),
    "a continuation behind a message": (whole(TEXT, b"all"), head(CONTINUATION), 1002),
    "a text inside of a message": (OPENED, head(TEXT), 1002),
    "binary inside of a message": (OPENED, head(BINARY, final=False), 1002),
    "a length of 0 in 2 octets": (NOTHING, head(TEXT, 0, form=2), 1002),
    "a length of 125 in 2 octets": (NOTHING, head(TEXT, 125, form=2), 1002),
    "a length of 125 in 2 octets of a ping": (NOTHING, head(PING, 125, form=2), 1002),
    "a length of 0 in 8 octets": (NOTHING, head(TEXT, 0, form=8), 1002),
    "a length of 126 in 8 octets": (NOTHING, head(TEXT, 126, form=8), 1002),
    "a length of 65,535 in 8 octets": (NOTHING, head(TEXT, 65_535, form=8), 1002),
    "the top bit of a length": (NOTHING, head(TEXT, 1 << 63), 1002),
    "all bits of a length": (NOTHING, head(TEXT, (1 << 64) - 1), 1002),
    "a close of one octet": (NOTHING, close_of(b"\x03"), 1002),
    **{
        f"close code {code}": (NOTHING, close_of(close_payload(code, "why")), 1002)
        for code in UNUSED_CODES
    },
    "an unused code inside of a message": (OPENED, close_of(close_payload(1005)), 1002),
    "a close reason that is not UTF-8": (NOTHING, close_of(b"\x03\xe8\xff"), 1007),
    "a close reason that is cut": (NOTHING, close_of(b"\x03\xe8" + "ä".encode()[:1]), 1007),
    "a close reason with a surrogate": (NOTHING, close_of(b"\x03\xe8\xed\xa0\x80"), 1007),
    "a close reason that is overlong": (NOTHING, close_of(b"\x0f\xa0\xc0\xaf"), 1007),
    "a close reason beyond Unicode": (NOTHING, close_of(b"\x0f\xa0\xf4\x90\x80\x80"), 1007),
}  # fmt: skip


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("before", "fault", "code"), INVALID.values(), ids=INVALID)
def test_what_may_not_be_sent(ends, side, before, fault, code):
    """What is before the fault is delivered; nothing of it is, and nothing behind it."""
    sender, other = ends[side], ends.across(side)
    delivered = frame(BINARY, b"delivered", masked=side == "client") + before(side)
    sender.send(delivered + fault(side) + frame(TEXT, b"behind", masked=side == "client"))
    assert other.read_exactly(len(delivered)) == delivered
    told = {side: code, "server" if side == "client" else "client": TOLD[side]}
    # Who was told first is not said.
    ends.check_closed(
        **told, reason="protocol_error", closed_by="edge", close_code=tuple(told.values())
    )
    assert ends.record()["detail"]


# Behind large frames the edge looks at a header before it takes it: these are what it may find.
LARGE = whole(BINARY, bytes(range(256)) * 200)
BEHIND_LARGE = {
    "a small one": whole(TEXT, b"small"),
    "an empty one": whole(BINARY, b""),
    "a ping": whole(PING, b"ping"),
    "a large one": LARGE,
    "a very large one": whole(BINARY, bytes(2_000_000)),
    "a fragment, and a ping inside": joined(
        whole(TEXT, bytes(50_000), final=False), whole(PING, b""), whole(CONTINUATION, bytes(50_000))
    ),
    "one of just the size at which it pays": whole(BINARY, bytes(32 * 1024)),
    "one of an octet less": whole(BINARY, bytes(32 * 1024 - 1)),
}  # fmt: skip


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("make", BEHIND_LARGE.values(), ids=BEHIND_LARGE)
def test_what_comes_behind_large_frames(ends, side, make):
    sent = joined(LARGE, LARGE, make, LARGE, make)(side)
    sender = threading.Thread(target=ends[side].send, args=[sent])
    sender.start()
    assert ends.across(side).read_exactly(len(sent)) == sent
    sender.join()
    sent = LARGE(side)
    ends[side].send(sent)
    assert ends.across(side).read_exactly(len(sent)) == sent


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("cut", range(1, 15))
def test_a_header_in_two_pieces_behind_large_frames(ends, side, cut):
    sender, other, sent = ends[side], ends.across(side), LARGE(side)
    for _ in range(2):
        sender.send(sent)
        assert other.read_exactly(len(sent)) == sent
    sender.send(sent[:cut])
    eventually(lambda: sender.is_taken, "the edge to take the first part")
    sender.send(sent[cut:])
    assert other.read_exactly(len(sent)) == sent


FAULTS_BEHIND_LARGE = [
    "wrong mask on 70,000 octets", "opcode 3", "reserved bits 4", "a continuation first",
    "a length of 65,535 in 8 octets", "the top bit of a length", "close code 1005",
]  # fmt: skip


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", FAULTS_BEHIND_LARGE)
def test_faults_behind_large_frames(ends, side, name):
    _, fault, code = INVALID[name]
    sent = joined(LARGE, LARGE)(side)
    ends[side].send(sent)
    assert ends.across(side).read_exactly(len(sent)) == sent
    ends[side].send(fault(side))
    assert ends[side].read_close().code == code
    assert ends.across(side).read_close().code == TOLD[side]


@pytest.mark.parametrize("side", SIDES)
def test_a_message_too_large_behind_large_frames(tunnels, side):
    ends = tunnels(route={"limits": {"message_size": "64KiB"}}).open()
    sent = joined(LARGE, LARGE)(side)
    ends[side].send(sent)
    assert ends.across(side).read_exactly(len(sent)) == sent
    ends[side].send(head(BINARY, 64 * 1024 + 1)(side))
    assert ends[side].read_close().code == 1009
    assert ends.across(side).read_close().code == 1001


@pytest.mark.parametrize("side", SIDES)
def test_a_header_is_judged_when_it_is_there(ends, side):
    """No payload comes behind it, and it is not waited for."""
    ends[side].send(head(3, 1_000_000)(side))
    assert ends[side].read_close().code == 1002
    assert ends.across(side).read_close().code == TOLD[side]


@pytest.mark.parametrize("side", SIDES)
def test_a_fault_octet_by_octet(ends, side):
    """The other peer gets the first octet of a wrong frame as little as the rest."""
    for octet in head(TEXT, 125, form=2)(side):
        eventually(lambda: ends[side].is_taken, "the edge to take an octet")
        ends[side].send(bytes([octet]))
    assert ends[side].read_close().code == 1002
    assert ends.across(side).read_close().code == TOLD[side]


@pytest.mark.parametrize("side", SIDES)
def test_faults_behind_a_long_message(ends, side):
    """A fault that is found in the middle of what the other peer has not taken yet."""
    sender, other = ends[side], ends.across(side)
    message = frame(BINARY, bytes(range(256)) * 2_000, masked=side == "client")
    sender.send(message + head(7)(side))
    assert other.read_exactly(len(message)) == message
    assert other.read_close().code == TOLD[side]
    assert sender.read_close().code == 1002


# MARK: what passes, octet for octet

LENGTHS = [0, 1, 125, 126, 127, 128, 65_535, 65_536, 65_537, (1 << 16) + 126, 1_000_003]


@pytest.mark.parametrize("side", SIDES)
def test_lengths_at_the_boundaries(ends, side):
    for opcode in (TEXT, BINARY):
        for count in LENGTHS:
            sent = frame(opcode, b"x" * count, masked=side == "client")
            ends[side].send(sent)
            assert ends.across(side).read_exactly(len(sent)) == sent, f"{count} octets"
    ends.check_passes()


@pytest.mark.parametrize("side", SIDES)
def test_a_length_beyond_all_memory(ends, side):
    """Without `message_size` a length is a number: what is there passes, nothing is reserved."""
    before = ends.edge.resident
    octets = header(BINARY, (1 << 63) - 1, key=key_of(side)) + b"x" * 1_000
    ends[side].send(octets)
    assert ends.across(side).read_exactly(len(octets)) == octets
    assert ends.edge.resident - before < 8 << 20


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("count", [0, 1, 124, 125])
def test_control_frames(ends, side, count):
    for opcode in (PING, PONG):
        sent = frame(opcode, bytes(range(count)), masked=side == "client")
        ends[side].send(sent)
        assert ends.across(side).read_exactly(len(sent)) == sent


def test_mask_keys_stay(ends):
    """Payload is carried as it is; a key of zeros is as good as another."""
    for key in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x01"):
        sent = header(TEXT, 4, key=key) + b"text"
        ends.client.send(sent)
        assert ends.server.read_exactly(len(sent)) == sent


def fragments(*parts, opcode=TEXT):
    """A message in pieces, for the side that is given."""

    def octets(side):
        made = b""
        for number, part in enumerate(parts):
            is_last = number == len(parts) - 1
            made += frame(
                CONTINUATION if number else opcode, part, final=is_last, masked=side == "client"
            )
        return made

    return octets


FRAGMENTED = {
    "two": fragments(b"a", b"b"),
    "a thousand": fragments(*[b"part %d" % number for number in range(1_000)]),
    "empty ones": fragments(b"", b"", b""),
    "empty ones around": fragments(b"", b"middle", b""),
    "large ones": fragments(b"x" * 70_000, b"y" * 126, b"z" * 70_000, opcode=BINARY),
    "a ping between": joined(
        whole(TEXT, b"a", final=False), whole(PING, b"p"), whole(CONTINUATION, b"b")
    ),
    "pings and pongs between all": joined(
        whole(BINARY, b"a", final=False), whole(PING, b""), whole(PONG, b"unasked"),
        whole(CONTINUATION, b"", final=False), whole(PING, bytes(125)), whole(CONTINUATION, b"b"),
    ),
    "characters that are cut": fragments("ä".encode()[:1], "ä".encode()[1:]),
}  # fmt: skip


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("make", FRAGMENTED.values(), ids=FRAGMENTED)
def test_fragments(ends, side, make):
    """They pass as they are: nothing is joined and nothing is cut."""
    sent = make(side)
    ends[side].send(sent)
    assert ends.across(side).read_exactly(len(sent)) == sent
    ends.check_passes()


@pytest.mark.parametrize("side", SIDES)
def test_a_close_inside_of_a_message(ends, side):
    """A control frame may stand between fragments, a close frame too (§5.4)."""
    ends[side].send(whole(TEXT, b"never finished", final=False)(side))
    ends[side].send_close(1000)
    assert ends.across(side).read_frame() == (TEXT, b"never finished", False)
    assert ends.across(side).read_close().code == 1000


CUT = {
    "2 octets": lambda side: frame(TEXT, b"abc", masked=side == "client"),
    "4 octets": lambda side: frame(TEXT, b"x" * 126, masked=side == "client"),
    "10 octets": lambda side: frame(BINARY, b"x" * 65_536, masked=side == "client"),
    "of a ping": lambda side: frame(PING, b"ping", masked=side == "client"),
    "of an empty one": lambda side: frame(TEXT, b"", masked=side == "client"),
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("make", CUT.values(), ids=CUT)
def test_headers_cut_at_every_octet(ends, side, make):
    """Each piece is taken by the edge before the next one is sent."""
    sender, other = ends[side], ends.across(side)
    sent = make(side)
    for cut in range(1, min(len(sent), 16)):
        sender.send(sent[:cut])
        eventually(lambda: sender.is_taken, "the edge to take the first part")
        sender.send(sent[cut:])
        assert other.read_exactly(len(sent)) == sent, f"cut behind {cut} octets"


@pytest.mark.parametrize("side", SIDES)
def test_octet_by_octet(ends, side):
    sent = joined(
        whole(TEXT, b"a", final=False), whole(PING, b"ping"), whole(CONTINUATION, b"x" * 130),
        whole(BINARY, b""), whole(CLOSE, close_payload(4000, "ä")),
    )(side)  # fmt: skip
    for octet in sent:
        ends[side].send(bytes([octet]))
    assert ends.across(side).read_exactly(len(sent)) == sent


@pytest.mark.parametrize("side", SIDES)
def test_text_is_not_checked(ends, side):
    """What is not UTF-8 is for the end points to refuse."""
    for payload in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", "ä".encode()[:1], b"\xf4\x90\x80\x80"):
        sent = frame(TEXT, payload, masked=side == "client")
        ends[side].send(sent)
        assert ends.across(side).read_exactly(len(sent)) == sent
    ends.check_passes()


# MARK: close frames

CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014]
CODES += [3000, 3999, 4000, 4999]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("code", CODES)
def test_codes_that_may_be_sent(ends, side, code):
    other = ends.across(side)
    ends[side].send_close(code, "für dich")
    assert other.read_close().payload == struct.pack("!H", code) + "für dich".encode()
    other.send_close(code)
    assert ends[side].read_close().payload == struct.pack("!H", code)
    by = {"client": "downstream", "server": "upstream"}[side]
    ends.server.shutdown_write()
    ends.check_record(reason="closed", close_code=code, closed_by=by)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    "payload",
    [b"", close_payload(1000), close_payload(1000, "x" * 123), close_payload(4999, "ä€𝄞")],
)
def test_payloads_of_a_close(ends, side, payload):
    sent = frame(CLOSE, payload, masked=side == "client")
    ends[side].send(sent)
    assert ends.across(side).read_exactly(len(sent)) == sent


@pytest.mark.parametrize("side", SIDES)
def test_nothing_passes_behind_a_close(ends, side):
    """§5.5.1: after a close frame an end point sends nothing more; who does is not heard."""
    sender, other = ends[side], ends.across(side)
    sender.send_close(1000)
    sender.send_frame(TEXT, b"afterthought")
    assert other.read_close().code == 1000
    other.send_close(1000)
    assert sender.read_close().code == 1000
    ends.server.shutdown_write()
    assert other.read_to_end() == b""


# MARK: reserved bits that an extension gives a meaning


def test_rsv1_where_deflate_was_negotiated(held):
    ends = held.open(fields=OFFER)
    assert ends.client.response["Sec-WebSocket-Extensions"] == DEFLATE
    for side in SIDES:
        for sent in (
            frame(TEXT, b"\x4a\x04\x00", rsv1=True, masked=side == "client"),
            frame(TEXT, b"not compressed", masked=side == "client"),
            frame(BINARY, b"", rsv1=True, final=False, masked=side == "client"),
            frame(CONTINUATION, b"\x00", masked=side == "client"),
        ):
            ends[side].send(sent)
            assert ends.across(side).read_exactly(len(sent)) == sent
    ends.check_passes()


RESERVED = {
    "RSV2": (NOTHING, head(TEXT, reserved=2)),
    "RSV3": (NOTHING, head(TEXT, reserved=1)),
    "RSV1 and RSV2": (NOTHING, head(TEXT, reserved=6)),
    # RFC 7692 §6.1: the bit is on the first frame of a message, and on no other.
    "RSV1 on a continuation": (OPENED, head(CONTINUATION, reserved=4)),
    "RSV1 on a ping": (NOTHING, head(PING, reserved=4)),
    "RSV1 on a close": (NOTHING, head(CLOSE, 0, reserved=4)),
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("before", "fault"), RESERVED.values(), ids=RESERVED)
def test_other_bits_where_deflate_was_negotiated(held, side, before, fault):
    ends = held.open(fields=OFFER)
    ends[side].send(before(side) + fault(side))
    other = ends.across(side)
    assert other.read_exactly(len(before(side)))
    assert other.read_close().code == TOLD[side]
    assert ends[side].read_close().code == 1002
    ends.close()


@pytest.mark.parametrize("side", SIDES)
def test_rsv1_where_the_offer_was_not_taken(tunnels, side):
    ends = tunnels().open(fields=OFFER)
    ends[side].send(head(TEXT, reserved=4)(side))
    assert ends[side].read_close().code == 1002
    assert ends.across(side).read_close().code == TOLD[side]


# MARK: around the handshake


def test_a_fault_behind_the_request_head(held):
    """What comes before the 101 is judged like all else."""
    with tunnel_with_early(held, frame(TEXT, b"early", masked=True) + head(3)("client")) as client:
        server = held.backend.take()
        assert server.read_frame() == (TEXT, b"early", True)
        assert server.read_close().code == 1001
        assert client.read_close().code == 1002


def tunnel_with_early(held, early):
    client = connect(held.edge.address)
    client.send(upgrade_head() + early)
    assert client.read_response().status == 101
    return client


def test_a_fault_behind_the_101(tunnels):
    def answer(request):
        return switching(request) + frame(TEXT, b"early") + head(3)("server")

    held = tunnels(answer=answer)
    with tunnel(held.edge.address) as client:
        assert client.read_frame() == (TEXT, b"early", True)
        assert client.read_close().code == 1011
        assert held.backend.take().read_close().code == 1002


def test_messages_are_counted(ends):
    """Fragments are one message, control frames none."""
    ends.client.send(fragments(b"a", b"b", b"c")("client") + whole(PING, b"")("client"))
    ends.client.send_frame(TEXT, b"second")
    ends.server.send_frame(BINARY, b"only")
    received = [ends.server.read_frame() for _ in range(5)]
    assert received[-1] == (TEXT, b"second", True)
    assert ends.client.read_frame() == (BINARY, b"only", True)
    ends.client.send_close(1000)
    ends.server.send_close(1000)
    ends.check_record(messages_in=2, messages_out=1, close_code=1000)
