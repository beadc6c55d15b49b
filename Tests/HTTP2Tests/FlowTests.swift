import HTTP
import HTTP2
import Testing

@Suite("flow control")
struct FlowTests {
  private static func octets(_ count: Int) -> [UInt8] { [UInt8](repeating: 0x61, count: count) }

  @Test("a stream without window stops itself alone")
  func window() throws {
    var talk = try Conversation(settings: [(4, 1000)])
    let (first, second) = (try talk.open(1), try talk.open(3))
    let taken = talk.send(Self.octets(1500), on: first)
    let again = talk.send(Self.octets(500), on: first)
    let other = talk.send(Self.octets(700), on: second)
    let room = [talk.session.room(on: first), talk.session.room(on: second)]
    #expect([taken, again, other] == [1000, 0, 700])
    #expect(room == [0, 300])
    // Not enough to be worth a frame, then enough.
    let early = talk.hear(.windowUpdate(1, 255))
    #expect(early == [])
    let events = talk.hear(.windowUpdate(1, 1))
    #expect(events == ["writable 1"])
    let rest = talk.send(Self.octets(500), on: first)
    #expect(rest == 256)
  }

  @Test("the connection's window stops all, which are woken in their order")
  func connectionWindow() throws {
    var talk = try Conversation(settings: [(4, 1 << 20)])
    let streams = [try talk.open(1), try talk.open(3), try talk.open(5)]
    var taken = 0
    while true {
      let count = talk.send(Self.octets(16_000), on: streams[0])
      taken += count
      _ = talk.frames()
      if count < 16_000 { break }
    }
    #expect(taken == 65_535)
    for stream in [streams[2], streams[1]] {
      let count = talk.send("x", on: stream)
      #expect(count == 0)
    }
    let events = talk.hear(.windowUpdate(0, 1000))
    #expect(events == ["writable 1", "writable 5", "writable 3"])
  }

  @Test("an initial window that grows opens all streams, one that shrinks may close them")
  func initialWindow() throws {
    var talk = try Conversation(settings: [(4, 10)])
    let stream = try talk.open(1)
    let first = talk.send(Self.octets(20), on: stream)
    let shrunk = talk.hear(.settings([(4, 0)]))
    let room = talk.session.room(on: stream)
    let grown = talk.hear(.settings([(4, 20)]))
    let second = talk.send(Self.octets(20), on: stream)
    #expect([first, second] == [10, 10])
    #expect(room == 0)
    #expect(shrunk == [])
    #expect(grown == ["writable 1"])
  }

  @Test("the output has a limit, and streams wait for it in their order")
  func outputLimit() throws {
    var talk = try Conversation(settings: [(4, 1 << 20)])
    _ = talk.hear(.windowUpdate(0, 1 << 20))
    let (first, second) = (try talk.open(1), try talk.open(3))
    let taken = talk.send(Self.octets(200_000), on: first)
    let other = talk.send("x", on: second)
    #expect(taken == Session.outputByteCountMax)
    #expect(other == 0)
    // A window that opens is no room in the output.
    var events = talk.hear(.windowUpdate(1, 1000))
    talk.session.noteOutputRoom()
    events += talk.events()
    #expect(events == [])
    _ = talk.frames()
    talk.session.noteOutputRoom()
    events = talk.events()
    #expect(events == ["writable 1", "writable 3"])
    talk.session.noteOutputRoom()
    events = talk.events()
    #expect(events == [])
  }

  @Test("who saw that there is no room can wait for it without sending")
  func awaitRoom() throws {
    var talk = try Conversation(settings: [(4, 0)])
    let stream = try talk.open(1)
    talk.session.awaitRoom(on: stream)
    talk.session.awaitRoom(on: stream)
    let window = Frame.settings([(4, 100)]).octets
    talk.session.receive(window.span, now: talk.now, &talk.pool)
    let hasEvents = talk.session.hasEvents
    let events = talk.events()
    let isDrained = !talk.session.hasEvents
    #expect(hasEvents)
    #expect(events == ["writable 1"])
    #expect(isDrained)
    // Where there is room there is nothing to wait for.
    talk.session.awaitRoom(on: stream)
    let again = talk.events()
    #expect(again == ["writable 1"])
  }

  @Test("a stream that waits takes nothing before it is its turn")
  func turn() throws {
    var talk = try Conversation(settings: [(4, 1000)])
    let stream = try talk.open(1)
    let first = talk.send(Self.octets(1500), on: stream)
    _ = talk.hear(.windowUpdate(1, 100))
    let (room, early) = (talk.session.room(on: stream), talk.send("x", on: stream))
    talk.session.awaitRoom(on: stream)
    let events = talk.hear(.windowUpdate(1, 200))
    let late = talk.session.room(on: stream)
    #expect([first, room, early, late] == [1000, 0, 0, 300])
    #expect(events == ["writable 1"])
  }

  @Test("little of a window is enough for a stream that waits for something else")
  func otherReasons() throws {
    var talk = try Conversation(settings: [(4, 1 << 20)])
    // The first uses up the connection's window, the second all but ten octets of its own before.
    let (first, second) = (try talk.open(1), try talk.open(3))
    let shrink = talk.hear(.settings([(4, 20_000)]))
    let some = talk.send(Self.octets(19_990), on: second)
    _ = talk.hear(.settings([(4, 100_000)]), .settings([(4, 20_000)]))
    _ = talk.hear(.windowUpdate(1, 1 << 20))
    let rest = talk.send(Self.octets(100_000), on: first)
    let none = talk.send("x", on: second)
    #expect(shrink == [])
    #expect([some, rest, none] == [19_990, 45_545, 0])
    let events = talk.hear(.windowUpdate(0, 256))
    #expect(events == ["writable 1", "writable 3"])
    let room = talk.session.room(on: second)
    #expect(room == 10)
  }

  @Test(
    "who waits with a window that is open has to be looked at, who waits for the client has not")
  func waiting() throws {
    var talk = try Conversation(settings: [(4, 3)])
    let stream = try talk.open(1)
    _ = talk.send("abcdef", on: stream)
    let isShut = talk.session.hasWaiting
    _ = talk.hear(.settings([(4, 1000)]))
    _ = talk.send(Self.octets(2000), on: stream)
    let isShutAgain = talk.session.hasWaiting
    let events = talk.hear(.windowUpdate(1, 1))
    let isOpen = talk.session.hasWaiting
    talk.session.noteWaitIsOver()
    #expect([isShut, isShutAgain, isOpen] == [false, false, true])
    #expect(events == [])
    #expect(talk.events() == ["writable 1"])
  }

  @Test("streams that wait and go are not told")
  func waitingAndGone() throws {
    var talk = try Conversation(settings: [(4, 0)])
    let streams = [try talk.open(1), try talk.open(3), try talk.open(5), try talk.open(7)]
    for stream in streams {
      let count = talk.send("x", on: stream)
      #expect(count == 0)
    }
    _ = talk.hear(.reset(1, .cancel))
    talk.session.reset(streams[1], .cancel, &talk.pool)
    talk.session.release(streams[2])
    let events = talk.hear(.settings([(4, 1000)]))
    #expect(events == ["writable 7"])
  }

  @Test("content goes in frames of 16 KiB, END_STREAM on the last")
  func frames() throws {
    var talk = try Conversation()
    let stream = try talk.open(1)
    let taken = talk.send(Self.octets(40_000), on: stream, ends: true)
    let frames = talk.frames()
    #expect(taken == 40_000)
    #expect(frames.map(\.utf8.count) == [16_391, 16_391, 7_243])
    #expect(frames.map { $0.hasPrefix("DATA 1 end") } == [false, false, true])
  }

  @Test("END_STREAM is not set while octets are left")
  func partial() throws {
    var talk = try Conversation(settings: [(4, 5)])
    let stream = try talk.open(1)
    let first = talk.send("hello world", on: stream, ends: true)
    _ = talk.hear(.windowUpdate(1, 100))
    let second = talk.send(" world", on: stream, ends: true)
    let frames = talk.frames()
    #expect([first, second] == [5, 6])
    #expect(frames == ["DATA 1 hello", "DATA 1 end  world"])
  }

  @Test("the client's window opens with what is consumed, not with what came")
  func receiveWindow() throws {
    var talk = try Conversation()
    let stream = try talk.open(1)
    for _ in 0..<4 { _ = talk.hear(.data(1, Self.octets(16_000))) }
    // The connection's window opens by itself when half of it came: 64 000 of 4 MiB are less.
    var frames = talk.frames()
    #expect(frames == [])
    talk.session.consume(20_000, of: stream)
    frames = talk.frames()
    #expect(frames == [])
    talk.session.consume(20_000, of: stream)
    frames = talk.frames()
    #expect(frames == ["WINDOW_UPDATE 1 40000"])
    // More than there is cannot be consumed.
    talk.session.consume(.max, of: stream)
    talk.session.consume(.max, of: stream)
    talk.session.consume(-1, of: stream)
    frames = talk.frames()
    #expect(frames == [])
    let isOver = talk.session.isOver
    #expect(!isOver)
  }

  @Test("a client that sends more than its window costs its stream")
  func overrun() throws {
    var rules = Conversation.rules
    rules.streamWindowByteCount = 100
    var talk = try Conversation(rules)
    _ = try talk.open(1)
    let events = talk.hear(.data(1, Self.octets(101)))
    let frames = talk.frames()
    #expect(events.last == "reset 1 FLOW_CONTROL_ERROR")
    #expect(frames.last == "RST_STREAM 1 FLOW_CONTROL_ERROR")
  }

  @Test("a stream that takes nothing does not stop the others")
  func slowStream() throws {
    var rules = Conversation.rules
    rules.connectionWindowByteCount = 65_535
    rules.streamWindowByteCount = 65_535
    var talk = try Conversation(rules)
    _ = try talk.open(1)
    let fast = try talk.open(3)
    for _ in 0..<4 { _ = talk.hear(.data(1, Self.octets(16_000))) }
    var count = 0
    for _ in 0..<40 {
      count += talk.hear(.data(3, Self.octets(16_000))).count
      talk.session.consume(16_000, of: fast)
      _ = talk.frames()
    }
    let isOver = talk.session.isOver
    #expect(count == 40)
    #expect(!isOver)
  }

  @Test("a wider window")
  func widen() throws {
    var talk = try Conversation()
    let stream = try talk.open(1)
    talk.session.widen(stream, to: 1 << 20)
    talk.session.widen(stream, to: 1000)
    let frames = talk.frames()
    #expect(frames == ["WINDOW_UPDATE 1 983040"])
  }
}
