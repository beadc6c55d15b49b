import Net
import Testing
import WebSocket

@testable import Tunnel

extension SplitMix {
  /// Once in so many times.
  mutating func once(in count: Int) -> Bool { Int.random(in: 0..<count, using: &self) == 0 }
}

/// What one peer says, frame by frame: it knows where it is in a message.
private struct Speaker {
  let side: Side
  private var isInMessage = false

  init(_ side: Side) { self.side = side }

  /// A frame that may be sent, but for a close frame.
  mutating func say(_ chance: inout SplitMix) -> [UInt8] {
    switch Int.random(in: 0..<8, using: &chance) {
    case 0: return frame(self.side, .ping, [1])
    case 1: return frame(self.side, .pong)
    case 2: return ownPong(self.side)
    default: break
    }
    let opcode: Opcode = self.isInMessage ? .continuation : .text
    self.isInMessage = chance.once(in: 3)
    // Both forms of a length, and empty payloads.
    let count = chance.once(in: 8) ? 200 : Int.random(in: 0..<6, using: &chance)
    return frame(
      self.side, opcode, [UInt8](repeating: 7, count: count), isFinal: !self.isInMessage)
  }

  /// Mostly a frame that may be sent; sometimes a close frame, and sometimes anything.
  mutating func sayAnything(_ chance: inout SplitMix) -> [UInt8] {
    if chance.once(in: 25) { return closeFrame(self.side, chance.once(in: 3) ? nil : 1000) }
    guard chance.once(in: 60) else { return self.say(&chance) }
    return (0..<6).map { _ in UInt8.random(in: 0...255, using: &chance) }
  }
}

/// Reads what went to a side, by rules that are written down here once more (RFC 6455 §5.2).
private struct Reader {
  /// Whether octets are cut into frames anew before they go out: then any place is between frames.
  private let isReframed: Bool
  private var isClosedByEdge = false
  private var header: [UInt8] = []
  private var payloadLeft = 0
  private(set) var closeCount = 0
  /// What should not have happened; `nil` where all is well.
  private(set) var fault: String?

  init(isReframed: Bool) { self.isReframed = isReframed }

  private var isBetweenFrames: Bool { self.header.isEmpty && self.payloadLeft == 0 }

  /// The edge puts in a frame of its own.
  mutating func insert(_ frame: Tunnel.OwnFrame) {
    if !self.isReframed, !self.isBetweenFrames { self.fault = "\(frame) inside of a frame" }
    if self.closeCount > 0 { self.fault = "\(frame) behind a close frame" }
    guard case .close = frame else { return }
    self.closeCount += 1
    self.isClosedByEdge = true
  }

  /// An octet of the other peer's.
  mutating func pass(_ octet: UInt8) {
    if self.isClosedByEdge || self.closeCount > 0 && self.isBetweenFrames {
      self.fault = "octets behind a close frame"
    }
    guard self.payloadLeft == 0 else { return self.payloadLeft -= 1 }
    self.header.append(octet)
    guard self.header.count > 1, self.header.count == self.headerByteCount else { return }
    let isControl = self.header[0] & 8 != 0
    self.payloadLeft = Int(self.header[1] & 0x7F)
    if self.lengthByteCount > 0 {
      let length = self.header[2..<(2 + self.lengthByteCount)]
      self.payloadLeft = length.reduce(0) { $0 << 8 | Int($1) }
    }
    if self.header[0] & 0xF == 8 { self.closeCount += 1 }
    if self.header[0] & 0x70 != 0 || isControl && self.header[0] & 0x80 == 0 {
      self.fault = "a frame that may not be sent"
    }
    self.header = []
  }

  /// Octets of a length that does not fit into the second one.
  private var lengthByteCount: Int {
    switch self.header[1] & 0x7F {
    case 126: 2
    case 127: 8
    default: 0
    }
  }

  private var headerByteCount: Int {
    2 + self.lengthByteCount + (self.header[1] & 0x80 == 0 ? 0 : 4)
  }
}

/// A tunnel to which anything happens, and two readers behind it.
private struct Storm: ~Copyable {
  var tunnel: Tunnel
  var chance: SplitMix
  var now = second(0)
  private(set) var readers: Pair<Reader>
  /// All that went to each side, but for the edge's own.
  private(set) var passed = Pair<[UInt8]>(both: [])
  private(set) var wasCut = false
  private var speakers = Pair(Speaker(.downstream), Speaker(.upstream))
  /// What each peer has sent and the edge has not read, and what it has read and holds.
  private var unread = Pair<[UInt8]>(both: [])
  private var held = Pair<[UInt8]>(both: [])
  private var hasEnded = Pair(both: false)
  private(set) var counts = FrameCounts()

  init(_ rules: TunnelRules, isOffloaded: Bool = false, seed: UInt64) {
    self.chance = SplitMix(seed: seed)
    let upgrade = TunnelUpgrade(
      isOffloaded: isOffloaded, pingTag: Wire.pingTag, expiresAt: second(90))
    self.tunnel = Tunnel(
      TunnelTerms(rules), upgrade, now: self.now,
      watermarks: Watermarks(highByteCount: 100, lowByteCount: 10))
    self.readers = Pair(both: Reader(isReframed: isOffloaded))
  }

  /// Octets come and are judged, as far as they may be read.
  mutating func receive(_ octets: [UInt8], from side: Side) {
    self.tunnel.heard(from: side, now: self.now)
    self.held[side] += octets
    self.judge(side)
  }

  /// Judges what is held until there is nothing to be done with it.
  private mutating func judge(_ side: Side) {
    for _ in 0..<200 {
      let octets = self.held[side]
      guard !octets.isEmpty else { return }
      let mayEnd = self.tunnel.mayEnd(side.other)
      let judgement = self.tunnel.judge(
        octets.span, from: side, now: self.now, counting: &self.counts)
      #expect(!mayEnd || judgement.passCount == 0, "octets behind the end")
      let passed = octets.prefix(judgement.passCount)
      if !passed.isEmpty { self.tunnel.spoke(now: self.now) }
      for octet in passed { self.readers[side.other].pass(octet) }
      self.passed[side.other] += passed
      self.held[side].removeFirst(judgement.passCount + judgement.dropCount)
      switch judgement.next {
      case .done, .hold: return
      case .insert: self.insert(towards: side.other)
      case .again: break
      }
    }
    Issue.record("judging comes to no end")
  }

  private mutating func insert(towards side: Side) {
    while let frame = self.tunnel.takeFrame(towards: side, now: self.now) {
      self.readers[side].insert(frame)
    }
  }

  private mutating func settle() {
    self.insert(towards: .downstream)
    self.insert(towards: .upstream)
  }
}

// MARK: - Events

extension Storm {
  /// Any event, and what the edge does after each.
  mutating func happen() {
    let side: Side = Bool.random(using: &self.chance) ? .downstream : .upstream
    switch Int.random(in: 0..<100, using: &self.chance) {
    case 0..<55: self.speak(side)
    case 55..<75: self.queueChanges(towards: side)
    case 75..<96: self.pass(.milliseconds(Int.random(in: 0..<4000, using: &self.chance)))
    case 96: self.tunnel.close(.shed(side), now: self.now)
    case 97: self.tunnel.close(.lifetime, now: self.now)
    case 98: self.end(side)
    default: self.fail(side)
    }
    self.settle()
  }

  private mutating func speak(_ side: Side) {
    guard !self.hasEnded[side] else { return }
    if self.unread[side].count < 20 {
      for _ in 0..<3 { self.unread[side] += self.speakers[side].sayAnything(&self.chance) }
    }
    guard self.tunnel.mayRead(side) else { return }
    let count = Int.random(in: 1...self.unread[side].count, using: &self.chance)
    let octets = Array(self.unread[side].prefix(count))
    self.unread[side].removeFirst(count)
    self.receive(octets, from: side)
  }

  private mutating func queueChanges(towards side: Side) {
    let count = max(0, Int.random(in: -60..<120, using: &self.chance))
    if case .resume(let source) = self.tunnel.queued(count, towards: side, now: self.now) {
      self.judge(source)
    }
    guard count > 0 else { return }
    let untaken = Int.random(in: count..<500, using: &self.chance)
    self.tunnel.untaken(untaken, towards: side, now: self.now)
  }

  private mutating func end(_ side: Side) {
    self.hasEnded[side] = true
    self.held[side] = []
    self.tunnel.ended(side, now: self.now)
  }

  private mutating func fail(_ side: Side) {
    self.end(side)
    self.tunnel.failed(side, now: self.now)
  }

  /// Time passes. Before the next deadline nothing is due, and then something is.
  mutating func pass(_ duration: Duration) {
    let next = self.tunnel.nextDeadline
    let before = Deadline(nanoseconds: next.nanoseconds - 1)
    let early = self.tunnel.deadlinePassed(now: max(self.now, min(before, self.now + duration)))
    #expect(early == .nothing || next <= self.now, "due before its time")
    self.now = self.now + duration
    self.wake()
  }

  private mutating func wake() {
    for _ in 0..<20 {
      switch self.tunnel.deadlinePassed(now: self.now) {
      case .nothing:
        let next = self.tunnel.nextDeadline
        return #expect(next > self.now, "it would be woken again at once")
      case .cut: return self.wasCut = true
      case .resume(let side): self.judge(side)
      case .ping, .ending: break
      }
      self.settle()
    }
    Issue.record("deadlines come to no end")
  }

  /// Nothing comes any more: how many deadlines pass until nothing is left.
  mutating func runOut() -> Int {
    self.tunnel.close(.shutdown, now: self.now)
    self.settle()
    for count in 0..<20 {
      let isOver = self.tunnel.isOver
      if isOver || self.wasCut { return count }
      self.pass(self.tunnel.nextDeadline.duration(since: self.now))
    }
    return .max
  }
}

extension Deadline {
  fileprivate static func + (instant: Deadline, duration: Duration) -> Deadline {
    instant.advanced(by: duration)
  }
}

@Suite("tunnel: whatever happens")
struct TunnelPropertyTests {
  /// Rules of all kinds, so that each is met by some seeds.
  private static func rules(_ chance: inout SplitMix) -> TunnelRules {
    let excess: TunnelRules.RateLimit.Excess = chance.once(in: 8) ? .close : .throttle
    let limit = TunnelRules.RateLimit(perSecond: 20, burst: 40, excess: excess, from: .both)
    let heartbeat = TunnelRules.Heartbeat(interval: .seconds(3), timeout: .seconds(4), to: .both)
    return TunnelRules(
      messageByteCountMax: chance.once(in: 4) ? 300 : nil,
      messages: chance.once(in: 3) ? limit : nil, bytes: chance.once(in: 3) ? limit : nil,
      heartbeat: chance.once(in: 3) ? nil : heartbeat, idleTimeout: .seconds(20),
      stallTimeout: .seconds(10), lifetimeMax: chance.once(in: 2) ? .seconds(60) : nil)
  }

  @Test("each side gets frames, one close frame at most, nothing behind it, and an end")
  func storm() {
    for seed in 0..<800 as Range<UInt64> {
      var chance = SplitMix(seed: seed &* 77 &+ 5)
      var storm = Storm(Self.rules(&chance), isOffloaded: chance.once(in: 4), seed: seed)
      for _ in 0..<120 where !storm.wasCut { storm.happen() }
      let deadlineCount = storm.runOut()
      #expect(deadlineCount <= 4, "seed \(seed)")
      for side in [Side.downstream, .upstream] {
        let reader = storm.readers[side]
        #expect(reader.fault == nil, "seed \(seed), towards \(side)")
        #expect(reader.closeCount <= 1, "seed \(seed), towards \(side)")
      }
    }
  }

  /// A stream of one side, whole frames up to some end: a close frame, a fault, or none.
  private static func stream(_ side: Side, _ chance: inout SplitMix) -> [UInt8] {
    var speaker = Speaker(side)
    var octets: [UInt8] = []
    for _ in 0..<20 { octets += speaker.say(&chance) }
    switch Int.random(in: 0..<3, using: &chance) {
    case 0: octets += closeFrame(side) + frame(side)
    case 1: octets += [0x83, 0] + frame(side)
    default: break
    }
    return octets
  }

  /// The stream comes in pieces of some sizes; what passed, what was counted, and why it ended.
  private static func cut(
    _ octets: [UInt8], from side: Side, sizes: Range<Int>, _ chance: inout SplitMix
  ) -> (passed: [UInt8], counts: FrameCounts, cause: Cause?) {
    var storm = Storm(TunnelRules(heartbeat: nil), seed: 0)
    var rest = octets[...]
    while !rest.isEmpty {
      let piece = rest.prefix(Int.random(in: sizes, using: &chance))
      rest = rest.dropFirst(piece.count)
      storm.receive(Array(piece), from: side)
    }
    return (storm.passed[side.other], storm.counts, storm.tunnel.cause)
  }

  @Test("however a stream is cut, the same octets pass", arguments: [Side.downstream, .upstream])
  func cuts(side: Side) {
    for seed in 0..<200 as Range<UInt64> {
      var chance = SplitMix(seed: seed)
      let octets = Self.stream(side, &chance)
      let whole = Self.cut(octets, from: side, sizes: 10_000..<10_001, &chance)
      #expect(octets.count - whole.passed.count < octets.count, "seed \(seed)")
      for sizes in [1..<2, 1..<4, 1..<40] {
        let cut = Self.cut(octets, from: side, sizes: sizes, &chance)
        #expect(cut == whole, "seed \(seed), pieces of \(sizes)")
      }
    }
  }
}
