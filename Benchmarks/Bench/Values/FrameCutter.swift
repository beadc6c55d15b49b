import Net
import WebSocket

/// Cuts a stream of octets into frames, headers as wholes and payloads in pieces, however they
/// come.
struct FrameCutter {
  /// What stands next in the buffer.
  enum Step: Equatable {
    case needMore
    case header(FrameHeader)
    /// The next `count` octets are payload, which the caller looks at and consumes. A frame
    /// without payload has one such piece of 0 octets.
    case payload(count: Int, endsFrame: Bool)
  }

  /// The first octets of a header whose rest is still to come.
  private var pending: [UInt8] = []
  private var isInside = false
  /// Octets of the frame's payload that are still to come.
  private(set) var left = 0

  mutating func next(in buffer: inout Buffer) throws(FrameViolation) -> Step {
    guard self.isInside else { return try self.nextHeader(in: &buffer) }
    let count = min(self.left, buffer.count)
    guard count > 0 || self.left == 0 else { return .needMore }
    self.left -= count
    self.isInside = self.left > 0
    return .payload(count: count, endsFrame: !self.isInside)
  }

  private mutating func nextHeader(in buffer: inout Buffer) throws(FrameViolation) -> Step {
    guard self.pending.isEmpty else { return try self.completeHeader(in: &buffer) }
    guard let header = try FrameHeader.parse(buffer.octets) else {
      self.pending = buffer.takeAll()
      return .needMore
    }
    return self.begin(header, &buffer, consuming: header.headerByteCount)
  }

  private mutating func completeHeader(in buffer: inout Buffer) throws(FrameViolation) -> Step {
    var octets = self.pending
    let more = min(buffer.count, FrameHeader.byteCountMax - octets.count)
    for index in 0..<more { octets.append(buffer.octets[index]) }
    guard let header = try FrameHeader.parse(octets.span) else {
      self.pending = octets
      buffer.consume(more)
      return .needMore
    }
    let rest = header.headerByteCount - self.pending.count
    self.pending = []
    return self.begin(header, &buffer, consuming: rest)
  }

  private mutating func begin(
    _ header: FrameHeader, _ buffer: inout Buffer, consuming count: Int
  ) -> Step {
    buffer.consume(count)
    self.left = Int(header.payloadByteCount)
    self.isInside = true
    return .header(header)
  }
}
