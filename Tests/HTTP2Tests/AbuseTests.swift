import HTTP
import HTTP2
import Net
import Testing

@Suite("abuse")
struct AbuseTests {
  /// Does one thing of a kind, for the `round`-th time.
  typealias Deed = @Sendable (inout Conversation, UInt32) throws -> Void

  /// What is done too much of, how often it may be done at once, and how.
  static let deeds: [(Abuse, Int, Deed)] = [
    (
      .rapidReset, 1000,
      { talk, round in
        _ = talk.hear(.get(2 * round + 1), .reset(2 * round + 1, .cancel))
        talk.session.release(try talk.stream(Int32(2 * round + 1)))
      }
    ),
    (.settingsFlood, 49, { talk, _ in _ = talk.hear(.settings()) }),
    (.pingFlood, 250, { talk, _ in _ = talk.hear(.ping(1)) }),
    (
      .emptyData, 250,
      { talk, round in
        if round == 0 { _ = talk.hear(.post(1)) }
        _ = talk.hear(.data(1, [], padding: round % 2 == 0 ? nil : 7))
      }
    ),
    (
      .priorityFlood, 1000,
      { talk, round in
        let types: [UInt8] = [2, 0xA, 0x10, 0x77]
        _ = talk.hear(Frame(type: types[Int(round % 4)], stream: 7, payload: [0, 0, 0, 1, 1]))
      }
    ),
    (
      .tinyWindows, 250,
      { talk, round in
        if round == 0 {
          _ = talk.hear(.settings([(4, 0)]))
          _ = try talk.open(1)
        }
        _ = talk.hear(.windowUpdate(1, 1))
        let count = talk.send("xyz", on: try talk.stream(1))
        #expect(count == 1)
      }
    ),
    (.windowUpdateFlood, 1000, { talk, _ in _ = talk.hear(.windowUpdate(0, 1)) }),
    (
      .malformedRequests, 100,
      { talk, round in
        _ = talk.hear(.headers(2 * round + 1, [(":method", "GET")], ends: true))
      }
    ),
  ]

  private static func isOver(_ talk: inout Conversation) -> Bool {
    _ = talk.frames()
    return talk.session.isOver
  }

  @Test("is ended beyond its limit, and forgiven with time", arguments: deeds.indices)
  func limit(index: Int) throws {
    let (abuse, countMax, deed) = Self.deeds[index]
    var talk = try Conversation()
    for round in 0..<UInt32(countMax) { try deed(&talk, round) }
    var isOver = Self.isOver(&talk)
    #expect(!isOver, "\(abuse)")
    // A second earns one at least.
    talk.pass(.seconds(1))
    try deed(&talk, UInt32(countMax))
    isOver = Self.isOver(&talk)
    #expect(!isOver, "\(abuse)")
    for round in 1...200 {
      if talk.session.fault != nil { break }
      try deed(&talk, UInt32(countMax + round))
    }
    let (found, code) = (talk.abuse, talk.session.fault?.code)
    isOver = Self.isOver(&talk)
    #expect(isOver, "\(abuse)")
    #expect(found == abuse)
    #expect(code == .enhanceYourCalm)
  }

  @Test("is told to the client, and nothing is taken behind it")
  func goAway() throws {
    var talk = try Conversation()
    let events = talk.hear(
      Array([[UInt8]](repeating: Frame.ping(1).octets, count: 300).joined()) + Frame.get(1).octets)
    let frames = talk.frames()
    #expect(events == [])
    #expect(frames.last == "GOAWAY 0 ENHANCE_YOUR_CALM")
    let reason = talk.session.fault?.reason
    #expect(reason == "Too many PING frames came.")
  }

  @Test("a header block in CONTINUATION frames without end", arguments: [8, 9])
  func continuations(count: Int) throws {
    var talk = try Conversation()
    var frames = [Frame.headers(1, Frame.head("GET", "/"), ends: true, isWhole: false)]
    for index in 1...count { frames.append(.continuation(1, [], isLast: index == count)) }
    let events = talk.hear(frames.flatMap(\.octets))
    let abuse = talk.abuse
    let answer = talk.frames()
    #expect(events == (count == 8 ? ["request 1 GET / end"] : []))
    #expect(abuse == (count == 8 ? nil : .continuationFlood))
    #expect(answer == (count == 8 ? [] : ["GOAWAY 0 ENHANCE_YOUR_CALM"]))
  }

  @Test("as many CONTINUATION frames as the largest head needs")
  func largestHead() throws {
    var rules = Conversation.rules
    rules.headByteCountMax = 1 << 20
    var talk = try Conversation(rules)
    let value = String(repeating: "x", count: 16_000)
    var octets = Frame.headers(1, Frame.head("GET", "/"), ends: true, isWhole: false).octets
    for index in 1...60 {
      let line = Frame.literal("x-\(index)", value)
      octets += Frame.continuation(1, line, isLast: index == 60).octets
    }
    let events = talk.hear(octets)
    #expect(events == ["request 1 GET / end"])
  }

  @Test("few octets that stand for many (RFC 7541 §7.3)", arguments: [100, 400])
  func bomb(count: Int) throws {
    var talk = try Conversation()
    // Indexed once, then named by its index, an octet each time.
    let line = [0x40] + Frame.literal("x", String(repeating: "y", count: 3900)).dropFirst()
    let head = Frame.head("GET", "/").flatMap { Frame.literal($0.0, $0.1) }
    let block = head + line + [UInt8](repeating: 0xBE, count: count)
    let events = talk.hear(Frame(type: 1, flags: 5, stream: 1, payload: block))
    let abuse = talk.abuse
    #expect(events == (count == 100 ? ["refused 1 headTooLarge end"] : []))
    #expect(abuse == (count == 100 ? nil : .headerBomb))
  }

  @Test("tiny windows count for who asks for room first, too")
  func tinyRooms() throws {
    var talk = try Conversation(settings: [(4, 0)])
    let stream = try talk.open(1)
    talk.session.awaitRoom(on: stream)
    for _ in 0..<300 where talk.session.fault == nil {
      let events = talk.hear(.windowUpdate(1, 1))
      let room = talk.session.room(on: stream)
      let taken = talk.send("x", on: stream)
      talk.session.awaitRoom(on: stream)
      #expect(events == ["writable 1"])
      #expect([room, taken] == [1, 1])
    }
    let abuse = talk.abuse
    #expect(abuse == .tinyWindows)
  }

  @Test("resets that a client has the server send (CVE-2025-8671)")
  func provokedResets() throws {
    var talk = try Conversation()
    for round in 0..<UInt32(101) {
      _ = talk.hear(.post(2 * round + 1), .windowUpdate(2 * round + 1, 0x7FFF_FFFF))
      talk.session.release(try talk.stream(Int32(2 * round + 1)))
    }
    let abuse = talk.abuse
    #expect(abuse == .malformedRequests)
  }

  @Test("streams beyond the limit, before it is acknowledged")
  func refusedStreams() throws {
    var rules = Conversation.rules
    rules.streamCountMax = 1
    var talk = try Conversation(rules, isGreeted: false)
    _ = talk.hear(Frame.preface + Frame.settings().octets + Frame.get(1).octets)
    for round in 1...UInt32(1001) { _ = talk.hear(.get(2 * round + 1)) }
    let abuse = talk.abuse
    #expect(abuse == .rapidReset)
  }

  // MARK: - Clients that do nothing wrong

  @Test("a client that acknowledges each small message with two frames")
  func eagerAcknowledgements() throws {
    var talk = try Conversation()
    let stream = try talk.open(1)
    for round in 0..<20_000 {
      let taken = talk.send("0123456789", on: stream)
      #expect(taken == 10)
      // In batches, late, as a client does that is behind.
      guard round % 1000 == 999 else { continue }
      _ = talk.frames()
      for _ in 0..<1000 { _ = talk.hear(.windowUpdate(1, 10), .windowUpdate(0, 10)) }
    }
    let fault = talk.session.fault
    #expect(fault == nil)
  }

  @Test("a client that acknowledges each of its small reads on a stream that is always behind")
  func sillyWindow() throws {
    var talk = try Conversation()
    let stream = try talk.open(1)
    let chunk = [UInt8](repeating: 0x61, count: 1000)
    while talk.send(chunk, on: stream) == chunk.count { _ = talk.frames() }
    var (count, frameCount) = (0, 0)
    for _ in 0..<20_000 {
      let events = talk.hear(.windowUpdate(1, 200), .windowUpdate(0, 200))
      guard events == ["writable 1"] else { continue }
      count += talk.send(chunk, on: stream)
      frameCount += talk.frames().count
    }
    let fault = talk.session.fault
    #expect(fault == nil)
    // No frame carries less than what is worth one.
    #expect(count > 3_900_000)
    #expect(frameCount <= count / 256)
  }

  @Test("a browser that opens 200 images and leaves the page, again and again")
  func cancelledPage() throws {
    var rules = Conversation.rules
    rules.streamCountMax = 250
    var talk = try Conversation(rules)
    var number: UInt32 = 1
    for _ in 0..<20 {
      let numbers = (0..<200).map { number + 2 * UInt32($0) }
      _ = talk.hear(numbers.flatMap { Frame.get($0).octets })
      _ = talk.hear(numbers.flatMap { Frame.reset($0, .cancel).octets })
      for number in numbers { talk.session.release(try talk.stream(Int32(number))) }
      number += 400
      _ = talk.frames()
      talk.pass(.seconds(7))
    }
    let (fault, count) = (talk.session.fault, talk.session.openStreamCount)
    #expect(fault == nil)
    #expect(count == 0)
  }

  @Test("a client that measures the path with a ping for each frame")
  func measuringPings() throws {
    var talk = try Conversation()
    let stream = try talk.open(1)
    for _ in 0..<5000 {
      let taken = talk.send("x", on: stream)
      _ = talk.frames()
      _ = talk.hear(.ping(1), .windowUpdate(1, 1), .windowUpdate(0, 1))
      #expect(taken == 1)
    }
    let fault = talk.session.fault
    #expect(fault == nil)
  }
}
