internal import Net
internal import WebSocket

/// Where in a peer's stream of frames the next octet stands.
enum Place {
  /// The payload of a frame, as much of it as is to come.
  struct Payload {
    var byteCount: UInt64
    var isFinal: Bool
    /// The client's mask, turned to the next octet.
    var mask = Mask(key: 0)

    /// What is left of it behind `count` octets.
    func advanced(by count: Int) -> Payload {
      let turn = UInt32(8 * (count & 3))
      // A shift by 32 gives 0: the key as it was.
      let key = self.mask.key << turn | self.mask.key >> (32 - turn)
      return Payload(
        byteCount: self.byteCount - UInt64(count), isFinal: self.isFinal, mask: Mask(key: key))
    }
  }

  /// At a header.
  case header
  /// In octets that pass as they are, so many of them.
  case passing(UInt64)
  /// In a payload that is transformed.
  case payload(Payload)
  /// Behind the last payload of a message that is transformed, some of which is yet to be written.
  case end
}

/// Why a frame could not be added to any more.
enum Stop {
  /// The message has ended.
  case messageEnded
  /// A frame of another kind comes next.
  case interrupted
  /// The input is used up.
  case needsInput
  /// The frame fills the output.
  case needsRoom

  /// What the caller of `transform` has to do about it, if anything.
  var progress: Progress? {
    switch self {
    case .messageEnded, .interrupted: nil
    case .needsInput: .needsInput
    case .needsRoom: .needsRoom
    }
  }
}

extension FrameHeader {
  /// The header at the beginning of `input`. The caller has checked the stream: whatever is no
  /// header is none of the peer's, and yet no reason to stop the process.
  static func next(in input: borrowing Buffer) throws(CompressionFault) -> FrameHeader {
    guard let header = try? FrameHeader.parse(input.octets) else { throw .corrupt }
    return header
  }

  /// Octets of header and payload.
  var frameByteCount: UInt64 { UInt64(self.headerByteCount) + self.payloadByteCount }
}

extension Buffer {
  /// Moves octets of `input` behind the end: as many as there are, fit in and belong to `byteCount`.
  ///
  /// - Returns: how many of `byteCount` are left.
  mutating func pass(_ byteCount: UInt64, of input: inout Buffer) -> UInt64 {
    let count = Int(min(byteCount, UInt64(min(input.count, self.freeCount))))
    self.append(input.octets.extracting(first: count))
    input.consume(count)
    return byteCount - UInt64(count)
  }
}
