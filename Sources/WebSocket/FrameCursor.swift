/// Finds its way through one side's stream of frames: it reads the headers and control frames and
/// passes over all other payload, which it neither copies nor unmasks (RFC 6455 §5).
///
///     header  payload ......  header  payload ......  ping 1  header  pay
///     ▲ between frames        ▲ and here              ▲       ▲        ▲ payloadLeft > 0
///
/// A header and a control frame are judged when they are there as a whole. Until then the cursor
/// stays in front of them, and so does whoever forwards what it has passed: between two frames of
/// what was forwarded, frames of one's own can be put in.
public struct FrameCursor: Sendable {
  private let sender: FrameHeader.Sender
  /// Reserved bits with a meaning: RSV1 where permessage-deflate was negotiated.
  private let allowedBits: FrameHeader.ReservedBits
  private var messageByteCountMax: UInt64
  /// The payload of the edge's own pings to this side: a pong that has it is an answer to them.
  private let pingTag: UInt64
  private var sequence = FrameSequence()
  /// Payload octets of the present message, as far as its frames have announced them.
  private var messageByteCount: UInt64 = 0
  /// Octets of the present frame's payload that are still to come; 0 between frames.
  public private(set) var payloadLeft: UInt64 = 0
  /// Payload octets of the data frame whose header was read last.
  public private(set) var lastPayloadByteCount: UInt64 = 0

  /// The octets of a ping of the edge's own.
  public static let pingTagByteCount = 8

  /// A cursor in front of a stream's first frame.
  ///
  /// - Parameters:
  ///   - sender: whose frames they are.
  ///   - allowedBits: reserved bits that may be set in a message's first frame.
  ///   - messageByteCountMax: the most octets of a message, as its headers announce them.
  ///   - pingTag: what the edge's pings to this side carry.
  public init(
    from sender: FrameHeader.Sender, allowing allowedBits: FrameHeader.ReservedBits = [],
    messageByteCountMax: UInt64 = .max, pingTag: UInt64 = 0
  ) {
    self.sender = sender
    self.allowedBits = allowedBits
    self.messageByteCountMax = messageByteCountMax
    self.pingTag = pingTag
  }

  /// Whether the cursor stands between two frames.
  public var isBetweenFrames: Bool { self.payloadLeft == 0 }

  /// Why the cursor goes no further.
  public enum Stop: Equatable, Sendable {
    /// There are no more octets.
    case end
    /// The octets that are left are the beginning of a header or of a control frame.
    case incomplete
    /// It stands between two frames, where it was asked to stop.
    case betweenFrames
    /// The next frame begins a message, and no further one was allowed.
    case messagesSpent
    /// It has passed a close frame with this code: nothing that follows means anything (§5.5.1).
    case close(CloseCode?)
    /// The next so many octets are a pong that answers a ping of the edge's own.
    case ownPong(byteCount: Int)
    /// The next frame must not be sent.
    case violation(FrameViolation)
    /// The next frame makes its message larger than it may be.
    case messageTooBig
  }

  /// Passes over octets as far as they are frames that may be sent.
  ///
  /// - Parameters:
  ///   - octets: what comes next in the stream.
  ///   - messageCountMax: how many messages may begin.
  ///   - stopsBetweenFrames: whether to go no further than to the end of the present frame.
  ///   - counts: what is found is added to it.
  /// - Returns: how many octets were passed, and why it went no further.
  public mutating func advance(
    over octets: Span<UInt8>, messageCountMax: Int = .max, stopsBetweenFrames: Bool = false,
    counting counts: inout FrameCounts
  ) -> (byteCount: Int, stop: Stop) {
    var index = 0
    var messagesLeft = messageCountMax
    while true {
      let rest = octets.count &- index
      guard self.payloadLeft <= UInt64(rest) else {
        self.payloadLeft &-= UInt64(rest)
        return (octets.count, .end)
      }
      index &+= Int(self.payloadLeft)
      self.payloadLeft = 0
      if stopsBetweenFrames { return (index, .betweenFrames) }
      if index == octets.count { return (index, .end) }
      switch self.step(octets.extracting(index...), &messagesLeft, &counts) {
      case .passed(let count): index &+= count
      case .stopped(let count, let stop): return (index &+ count, stop)
      }
    }
  }

  /// Passes over payload that goes another way than through ``advance(over:messageCountMax:stopsBetweenFrames:counting:)``.
  public mutating func skipPayload(_ count: Int) {
    precondition(count >= 0 && UInt64(count) <= self.payloadLeft)
    self.payloadLeft &-= UInt64(count)
  }

  /// From the next header on, messages may have so many octets.
  public mutating func setLimit(_ byteCountMax: UInt64) { self.messageByteCountMax = byteCountMax }

  /// Lets messages of any size pass: of a peer that was told to stop, the end is awaited.
  public mutating func liftLimit() { self.messageByteCountMax = .max }

  private enum Step {
    case passed(Int)
    case stopped(Int, Stop)
  }

  /// Takes the header at the beginning of `octets`, and the whole frame where it is a control frame.
  private mutating func step(
    _ octets: Span<UInt8>, _ messagesLeft: inout Int, _ counts: inout FrameCounts
  ) -> Step {
    do throws(FrameViolation) {
      guard let header = try FrameHeader.parse(octets) else { return .stopped(0, .incomplete) }
      try header.check(from: self.sender, allowing: self.allowedBits)
      guard !header.opcode.isControl else { return try self.control(header, octets, &counts) }
      var sequence = self.sequence
      try sequence.received(header)
      let isFirst = header.opcode != .continuation
      guard !isFirst || messagesLeft > 0 else { return .stopped(0, .messagesSpent) }
      guard self.fits(header, isFirst) else { return .stopped(0, .messageTooBig) }
      if isFirst { messagesLeft &-= 1 }
      self.sequence = sequence
      self.payloadLeft = header.payloadByteCount
      self.lastPayloadByteCount = header.payloadByteCount
      counts.count(header.opcode)
      return .passed(header.headerByteCount)
    } catch {
      return .stopped(0, .violation(error))
    }
  }

  /// Adds a frame to its message, unless that becomes too large.
  private mutating func fits(_ header: FrameHeader, _ isFirst: Bool) -> Bool {
    // Each is below 2⁶³, and a sum of more ends here where there is a limit.
    let before = isFirst ? 0 : self.messageByteCount
    let (sum, overflow) = before.addingReportingOverflow(header.payloadByteCount)
    guard !overflow, sum <= self.messageByteCountMax else {
      // Without a limit, no message is too large; the sum means nothing then.
      return self.messageByteCountMax == .max
    }
    self.messageByteCount = sum
    return true
  }

  private func control(
    _ header: FrameHeader, _ octets: Span<UInt8>, _ counts: inout FrameCounts
  ) throws(FrameViolation) -> Step {
    let start = header.headerByteCount
    let end = start + Int(header.payloadByteCount)
    guard octets.count >= end else { return .stopped(0, .incomplete) }
    let payload = octets.extracting(start..<end)
    switch header.opcode {
    case .close:
      let close = try ClosePayload.parse(Self.unmasked(payload, header.maskKey).span)
      counts.count(.close)
      return .stopped(end, .close(close.code))
    case .pong where self.isOwnTag(payload, header.maskKey):
      counts.count(.pong)
      return .stopped(0, .ownPong(byteCount: end))
    default:
      counts.count(header.opcode)
      return .passed(end)
    }
  }

  private func isOwnTag(_ payload: Span<UInt8>, _ maskKey: UInt32?) -> Bool {
    guard payload.count == Self.pingTagByteCount else { return false }
    var number: UInt64 = 0
    for index in payload.indices { number = number << 8 | UInt64(payload[index]) }
    let key = UInt64(maskKey ?? 0)
    return number ^ (key << 32 | key) == self.pingTag
  }

  private static func unmasked(_ payload: Span<UInt8>, _ maskKey: UInt32?) -> [UInt8] {
    var octets: [UInt8] = []
    octets.reserveCapacity(payload.count)
    for index in payload.indices { octets.append(payload[index]) }
    if let maskKey {
      var span = octets.mutableSpan
      Mask(key: maskKey).apply(to: &span, at: 0)
    }
    return octets
  }
}
