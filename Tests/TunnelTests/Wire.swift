import Net
import Testing
import WebSocket

@testable import Tunnel

/// A point of the tests' clock, which begins at 1000 s.
func second(_ seconds: Double) -> Deadline {
  Deadline(nanoseconds: UInt64((1000 + seconds) * 1e9))
}

/// One frame of `side`, masked as its sender has to. The key leaves payload as it is.
func frame(
  _ side: Side, _ opcode: Opcode = .text, _ payload: [UInt8] = [], isFinal: Bool = true
) -> [UInt8] {
  var octets: [UInt8] = []
  FrameHeader(
    opcode: opcode, payloadByteCount: UInt64(payload.count), isFinal: isFinal,
    maskKey: side == .downstream ? 0 : nil
  ).write(into: &octets)
  return octets + payload
}

/// A close frame of `side`.
func closeFrame(_ side: Side, _ code: UInt16? = 1000) -> [UInt8] {
  frame(side, .close, code.map { [UInt8($0 >> 8), UInt8(truncatingIfNeeded: $0)] } ?? [])
}

/// The pong that answers the edge's ping.
func ownPong(_ side: Side) -> [UInt8] {
  frame(side, .pong, (0..<8).map { UInt8(truncatingIfNeeded: Wire.pingTag >> (56 - 8 * $0)) })
}

/// A tunnel with what stands around it in the edge: octets that are held, queues, the order in which
/// frames of the edge's own are put in. What goes to each side is kept as words.
struct Wire: ~Copyable {
  static let pingTag: UInt64 = 0x1122_3344_5566_7788

  var tunnel: Tunnel
  private var held = Pair<[UInt8]>(both: [])
  /// What went to each side: counts of octets, and frames of the edge's own.
  private(set) var told = Pair<[String]>(both: [])
  private(set) var counts = FrameCounts()
  /// Octets that were judged and went nowhere.
  private(set) var droppedCount = 0

  init(
    _ rules: TunnelRules = TunnelRules(heartbeat: nil), expiresAt: Deadline = .never,
    isOffloaded: Bool = false, watermarks: Watermarks = .standard
  ) {
    let upgrade = TunnelUpgrade(
      isOffloaded: isOffloaded, pingTag: Self.pingTag, expiresAt: expiresAt)
    self.tunnel = Tunnel(TunnelTerms(rules), upgrade, now: second(0), watermarks: watermarks)
  }

  /// What went to one side, in order.
  func log(_ side: Side) -> String { self.told[side].joined(separator: " ") }

  /// Octets come from `side`: they are judged behind those that are held.
  mutating func say(_ octets: [UInt8], from side: Side, at now: Deadline = second(0)) {
    self.tunnel.heard(from: side, now: now)
    self.held[side] += octets
    self.goOn(side, at: now)
  }

  /// Judges what is held until there is nothing to be done with it.
  mutating func goOn(_ side: Side, at now: Deadline) {
    for _ in 0..<100 {
      let judgement = self.judge(side, at: now)
      switch judgement.next {
      case .done, .hold: return
      case .insert: self.insert(towards: side.other, at: now)
      case .again: break
      }
    }
    Issue.record("judging comes to no end")
  }

  private mutating func judge(_ side: Side, at now: Deadline) -> Tunnel.Judgement {
    let octets = self.held[side]
    let judgement = self.tunnel.judge(
      octets.span, from: side, now: now, counting: &self.counts)
    if judgement.passCount > 0 {
      self.tunnel.spoke(now: now)
      self.told[side.other].append("\(judgement.passCount)")
    }
    self.droppedCount += judgement.dropCount
    self.held[side].removeFirst(judgement.passCount + judgement.dropCount)
    return judgement
  }

  /// Puts in the edge's own frames.
  mutating func insert(towards side: Side, at now: Deadline = second(0)) {
    while let frame = self.tunnel.takeFrame(towards: side, now: now) {
      switch frame {
      case .ping: self.told[side].append("ping")
      case .close(let payload): self.told[side].append("close \(payload.code?.rawValue ?? 0)")
      }
    }
  }

  /// What the edge does after each event: it puts frames in, and ends what may end.
  mutating func settle(at now: Deadline = second(0)) {
    self.insert(towards: .downstream, at: now)
    self.insert(towards: .upstream, at: now)
  }

  /// All that is due, as words.
  mutating func wake(at now: Deadline) -> String {
    var words: [String] = []
    for _ in 0..<20 {
      let due = self.tunnel.deadlinePassed(now: now)
      switch due {
      case .nothing:
        let next = self.tunnel.nextDeadline
        #expect(next > now, "it would be woken again at once")
        self.settle(at: now)
        return words.joined(separator: " ")
      case .ping(let side): words.append("ping \(side)")
      case .ending: words.append("ending")
      case .resume(let side): words.append("resume \(side)")
      case .cut: return (words + ["cut"]).joined(separator: " ")
      }
      self.settle(at: now)
    }
    Issue.record("deadlines come to no end")
    return ""
  }

  /// Sides that may be told of the end of the stream now.
  var ends: String {
    (self.tunnel.mayEnd(.downstream) ? "d" : "") + (self.tunnel.mayEnd(.upstream) ? "u" : "")
  }

  /// Sides that may be read.
  var reads: String {
    (self.tunnel.mayRead(.downstream) ? "d" : "") + (self.tunnel.mayRead(.upstream) ? "u" : "")
  }
}
