import HTTP
import HTTP2
import Net
import Testing

@Suite("the connection")
struct ConnectionTests {
  @Test("going away: a notice first, then the last stream, then the end")
  func goAway() throws {
    var talk = try Conversation()
    let stream = try talk.open(1)
    talk.session.goAway(isFinal: false)
    var frames = talk.frames()
    #expect(frames == ["GOAWAY 2147483647 NO_ERROR"])
    // What was on its way is still taken.
    let late = try talk.open(3)
    talk.session.goAway(isFinal: true)
    frames = talk.frames()
    #expect(frames == ["GOAWAY 3 NO_ERROR"])
    let events = talk.hear(.get(5))
    var isOver = talk.session.isOver
    #expect(events == [])
    #expect(!isOver)
    for stream in [stream, late] {
      talk.session.end(stream, trailers: nil, &talk.pool)
    }
    _ = talk.hear(.data(1, "", ends: true), .data(3, "", ends: true))
    isOver = talk.session.isOver
    let fault = talk.session.fault
    #expect(isOver)
    #expect(fault == nil)
  }

  @Test("pings are answered, and pongs told")
  func ping() throws {
    var talk = try Conversation()
    talk.session.ping(7)
    let none = talk.hear(.ping(9))
    let frames = talk.frames()
    #expect(none == [])
    #expect(Set(frames) == ["PING 7", "PING ack 9"])
    let events = talk.hear(.ping(7, isAck: true))
    #expect(events == ["pong 7"])
  }

  @Test("the session is over when it is terminated", arguments: [ErrorCode.noError, .cancel])
  func terminate(code: ErrorCode) throws {
    var talk = try Conversation()
    _ = try talk.open(1)
    talk.session.terminate(code)
    let frames = talk.frames()
    let (isOver, fault) = (talk.session.isOver, talk.session.fault)
    #expect(frames == ["GOAWAY 1 \(code)"])
    #expect(isOver)
    #expect(fault?.code == (code == .noError ? nil : code))
    let events = talk.hear(.get(3))
    #expect(events == [])
  }

  @Test("another protocol", arguments: ["GET / HTTP/1.1\r\n\r\n", "\u{16}\u{3}\u{1}", "PRI *x"])
  func preface(text: String) throws {
    var talk = try Conversation(isGreeted: false)
    let events = talk.hear(Array(text.utf8))
    let (isOver, fault) = (talk.session.isOver, talk.session.fault)
    let frames = talk.frames()
    #expect(events == [])
    #expect(isOver)
    #expect(fault?.code == .protocolError)
    #expect(frames.last == "GOAWAY 0 PROTOCOL_ERROR")
    // Nothing is asked of it any longer, and nothing traps.
    talk.session.ping(1)
    talk.session.goAway(isFinal: true)
    talk.session.terminate(.noError)
    talk.session.noteOutputRoom()
    let rest = talk.hear(Frame.preface)
    #expect(rest == [])
  }

  @Test("settings must be first")
  func settingsFirst() throws {
    var talk = try Conversation(isGreeted: false)
    let events = talk.hear(Frame.preface + Frame.get(1).octets)
    let isOver = talk.session.isOver
    #expect(events == [])
    #expect(isOver)
  }

  /// Frames that no state of a connection allows, with the code that ends it (RFC 9113 §6).
  static let malformed: [(String, Frame, ErrorCode)] = [
    ("DATA on 0", .data(0, "x"), .protocolError),
    ("DATA on an idle stream", .data(9, "x"), .protocolError),
    ("DATA with more padding than octets", .data(1, [9], padding: 200).cut(3), .protocolError),
    ("DATA behind the end", .data(3, "x"), .streamClosed),
    ("DATA of more than 16 KiB", .data(1, [UInt8](repeating: 0, count: 16_385)), .frameSizeError),
    ("HEADERS on 0", .get(0), .protocolError),
    ("HEADERS on an even stream", .get(8), .protocolError),
    (
      "HEADERS that do not decode", Frame(type: 1, flags: 4, stream: 9, payload: [0xFF]),
      .compressionError
    ),
    (
      "HEADERS with half a priority", Frame(type: 1, flags: 0x24, stream: 9, payload: [0]),
      .frameSizeError
    ),
    ("PRIORITY of 4 octets", Frame(type: 2, stream: 1, payload: [0, 0, 0, 0]), .frameSizeError),
    ("PRIORITY on 0", Frame(type: 2, payload: [0, 0, 0, 0, 0]), .protocolError),
    (
      "RST_STREAM of 5 octets", Frame(type: 3, stream: 1, payload: [0, 0, 0, 0, 0]),
      .frameSizeError
    ),
    ("RST_STREAM on 0", .reset(0, .cancel), .protocolError),
    ("RST_STREAM on an idle stream", .reset(9, .cancel), .protocolError),
    ("SETTINGS of 5 octets", Frame(type: 4, payload: [0, 0, 0, 0, 0]), .frameSizeError),
    ("SETTINGS on 1", Frame(type: 4, stream: 1), .protocolError),
    (
      "SETTINGS ack with a payload", Frame(type: 4, flags: 1, payload: [0, 4, 0, 0, 0, 0]),
      .frameSizeError
    ),
    ("SETTINGS with push of 2", .settings([(2, 2)]), .protocolError),
    ("SETTINGS with a window of 2^31", .settings([(4, 1 << 31)]), .flowControlError),
    ("SETTINGS with frames of 10", .settings([(5, 10)]), .protocolError),
    ("PUSH_PROMISE", Frame(type: 5, flags: 4, stream: 1, payload: [0, 0, 0, 2]), .protocolError),
    ("PING of 7 octets", Frame(type: 6, payload: [0, 0, 0, 0, 0, 0, 0]), .frameSizeError),
    ("PING on 1", Frame(type: 6, stream: 1, payload: [0, 0, 0, 0, 0, 0, 0, 0]), .protocolError),
    ("GOAWAY of 7 octets", Frame(type: 7, payload: [0, 0, 0, 0, 0, 0, 0]), .frameSizeError),
    ("GOAWAY on 1", Frame(type: 7, stream: 1, payload: [0, 0, 0, 0, 0, 0, 0, 0]), .protocolError),
    ("WINDOW_UPDATE of 3 octets", Frame(type: 8, stream: 1, payload: [0, 0, 1]), .frameSizeError),
    ("WINDOW_UPDATE of 0", .windowUpdate(0, 0), .protocolError),
    ("WINDOW_UPDATE beyond 2^31", .windowUpdate(0, 0x7FFF_FFFF), .flowControlError),
    ("WINDOW_UPDATE on an idle stream", .windowUpdate(9, 1), .protocolError),
    ("CONTINUATION of nothing", .continuation(1, [], isLast: true), .protocolError),
  ]

  @Test("malformed frames end the connection", arguments: malformed.indices)
  func malformedFrame(index: Int) throws {
    let (name, frame, code) = Self.malformed[index]
    var talk = try Conversation()
    _ = talk.hear(.post(1), .get(3))
    let events = talk.hear(frame)
    let frames = talk.frames()
    let (isOver, fault) = (talk.session.isOver, talk.session.fault)
    #expect(events == [], "\(name)")
    #expect(isOver, "\(name)")
    #expect(fault?.code == code, "\(name)")
    #expect(fault?.origin == .server)
    #expect(frames.last?.hasSuffix(" \(code)") == true, "\(name)")
  }

  @Test("a window that overflows costs its stream alone")
  func streamOverflow() throws {
    var talk = try Conversation()
    _ = try talk.open(1)
    let events = talk.hear(.windowUpdate(1, 0x7FFF_FFFF))
    let isOver = talk.session.isOver
    #expect(events == ["reset 1 FLOW_CONTROL_ERROR"])
    #expect(!isOver)
  }

  @Test("frames of unknown types mean nothing")
  func unknown() throws {
    var talk = try Conversation()
    let events = talk.hear(
      Frame(type: 0xA, stream: 0, payload: [1, 2, 3]), Frame(type: 0x10, payload: [0, 0, 0, 1]),
      Frame(type: 0xFF, flags: 0xFF, stream: 77, payload: [UInt8](repeating: 1, count: 16_384)),
      .get(1))
    let frames = talk.frames()
    #expect(events == ["request 1 GET / end"])
    #expect(frames == [])
  }

  @Test("more streams than are allowed", arguments: [true, false])
  func streamCount(isAcknowledged: Bool) throws {
    var rules = Conversation.rules
    rules.streamCountMax = 2
    var talk = try Conversation(rules, isGreeted: false)
    let ack = isAcknowledged ? Frame.settingsAck.octets : []
    _ = talk.hear(Frame.preface + Frame.settings().octets + ack)
    _ = talk.frames()
    let events = talk.hear(.get(1), .get(3), .get(5))
    let frames = talk.frames()
    #expect(events == ["request 1 GET / end", "request 3 GET / end"])
    #expect(frames == [isAcknowledged ? "GOAWAY 3 PROTOCOL_ERROR" : "RST_STREAM 5 REFUSED_STREAM"])
  }
}

extension Frame {
  /// The frame with so many octets of its payload.
  func cut(_ count: Int) -> Frame {
    var frame = self
    frame.payload = Array(self.payload.prefix(count))
    return frame
  }
}
