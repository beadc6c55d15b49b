"""PROXY protocol headers, written and read by hand from the protocol's text (HAProxy, §2)."""

import ipaddress
import socket
import struct
from typing import NamedTuple

from .http_recorder import Recorder

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21
TCP4, UDP4, TCP6, UDP6, UNIX = 0x11, 0x12, 0x21, 0x22, 0x31


def v1(source="203.0.113.7", destination="198.51.100.1", source_port=5000, port=443):
    family = "TCP6" if ":" in source else "TCP4"
    return f"PROXY {family} {source} {destination} {source_port} {port}\r\n".encode()


def v2(
    source="203.0.113.7", destination="198.51.100.1", source_port=5000, port=443, *,
    command=PROXY, family=None, extensions=b"", block=None,
):  # fmt: skip
    """A binary header; `block` stands in the place of addresses and extensions."""
    ends = [ipaddress.ip_address(each).packed for each in (source, destination)]
    if family is None:
        family = TCP6 if len(ends[0]) == 16 else TCP4
    if block is None:
        block = b"".join(ends) + struct.pack("!HH", source_port, port) + extensions
    return SIGNATURE + struct.pack("!BBH", command, family, len(block)) + block


def extension(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


def with_checksum(header):
    """The header with a CRC32C of all of it (PP2_TYPE_CRC32C, §2.2.3)."""
    (count,) = struct.unpack("!H", header[14:16])
    header = header[:14] + struct.pack("!H", count + 7) + header[16:]
    header += extension(3, bytes(4))
    return header[:-4] + struct.pack("!I", crc32c(header))


def crc32c(octets):
    """RFC 9260 appendix A."""
    value = 0xFFFFFFFF
    for octet in octets:
        value ^= octet
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


class Introduction(NamedTuple):
    """What a header says; without addresses the connection is the proxy's own."""

    version: int
    source: tuple | None = None
    destination: tuple | None = None


def read_introduction(wire):
    first = wire.read_exactly(12)
    if first == SIGNATURE:
        command, family, count = struct.unpack("!BBH", wire.read_exactly(4))
        return of_block(command, family, wire.read_exactly(count))
    line = first
    # Octet by octet: what follows is perhaps TLS, which takes it from the socket.
    while not line.endswith(b"\r\n"):
        line += wire.read_exactly(1)
    assert len(line) <= 107
    words = line.decode().removesuffix("\r\n").split(" ")
    assert words[0] == "PROXY"
    if words[1] == "UNKNOWN":
        return Introduction(1)
    _, family, source, destination, source_port, port = words
    assert family == ("TCP6" if ":" in source else "TCP4")
    return Introduction(1, (source, int(source_port)), (destination, int(port)))


def of_block(command, family, block):
    if command == LOCAL or family == 0:
        return Introduction(2)
    assert command == PROXY
    kind, count = {TCP4: (socket.AF_INET, 4), TCP6: (socket.AF_INET6, 16)}[family]
    assert len(block) == 2 * count + 4
    ports = struct.unpack("!HH", block[2 * count :])
    names = [socket.inet_ntop(kind, block[at : at + count]) for at in (0, count)]
    return Introduction(2, (names[0], ports[0]), (names[1], ports[1]))


class Introduced(Recorder):
    """A server whose connections begin with a header, before TLS where there is some."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.introductions = []

    def serve(self, wire):
        self.introductions.append(read_introduction(wire))
        super().serve(wire)
