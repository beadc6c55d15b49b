"""permessage-deflate by hand (RFC 7692 §7.2), for what no client library sends."""

import zlib

TAIL = b"\0\0\xff\xff"


class Deflater:
    """Compresses one side's messages. Without `takeover` each starts afresh."""

    def __init__(self, *, bits=15, takeover=True, level=6):
        self.make = lambda: zlib.compressobj(level, zlib.DEFLATED, -bits)
        self.takeover = takeover
        self.stream = self.make()

    def __call__(self, message):
        octets = self.stream.compress(message) + self.stream.flush(zlib.Z_SYNC_FLUSH)
        assert octets.endswith(TAIL)
        if not self.takeover:
            self.stream = self.make()
        return octets.removesuffix(TAIL)


class Inflater:
    """Decompresses them; zlib fails where they refer beyond the window."""

    def __init__(self, *, bits=15, takeover=True):
        self.make = lambda: zlib.decompressobj(-bits)
        self.takeover = takeover
        self.stream = self.make()

    def __call__(self, octets):
        message = self.stream.decompress(octets + TAIL)
        if not self.takeover:
            self.stream = self.make()
        return message


def zeros(count, *, piece=1 << 20):
    """A message of so many zeros, compressed: a thousandth of that."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    octets = b"".join(stream.compress(bytes(piece)) for _ in range(count // piece))
    return (octets + stream.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


def parameters(answer):
    """(name, {parameter: value}) of a Sec-WebSocket-Extensions field with one extension."""
    name, *rest = (part.strip() for part in answer.split(";"))
    pairs = [part.partition("=") for part in rest]
    assert len({pair[0] for pair in pairs}) == len(pairs), f"a parameter twice: {answer}"
    return name, {key: value.strip('"') if sign else None for key, sign, value in pairs}
