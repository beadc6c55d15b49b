/// One of the two peers of a tunnel.
public enum Side: Equatable, Sendable {
  /// The client.
  case downstream
  /// The server.
  case upstream

  /// The peer at the other end of the tunnel.
  public var other: Side { self == .downstream ? .upstream : .downstream }
}

/// How much a direction may have waiting for a slow peer before its source is no longer read.
public struct Watermarks: Equatable, Sendable {
  /// Octets queued above which reading the source stops.
  public let highByteCount: Int
  /// Octets queued below which it goes on.
  public let lowByteCount: Int

  /// A pair of marks, in octets, 0 < low < high.
  public init(highByteCount: Int, lowByteCount: Int) {
    precondition(lowByteCount < highByteCount && lowByteCount > 0)
    self.highByteCount = highByteCount
    self.lowByteCount = lowByteCount
  }

  /// 64 KiB and 16 KiB. What is queued exceeds the high mark by one receive at most.
  public static let standard = Watermarks(highByteCount: 64 * 1024, lowByteCount: 16 * 1024)
}

/// The two directions between a client and a server. Pure: no descriptor, no clock, no I/O.
///
///             ended(A)              ended(B)
///     open ────────────▶ halfClosed ────────▶ over ──▶ closed, when both queues are empty
///       │ failed(A)          │ failed(A)
///       └────────────────────┴──▶ surviving(B): B gets what is queued for it and the end of the
///                                 stream, and what it still sends is dropped, until it ends, too
///
/// A direction is named after its source: `downstream` carries the client's octets to the server.
public struct Tunnel: ~Copyable {
  /// One direction, from its source to the other side's queue.
  private struct Direction {
    var octetCount: UInt64 = 0
    var isPaused = false
    /// The source has sent its last octet.
    var hasEnded = false
  }

  private var fromDownstream = Direction()
  private var fromUpstream = Direction()
  /// The side that is left after the other one broke.
  public private(set) var survivor: Side?
  private var droppedByteCount = 0
  private let watermarks: Watermarks

  /// Octets that are dropped for a peer that is gone before the other one is cut off.
  public static let droppedByteCountMax = 1024 * 1024

  /// A tunnel that is open in both directions.
  public init(watermarks: Watermarks = .standard) { self.watermarks = watermarks }

  /// Octets passed on from `side` so far.
  public func octetCount(from side: Side) -> UInt64 {
    side == .downstream ? self.fromDownstream.octetCount : self.fromUpstream.octetCount
  }

  /// Whether the source may be read now.
  public func mayRead(_ side: Side) -> Bool {
    switch side {
    case .downstream: !self.fromDownstream.isPaused && !self.fromDownstream.hasEnded
    case .upstream: !self.fromUpstream.isPaused && !self.fromUpstream.hasEnded
    }
  }

  /// What to do with octets that came in.
  public enum OnOctets: Equatable, Sendable {
    /// Send them to the other side, then report what it has queued.
    case forward
    /// The other side is gone.
    case drop
  }

  /// `count` octets came from `side`.
  public mutating func received(_ count: Int, from side: Side) -> OnOctets {
    if self.survivor != nil {
      self.droppedByteCount += count
      // Enough to let a polite peer end in its own time; not to be flooded for nothing.
      if self.droppedByteCount > Self.droppedByteCountMax { self.setEnded(side) }
      return .drop
    }
    switch side {
    case .downstream: self.fromDownstream.octetCount &+= UInt64(count)
    case .upstream: self.fromUpstream.octetCount &+= UInt64(count)
    }
    return .forward
  }

  /// What a change of a queue asks for.
  public enum OnQueue: Equatable, Sendable {
    case nothing
    /// Read this side again: its octets have room now.
    case resume(Side)
  }

  /// The queue towards `side` holds `count` octets now.
  public mutating func queued(_ count: Int, towards side: Side) -> OnQueue {
    let source = side.other
    if count > self.watermarks.highByteCount {
      // What comes for a side that is gone is dropped, so its source never waits.
      if self.survivor == nil { self.setPaused(true, source) }
    } else if count < self.watermarks.lowByteCount, self.isPaused(source) {
      self.setPaused(false, source)
      return self.mayRead(source) ? .resume(source) : .nothing
    }
    return .nothing
  }

  /// What the end of a stream asks for.
  public enum OnEnd: Equatable, Sendable {
    /// Tell this side, behind all that is queued for it, that nothing more comes.
    case end(Side)
    case nothing
  }

  /// `side` has sent its last octet.
  public mutating func ended(_ side: Side) -> OnEnd {
    guard !self.hasEnded(side) else { return .nothing }
    self.setEnded(side)
    return self.survivor == nil ? .end(side.other) : .nothing
  }

  /// `side` broke: nothing can be sent to it or received from it.
  public mutating func failed(_ side: Side) -> OnEnd {
    // Where the survivor broke as well, nobody is left to tell.
    if let survivor = self.survivor {
      if side == survivor { self.setEnded(survivor) }
      return .nothing
    }
    let toldAlready = self.hasEnded(side)
    self.survivor = side.other
    self.setEnded(side)
    // What comes from the survivor is dropped, so its direction never waits for room.
    self.setPaused(false, side.other)
    return toldAlready ? .nothing : .end(side.other)
  }

  /// One direction has ended, or both.
  public var hasAnyEnded: Bool { self.fromDownstream.hasEnded || self.fromUpstream.hasEnded }

  /// Both directions have ended: close both sides as soon as nothing is queued for either.
  public var isOver: Bool { self.fromDownstream.hasEnded && self.fromUpstream.hasEnded }

  private func hasEnded(_ side: Side) -> Bool {
    side == .downstream ? self.fromDownstream.hasEnded : self.fromUpstream.hasEnded
  }

  private mutating func setEnded(_ side: Side) {
    if side == .downstream {
      self.fromDownstream.hasEnded = true
    } else {
      self.fromUpstream.hasEnded = true
    }
  }

  private func isPaused(_ source: Side) -> Bool {
    source == .downstream ? self.fromDownstream.isPaused : self.fromUpstream.isPaused
  }

  private mutating func setPaused(_ isPaused: Bool, _ source: Side) {
    if source == .downstream {
      self.fromDownstream.isPaused = isPaused
    } else {
      self.fromUpstream.isPaused = isPaused
    }
  }
}
