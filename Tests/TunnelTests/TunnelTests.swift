import Testing

@testable import Tunnel

/// One thing that happens to a tunnel.
private enum Step: Sendable, CustomStringConvertible {
  case octets(Side)
  case queued(Int, Side)
  case ended(Side)
  case failed(Side)

  var description: String {
    switch self {
    case .octets(let side): "octets(\(side))"
    case .queued(let count, let side): "queued(\(count), \(side))"
    case .ended(let side): "ended(\(side))"
    case .failed(let side): "failed(\(side))"
    }
  }
}

extension Tunnel {
  /// What came of it, as text: `-` for nothing.
  fileprivate mutating func take(_ step: Step) -> String {
    switch step {
    case .octets(let side): "\(self.received(1, from: side))"
    case .queued(let count, let side):
      switch self.queued(count, towards: side) {
      case .nothing: "-"
      case .resume(let side): "resume \(side)"
      }
    case .ended(let side): Self.text(self.ended(side))
    case .failed(let side): Self.text(self.failed(side))
    }
  }

  private static func text(_ action: OnEnd) -> String {
    switch action {
    case .nothing: "-"
    case .end(let side): "end \(side)"
    }
  }
}

@Suite("tunnel")
struct TunnelTests {
  private static let (high, low) = (70_000, 10_000)

  /// The states, each by the steps that lead to it.
  private static let states: [(name: String, steps: [Step])] = [
    ("open", []),
    ("paused", [.queued(high, .upstream)]),
    ("client ended", [.ended(.downstream)]),
    ("server ended", [.ended(.upstream)]),
    ("paused and ended", [.queued(high, .upstream), .ended(.downstream)]),
    ("over", [.ended(.downstream), .ended(.upstream)]),
    ("surviving server", [.failed(.downstream)]),
    ("surviving client", [.failed(.upstream)]),
    ("surviving ended server", [.ended(.upstream), .failed(.downstream)]),
    ("client failed after its end", [.ended(.downstream), .failed(.downstream)]),
    ("both failed", [.failed(.downstream), .failed(.upstream)]),
  ]

  private struct Row: Sendable {
    let state: String
    let step: Step
    let result: String
    /// Sides that may be read after it.
    let reads: String
    let isOver: Bool
    let survivor: Side?

    init(
      _ state: String, _ step: Step, _ result: String, reads: String, over: Bool = false,
      survivor: Side? = nil
    ) {
      self.state = state
      self.step = step
      self.result = result
      self.reads = reads
      self.isOver = over
      self.survivor = survivor
    }
  }

  private static let rows: [Row] = [
    Row("open", .octets(.downstream), "forward", reads: "du"),
    Row("open", .octets(.upstream), "forward", reads: "du"),
    Row("open", .queued(high, .upstream), "-", reads: "u"),
    Row("open", .queued(high, .downstream), "-", reads: "d"),
    Row("open", .queued(0, .upstream), "-", reads: "du"),
    Row("open", .ended(.downstream), "end upstream", reads: "u"),
    Row("open", .ended(.upstream), "end downstream", reads: "d"),
    Row("open", .failed(.downstream), "end upstream", reads: "u", survivor: .upstream),
    Row("open", .failed(.upstream), "end downstream", reads: "d", survivor: .downstream),

    Row("paused", .octets(.upstream), "forward", reads: "u"),
    Row("paused", .queued(high, .upstream), "-", reads: "u"),
    Row("paused", .queued(16 * 1024, .upstream), "-", reads: "u"),
    Row("paused", .queued(16 * 1024 - 1, .upstream), "resume downstream", reads: "du"),
    Row("paused", .queued(0, .downstream), "-", reads: "u"),
    Row("paused", .ended(.downstream), "end upstream", reads: "u"),
    Row("paused", .ended(.upstream), "end downstream", reads: ""),
    Row("paused", .failed(.downstream), "end upstream", reads: "u", survivor: .upstream),
    // What the client still sends is dropped, so it does not wait for the server's queue.
    Row("paused", .failed(.upstream), "end downstream", reads: "d", survivor: .downstream),

    Row("client ended", .octets(.upstream), "forward", reads: "u"),
    Row("client ended", .ended(.downstream), "-", reads: "u"),
    Row("client ended", .ended(.upstream), "end downstream", reads: "", over: true),
    Row("client ended", .queued(high, .downstream), "-", reads: ""),
    Row("client ended", .queued(high, .upstream), "-", reads: "u"),
    Row("client ended", .failed(.downstream), "-", reads: "u", survivor: .upstream),
    Row(
      "client ended", .failed(.upstream), "end downstream", reads: "", over: true,
      survivor: .downstream),

    Row("server ended", .octets(.downstream), "forward", reads: "d"),
    Row("server ended", .ended(.upstream), "-", reads: "d"),
    Row("server ended", .ended(.downstream), "end upstream", reads: "", over: true),
    Row("server ended", .failed(.upstream), "-", reads: "d", survivor: .downstream),
    Row(
      "server ended", .failed(.downstream), "end upstream", reads: "", over: true,
      survivor: .upstream),

    Row("paused and ended", .queued(0, .upstream), "-", reads: "u"),
    Row("paused and ended", .ended(.upstream), "end downstream", reads: "", over: true),

    Row("over", .ended(.downstream), "-", reads: "", over: true),
    Row("over", .ended(.upstream), "-", reads: "", over: true),
    Row("over", .queued(high, .upstream), "-", reads: "", over: true),
    Row("over", .failed(.downstream), "-", reads: "", over: true, survivor: .upstream),
    Row("over", .failed(.upstream), "-", reads: "", over: true, survivor: .downstream),

    Row("surviving server", .octets(.upstream), "drop", reads: "u", survivor: .upstream),
    Row("surviving server", .queued(high, .upstream), "-", reads: "u", survivor: .upstream),
    Row("surviving server", .queued(high, .downstream), "-", reads: "u", survivor: .upstream),
    Row("surviving server", .ended(.upstream), "-", reads: "", over: true, survivor: .upstream),
    Row("surviving server", .ended(.downstream), "-", reads: "u", survivor: .upstream),
    Row("surviving server", .failed(.upstream), "-", reads: "", over: true, survivor: .upstream),
    Row("surviving server", .failed(.downstream), "-", reads: "u", survivor: .upstream),

    Row("surviving client", .octets(.downstream), "drop", reads: "d", survivor: .downstream),
    Row("surviving client", .ended(.downstream), "-", reads: "", over: true, survivor: .downstream),
    Row(
      "surviving client", .failed(.downstream), "-", reads: "", over: true, survivor: .downstream),
    Row("surviving client", .failed(.upstream), "-", reads: "d", survivor: .downstream),

    Row(
      "surviving ended server", .queued(0, .upstream), "-", reads: "", over: true,
      survivor: .upstream),
    Row("client failed after its end", .octets(.upstream), "drop", reads: "u", survivor: .upstream),
    Row(
      "client failed after its end", .ended(.upstream), "-", reads: "", over: true,
      survivor: .upstream),
    Row("both failed", .failed(.upstream), "-", reads: "", over: true, survivor: .upstream),
    Row("both failed", .ended(.downstream), "-", reads: "", over: true, survivor: .upstream),
  ]

  @Test("every event in every state", arguments: TunnelTests.rows.indices)
  func table(index: Int) throws {
    let row = Self.rows[index]
    let state = try #require(Self.states.first { $0.name == row.state })
    var tunnel = Tunnel()
    for step in state.steps { _ = tunnel.take(step) }
    let result = tunnel.take(row.step)
    let reads =
      (tunnel.mayRead(.downstream) ? "d" : "") + (tunnel.mayRead(.upstream) ? "u" : "")
    let (isOver, survivor) = (tunnel.isOver, tunnel.survivor)
    #expect(result == row.result, "\(row.state): \(row.step)")
    #expect(reads == row.reads, "\(row.state): \(row.step)")
    #expect(isOver == row.isOver, "\(row.state): \(row.step)")
    #expect(survivor == row.survivor, "\(row.state): \(row.step)")
  }

  @Test("octets are counted by their source, dropped ones are not")
  func counts() {
    var tunnel = Tunnel()
    _ = tunnel.received(10, from: .downstream)
    _ = tunnel.received(5, from: .upstream)
    _ = tunnel.failed(.downstream)
    _ = tunnel.received(7, from: .upstream)
    let counts = (tunnel.octetCount(from: .downstream), tunnel.octetCount(from: .upstream))
    #expect(counts == (10, 5))
  }

  @Test("who floods a peer that is gone is cut off", arguments: [Side.downstream, .upstream])
  func flood(gone: Side) {
    var tunnel = Tunnel()
    _ = tunnel.failed(gone)
    let first = tunnel.received(Tunnel.droppedByteCountMax, from: gone.other)
    let early = (tunnel.isOver, tunnel.mayRead(gone.other))
    let last = tunnel.received(1, from: gone.other)
    let late = (tunnel.isOver, tunnel.mayRead(gone.other))
    #expect(first == .drop)
    #expect(last == .drop)
    #expect(early == (false, true))
    #expect(late == (true, false))
  }

  @Test("reading stops above the high mark and goes on below the low one, not at either")
  func watermarks() {
    var tunnel = Tunnel(watermarks: Watermarks(highByteCount: 100, lowByteCount: 10))
    var reads: [Bool] = []
    for count in [99, 100, 101, 100, 10, 9, 100] {
      _ = tunnel.queued(count, towards: .upstream)
      reads.append(tunnel.mayRead(.downstream))
    }
    #expect(reads == [true, true, false, false, false, true, true])
  }

  @Test("sides are each other's other")
  func sides() {
    #expect(Side.downstream.other == .upstream)
    #expect(Side.upstream.other == .downstream)
  }

  /// What holds for a tunnel at any time.
  private struct Record {
    var ends: [Side] = []
    var hasEnded: Set<String> = []
    var hasFailed: Set<String> = []

    func isDone(_ side: Side) -> Bool {
      self.hasEnded.contains("\(side)") || self.hasFailed.contains("\(side)")
    }
  }

  @Test("no order of events breaks the rules", arguments: 0..<200)
  func anyOrder(round: Int) throws {
    let seed = UInt64.random(in: .min ... .max)
    var chance = Seeded(seed)
    var tunnel = Tunnel(watermarks: Watermarks(highByteCount: 100, lowByteCount: 10))
    var record = Record()
    var trace: [String] = []
    for _ in 0..<60 {
      let side: Side = Bool.random(using: &chance) ? .downstream : .upstream
      let step: Step =
        switch Int.random(in: 0..<20, using: &chance) {
        case 0: .ended(side)
        case 1: .failed(side)
        case 2..<12: .queued(Int.random(in: 0...200, using: &chance), side)
        default: .octets(side)
        }
      let mayRead = tunnel.mayRead(side)
      let survivor = tunnel.survivor
      let result = tunnel.take(step)
      trace.append("\(step) → \(result)")
      let place = Comment(rawValue: "seed \(seed): \(trace.joined(separator: ", "))")
      switch step {
      case .octets: try #require(result == (survivor == nil ? "forward" : "drop"), place)
      case .queued(let count, let side):
        try Self.checkQueue(tunnel, count, side, result, record, place)
      case .ended(let side): record.hasEnded.insert("\(side)")
      case .failed(let side): record.hasFailed.insert("\(side)")
      }
      if result == "end downstream" { record.ends.append(.downstream) }
      if result == "end upstream" { record.ends.append(.upstream) }
      try Self.checkAlways(tunnel, record, place)
      if !mayRead, case .queued(_, let other) = step, other == side {
        // A queue decides about the other side's reading only.
        try #require(tunnel.mayRead(side) == false, place)
      }
    }
  }

  private static func checkQueue(
    _ tunnel: borrowing Tunnel, _ count: Int, _ side: Side, _ result: String, _ record: Record,
    _ place: Comment
  ) throws {
    let mayRead = tunnel.mayRead(side.other)
    if record.isDone(side.other) { try #require(!mayRead, place) }
    if result != "-" {
      try #require(result == "resume \(side.other)", place)
      try #require(mayRead, place)
    }
    // While both live, a full queue is always felt, and an empty one never.
    guard record.hasFailed.isEmpty, !record.isDone(side.other) else { return }
    if count > 100 { try #require(!mayRead, place) }
    if count < 10 { try #require(mayRead, place) }
  }

  private static func checkAlways(
    _ tunnel: borrowing Tunnel, _ record: Record, _ place: Comment
  ) throws {
    let isOver = tunnel.isOver
    let reads = (tunnel.mayRead(.downstream), tunnel.mayRead(.upstream))
    try #require(isOver == (record.isDone(.downstream) && record.isDone(.upstream)), place)
    if isOver { try #require(reads == (false, false), place) }
    // Each side is told of the end once at most, and only when the other one is done.
    try #require(record.ends.filter { $0 == .downstream }.count <= 1, place)
    try #require(record.ends.filter { $0 == .upstream }.count <= 1, place)
    for side in record.ends { try #require(record.isDone(side.other), place) }
    // A side that is left is told, and never waits for room.
    for (done, left) in [(Side.downstream, Side.upstream), (.upstream, .downstream)] {
      guard record.isDone(done), !record.isDone(left) else { continue }
      try #require(record.ends.contains(left), place)
      if !record.hasFailed.isEmpty { try #require(tunnel.mayRead(left) == true, place) }
    }
  }
}

/// Chance that repeats itself: a failure names the seed (SplitMix64).
private struct Seeded: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) { self.state = seed }

  mutating func next() -> UInt64 {
    self.state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = self.state
    mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }
}
