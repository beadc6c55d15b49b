import Net
import Testing

@testable import bench

@Suite struct RoomsWordsTests {
  private static let words = RoomsWords(dataByteCount: 300)
  private static let stamp = RoomsWords.Stamp(due: 0x0123_4567_89AB_CDEF, receiver: 77)

  private static func signal(id: UInt64? = nil, size: Int = 300) -> String {
    var text: [UInt8] = []
    RoomsWords(dataByteCount: size).write(
      Self.stamp, to: Array("ada".utf8), id: id, into: &text)
    return String(decoding: text, as: UTF8.self)
  }

  /// What the relay makes of a signal.
  private static func relayed(_ signal: String) -> String {
    let rest = signal.dropFirst(#"{"type":"signal","to":"ada","#.count)
    return #"{"seq":1,"type":"signal","from":"bob",\#(rest)"#
  }

  private static func read(_ text: String) -> RoomsWords.Answer {
    Self.words.read(Array(text.utf8).span)
  }

  @Test("a signal has data of as many octets as are wanted", arguments: [26, 27, 300, 1000])
  func size(count: Int) {
    let text = Self.signal(size: count)
    let bare = #"{"type":"signal","to":"ada","kind":"candidates","data":}"#
    #expect(text.utf8.count == bare.utf8.count + count)
  }

  @Test("an id stands behind the data")
  func id() {
    #expect(Self.signal(id: 12).hasSuffix(#"","id":12}"#))
    #expect(Self.signal().hasSuffix(#""}"#))
  }

  @Test("what was stamped is read where it arrives, with and without an id")
  func roundTrip() {
    #expect(Self.read(Self.relayed(Self.signal())) == .signal(Self.stamp))
    #expect(Self.read(Self.relayed(Self.signal(id: 3))) == .signal(Self.stamp))
  }

  @Test("a changed octet is seen, and so is one that is missing")
  func changed() {
    let text = Self.relayed(Self.signal())
    for (old, new) in [("typ srflx", "typ relay"), ("0123456789abcdef", "0123456789abcdeg")] {
      #expect(Self.read(text.replacing(old, with: new, maxReplacements: 1)) == .changed)
    }
    #expect(Self.read(String(text.dropLast(8))) == .changed)
    #expect(Self.read(#"{"type":"signal","data":"01"#) == .changed)
  }

  @Test(
    "other messages are told apart, wherever their type stands",
    arguments: [
      (#"{"seq":1,"type":"ack","id":1,"delivered":true}"#, RoomsWords.Answer.ack),
      (#"{"type":"joined","version":2,"peer":"ada"}"#, .other), ("{}", .other), ("", .other),
      (#"{"type":"welcome","peer":"ada","resume":"x"}"#, .welcome(peer: Array("ada".utf8))),
      (#"{"type":"error","code":"x"}"#, .error(#"{"type":"error","code":"x"}"#)),
    ])
  func others(text: String, answer: RoomsWords.Answer) {
    #expect(Self.read(text) == answer)
  }

  @Test("a welcome without an end of its peer is none")
  func brokenWelcome() {
    #expect(Self.read(#"{"type":"welcome","peer":"ad"#) == .error("a welcome without a peer"))
  }
}

@Suite struct RoomsPlanTests {
  private static func plan(peers: Int, roomSize: Int) -> RoomsPlan {
    RoomsPlan(
      work: .latency, peerCount: peers, roomSize: roomSize, dataByteCount: 300, rate: 1,
      underWay: 1, wantsAcks: false, warmup: .zero, duration: .zero,
      address: .ip(.v4(0x7F00_0001), port: 1), authority: "a:1", path: "/rooms/")
  }

  @Test("mates are of the same room, are never oneself, and are all drawn")
  func mates() {
    let plan = Self.plan(peers: 12, roomSize: 4)
    var chance = SplitMix(seed: 1)
    let drawn = Set((0..<200).map { _ in plan.mate(ofPeer: 6, &chance) })
    #expect(drawn == [4, 5, 7])
    #expect(plan.target(ofPeer: 6) == "/rooms/bench-1")
    #expect(plan.room(ofPeer: 11) == 8..<12)
  }
}

@Suite struct RoomsTallyTests {
  @Test("what was begun and did not arrive is lost, and answers are awaited where they are wanted")
  func settled() {
    var tally = RoomsTally(wantsAcks: true)
    tally.begun(after: .microseconds(3))
    #expect(tally.lostCount == 1)
    tally.completed(after: nil, isMeasured: true)
    #expect(tally.lostCount == 0 && tally.missingAckCount == 1 && !tally.isSettled)
    tally.acknowledged()
    #expect(tally.isSettled && tally.unitCount == 1)
    #expect(tally.lag.count == 1 && tally.latency.count == 0)
  }
}
