public import HTTP
public import HTTP2
public import Net

/// An HTTP/2 connection as its streams see it: the session that frames what they send, and what came for
/// each of them. The socket is another's: of the connection with ``token``.
///
///     socket ──▶ Scratch.frames ──Session──▶ events ──▶ Inlet ──take──▶ Scratch.inbound
///     socket ◀── Session.output ◀──send── what a stream sends
public struct Carrier: ~Copyable {
  /// The octets by which a stream's window grows at most, where its content is taken as fast as it
  /// comes: what a client far away can have under way.
  public static let windowByteCountMax = 1024 * 1024
  /// By how much a window grows at once.
  private static let windowFactor = 4

  /// Frames and what they mean.
  public var session: Session
  /// The connection that has the socket.
  public let token: Token
  /// The version of TLS on the socket; `nil` on a plain one.
  public let tlsVersion: String?
  private let windowByteCount: Int
  /// By the slots of the session's streams.
  private var inlets: [Inlet] = []
  /// Streams that somebody reads and writes.
  public private(set) var streamCount = 0
  /// Streams whose end the client has still to confirm.
  public private(set) var lingeringCount = 0
  /// Octets that came and were not taken yet.
  private(set) var keptByteCount = 0
  /// Whether it is in its worker's line for the end of the turn.
  var isUnflushed = false
  /// Whether the socket is gone.
  public private(set) var isDead = false
  /// Whether no stream has begun yet.
  public private(set) var isUnused = true
  /// Whether a stream has begun or ended since ``takeStir()``.
  private var isStirred = false
  /// Octets of frames that went to the socket.
  public internal(set) var sentByteCount = 0

  /// Whether it has no streams.
  public var isQuiet: Bool { self.streamCount == 0 && self.lingeringCount == 0 }

  /// A session whose socket another connection has.
  public init(
    _ session: consuming Session, token: Token, tlsVersion: String?, windowByteCount: Int
  ) {
    self.session = session
    self.token = token
    self.tlsVersion = tlsVersion
    self.windowByteCount = windowByteCount
  }

  /// What came on one stream.
  private struct Inlet {
    let id: StreamID
    /// The connection that takes it; `nil` once that has left.
    var token: Token?
    /// Whether it was answered with what stands for a 101.
    var isTunnel = false
    var windowByteCount: Int
    var takenByteCount = 0
    /// Octets of earlier turns, of which the first `keptStart` were taken.
    var kept: [UInt8] = []
    var keptStart = 0
    /// Octets of this turn, where they stand in the worker's frames.
    var arrived = 0..<0
    var trailers: Fields?
    /// Fields that go out behind all content.
    var owedTrailers: Fields?
    var hasEnded = false
    /// Whether the end was sent.
    var isEnded = false
    /// How often it was looked at since its connection has left, while the client has the end still to
    /// confirm, or to let pass; `nil` where nothing is awaited.
    var lookCount: Int?
    var fault: ErrorCode?
  }
}

// MARK: - Streams

extension Carrier {
  /// A stream begins, and somebody takes what comes on it.
  public mutating func open(_ id: StreamID, for token: Token, hasEnded: Bool) {
    while self.inlets.count <= id.slot {
      self.inlets.append(
        Inlet(id: StreamID(number: 0, slot: 0), token: nil, windowByteCount: 0))
    }
    self.inlets[id.slot] = Inlet(
      id: id, token: token, windowByteCount: self.windowByteCount, hasEnded: hasEnded)
    self.streamCount += 1
    self.isUnused = false
    self.isStirred = true
  }

  /// Whether a stream has begun or ended since this was asked last.
  public mutating func takeStir() -> Bool {
    defer { self.isStirred = false }
    return self.isStirred
  }

  /// By what a stream broke; `nil` where it has not.
  func fault(of id: StreamID) -> ErrorCode? { self.inlets[id.slot].fault }

  /// Who takes what comes on a stream; `nil` where nobody does any more.
  public func taker(of id: StreamID) -> Token? {
    guard id.slot < self.inlets.count, self.inlets[id.slot].id == id else { return nil }
    return self.inlets[id.slot].token
  }

  /// Content has come, and stands in the worker's frames for this turn.
  public mutating func arrived(_ octets: Range<Int>, on id: StreamID) {
    self.inlets[id.slot].arrived = octets
  }

  /// Fields have come behind the content.
  public mutating func arrived(_ trailers: Fields, on id: StreamID) {
    self.inlets[id.slot].trailers = trailers
  }

  /// The client sends nothing more on the stream.
  public mutating func ended(_ id: StreamID) { self.inlets[id.slot].hasEnded = true }

  /// The stream broke.
  public mutating func failed(_ id: StreamID, _ code: ErrorCode) {
    self.inlets[id.slot].fault = code
  }

  /// The socket broke, and every stream with it: those that are to be told.
  public mutating func fail() -> [Token] {
    self.isDead = true
    var takers: [Token] = []
    for index in self.inlets.indices {
      guard let token = self.inlets[index].token else { continue }
      if self.inlets[index].fault == nil { self.inlets[index].fault = .cancel }
      takers.append(token)
    }
    return takers
  }

  /// The connection that took what came leaves the stream: it is reset where it was not over.
  ///
  /// - Parameter isAborted: whether the client must not take what it has for all of it.
  mutating func leave(_ id: StreamID, isAborted: Bool, _ pool: inout ChunkPool) {
    self.forgetKept(id)
    self.inlets[id.slot].token = nil
    self.streamCount -= 1
    self.isStirred = true
    let inlet = self.inlets[id.slot]
    guard !self.isDead else { return }
    guard inlet.fault == nil, !(inlet.isEnded && inlet.hasEnded) else {
      return self.session.release(id)
    }
    if inlet.isEnded, !isAborted, inlet.isTunnel || self.session.owesEnd(id) {
      // RFC 8441 §5: the end of both sides stands for an orderly end of the connection, and the client's
      // is on its way. RFC 9113 §8.1: an answer that is complete has its end behind it before a reset.
      self.inlets[id.slot].lookCount = 0
      self.lingeringCount += 1
      return
    }
    // RFC 9113 §8.1: an answer that is complete is not taken back by a reset without error.
    let code: ErrorCode = isAborted ? .internalError : inlet.isEnded ? .noError : .cancel
    self.session.reset(id, code, &pool)
    self.session.release(id)
  }

  /// Content for a stream that nobody takes any more, or its end.
  public mutating func passOver(_ id: StreamID, count: Int, isOver: Bool) {
    guard id.slot < self.inlets.count, self.inlets[id.slot].id == id else { return }
    if count > 0 { self.session.consume(count, of: id) }
    guard isOver, self.inlets[id.slot].lookCount != nil else { return }
    self.inlets[id.slot].lookCount = nil
    self.lingeringCount -= 1
    self.session.release(id)
  }

  /// Clients that have not confirmed an end since they were looked at last do not have to any more.
  mutating func lookAtLingering(_ pool: inout ChunkPool) {
    for index in self.inlets.indices {
      guard let count = self.inlets[index].lookCount else { continue }
      guard count > 0 else {
        self.inlets[index].lookCount = 1
        continue
      }
      self.inlets[index].lookCount = nil
      self.lingeringCount -= 1
      self.session.reset(self.inlets[index].id, .noError, &pool)
      self.session.release(self.inlets[index].id)
    }
  }
}

// MARK: - Octets

extension Carrier {
  /// Takes frames of the client, and leaves them where they are: what comes of them points into them.
  mutating func receive(_ frames: inout Buffer, now: Deadline, _ pool: inout ChunkPool) {
    self.session.receive(frames.octets, now: now, &pool)
  }

  /// Sends what the windows allow of what stands in a buffer, and takes it out.
  ///
  /// - Parameter ends: whether the stream's end goes with the last of it, where all of it goes.
  mutating func send(
    _ id: StreamID, _ buffer: inout Buffer, ends: Bool = false, _ pool: inout ChunkPool
  ) {
    let count = self.session.send(buffer.octets, on: id, endsStream: ends, &pool)
    if ends, count == buffer.count { self.inlets[id.slot].isEnded = true }
    buffer.consume(count)
  }

  /// What one look for octets brought.
  enum Taken {
    case octets(isLast: Bool)
    case nothing
    case ended
    case failed(ErrorCode)
  }

  /// Copies what came behind what stands in `inbound`.
  mutating func take(
    _ id: StreamID, from frames: borrowing Buffer, into inbound: inout Buffer, upTo limit: Int
  ) -> Taken {
    let room = min(inbound.freeCount, limit)
    var count = self.takeKept(id, into: &inbound, upTo: room)
    let arrived = self.inlets[id.slot].arrived
    if count < room, !arrived.isEmpty {
      let taken = min(room - count, arrived.count)
      let end = arrived.lowerBound + taken
      inbound.append(frames.octets.extracting(arrived.lowerBound..<end))
      self.inlets[id.slot].arrived = end..<arrived.upperBound
      count += taken
    }
    guard count > 0 else { return self.rest(of: id) }
    self.took(count, of: id)
    let isLast = self.inlets[id.slot].arrived.isEmpty && self.inlets[id.slot].kept.isEmpty
    return .octets(isLast: isLast)
  }

  private func rest(of id: StreamID) -> Taken {
    let inlet = self.inlets[id.slot]
    if let fault = inlet.fault { return .failed(fault) }
    return inlet.hasEnded ? .ended : .nothing
  }

  /// Whether another look would bring anything: also an end.
  func hasMore(_ id: StreamID) -> Bool {
    self.inlets[id.slot].hasEnded || self.inlets[id.slot].fault != nil
  }

  private mutating func takeKept(
    _ id: StreamID, into inbound: inout Buffer, upTo room: Int
  ) -> Int {
    let start = self.inlets[id.slot].keptStart
    let count = min(room, self.inlets[id.slot].kept.count - start)
    guard count > 0 else { return 0 }
    let kept = self.inlets[id.slot].kept
    inbound.append(kept.span.extracting(start..<start + count))
    self.keptByteCount -= count
    if start + count == self.inlets[id.slot].kept.count {
      self.inlets[id.slot].kept = []
      self.inlets[id.slot].keptStart = 0
    } else {
      self.inlets[id.slot].keptStart = start + count
    }
    return count
  }

  /// Opens the stream's window, and makes it larger where all that comes is taken at once.
  private mutating func took(_ count: Int, of id: StreamID) {
    self.session.consume(count, of: id)
    let window = self.inlets[id.slot].windowByteCount
    guard window < Self.windowByteCountMax else { return }
    guard self.inlets[id.slot].kept.isEmpty else {
      self.inlets[id.slot].takenByteCount = 0
      return
    }
    self.inlets[id.slot].takenByteCount += count
    guard self.inlets[id.slot].takenByteCount >= 2 * window else { return }
    let wider = min(window * Self.windowFactor, Self.windowByteCountMax)
    self.inlets[id.slot].windowByteCount = wider
    self.inlets[id.slot].takenByteCount = 0
    self.session.widen(id, to: wider)
  }

  /// Keeps what came in this turn and was not taken; no more than the stream's window.
  public mutating func keep(_ id: StreamID, from frames: borrowing Buffer) {
    let arrived = self.inlets[id.slot].arrived
    guard !arrived.isEmpty else { return }
    self.inlets[id.slot].arrived = 0..<0
    // Whoever took it may have left meanwhile.
    guard self.inlets[id.slot].token != nil else { return }
    let start = self.inlets[id.slot].keptStart
    if start > 0, start >= self.inlets[id.slot].kept.count / 2 {
      // What was taken goes, as often as it pays: a window that is never quite empty is not to keep all
      // that ever came.
      self.inlets[id.slot].kept.removeSubrange(0..<start)
      self.inlets[id.slot].keptStart = 0
    }
    frames.copy(arrived, onto: &self.inlets[id.slot].kept)
    self.keptByteCount += arrived.count
  }

  private mutating func forgetKept(_ id: StreamID) {
    let count = self.inlets[id.slot].kept.count - self.inlets[id.slot].keptStart
    self.keptByteCount -= count
    self.inlets[id.slot].kept = []
    self.inlets[id.slot].keptStart = 0
    let left = count + self.inlets[id.slot].arrived.count
    self.inlets[id.slot].arrived = 0..<0
    if left > 0, !self.isDead { self.session.consume(left, of: id) }
  }

  /// The fields that came behind the content; `nil` without any.
  mutating func takeTrailers(_ id: StreamID) -> Fields? { self.inlets[id.slot].trailers.take() }

  /// Sends the end of the stream, with the fields that it is owed.
  mutating func end(_ id: StreamID, _ pool: inout ChunkPool) {
    guard !self.inlets[id.slot].isEnded else { return }
    self.inlets[id.slot].isEnded = true
    self.session.end(id, trailers: self.inlets[id.slot].owedTrailers.take(), &pool)
  }

  /// The end is to bring fields.
  mutating func owe(_ trailers: Fields, _ id: StreamID) {
    self.inlets[id.slot].owedTrailers = trailers
  }

  /// Whether the end brings fields, and cannot go with content.
  func owesTrailers(_ id: StreamID) -> Bool { self.inlets[id.slot].owedTrailers != nil }

  /// Sends an answer's head.
  mutating func answer(
    _ id: StreamID, _ head: ResponseHead, endsStream: Bool, _ pool: inout ChunkPool
  ) {
    if head.status < 200, head.status != 101 {
      return self.session.answerInterim(id, head, &pool)
    }
    self.inlets[id.slot].isTunnel = head.status == 101
    if endsStream { self.inlets[id.slot].isEnded = true }
    self.session.answer(id, head, endsStream: endsStream, &pool)
  }
}
