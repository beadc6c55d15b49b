import HTTP
import HTTP2
import Testing

@Suite("answers")
struct AnswerTests {
  private static func fields(_ lines: [(String, String)]) -> Fields {
    var fields = Fields()
    for (name, value) in lines { fields.append(name: name, value: value) }
    return fields
  }

  @Test("a WebSocket's 101 goes out as 200")
  func switching() throws {
    var talk = try Conversation()
    let lines = Frame.head("CONNECT", "/") + [(":protocol", "websocket")]
    _ = talk.hear(.headers(1, lines.sorted { $0.0 < $1.0 }))
    let stream = try talk.stream(1)
    let fields = Self.fields([
      ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", "x"),
      ("Sec-WebSocket-Protocol", "chat"),
    ])
    talk.session.answer(
      stream, ResponseHead(status: 101, fields: fields), endsStream: false, &talk.pool)
    let frames = talk.frames()
    #expect(frames == ["HEADERS 1 :status=200 sec-websocket-protocol=chat"])
  }

  @Test("fields of HTTP/1's connections are left out, the others keep order and value")
  func connectionFields() throws {
    var talk = try Conversation()
    _ = talk.hear(.get(1))
    let fields = Self.fields([
      ("Server", "A B"), ("connection", "close"), ("Keep-Alive", "5"), ("Set-Cookie", "A=b"),
      ("Proxy-Connection", "x"), ("Transfer-Encoding", "chunked"), ("Upgrade", "h2c"),
      ("Set-Cookie", "C=d"), ("Sec-WebSocket-Accept", "kept"), ("Empty", ""),
    ])
    let head = ResponseHead(status: 426, fields: fields)
    talk.session.answer(try talk.stream(1), head, endsStream: true, &talk.pool)
    let frames = talk.frames()
    #expect(
      frames == [
        "HEADERS 1 end :status=426 server=A B set-cookie=A=b set-cookie=C=d "
          + "sec-websocket-accept=kept empty="
      ])
  }

  @Test("interim heads before the final one, and none behind it")
  func interim() throws {
    var talk = try Conversation()
    _ = talk.hear(.post(1))
    let stream = try talk.stream(1)
    talk.session.answerInterim(stream, ResponseHead(status: 100), &talk.pool)
    talk.session.answerInterim(stream, ResponseHead(status: 103), &talk.pool)
    talk.session.answerInterim(stream, ResponseHead(status: 101), &talk.pool)
    let early = talk.send("too early", on: stream)
    talk.session.answer(stream, ResponseHead(status: 200), endsStream: true, &talk.pool)
    talk.session.answerInterim(stream, ResponseHead(status: 100), &talk.pool)
    talk.session.answer(stream, ResponseHead(status: 500), endsStream: true, &talk.pool)
    let late = talk.send("too late", on: stream)
    let frames = talk.frames()
    #expect(
      frames == ["HEADERS 1 :status=100", "HEADERS 1 :status=103", "HEADERS 1 end :status=200"])
    #expect(early == 0)
    #expect(late == 0)
  }

  @Test("trailers end the answer, with or without content, even in a closed window")
  func trailers() throws {
    var talk = try Conversation(settings: [(4, 3)])
    let (first, second) = (try talk.open(1), try talk.open(3))
    let taken = talk.send("abcdef", on: first)
    #expect(taken == 3)
    talk.session.end(first, trailers: Self.fields([("X-Sum", "3")]), &talk.pool)
    talk.session.end(second, trailers: Self.fields([("connection", "x"), ("A", "b")]), &talk.pool)
    let frames = talk.frames()
    #expect(frames == ["DATA 1 abc", "HEADERS 1 end x-sum=3", "HEADERS 3 end a=b"])
  }

  @Test("an end without content waits for a window that is used up")
  func lateEnd() throws {
    var talk = try Conversation(settings: [(4, 3)])
    let stream = try talk.open(1)
    _ = talk.send("abc", on: stream)
    talk.session.end(stream, trailers: Fields(), &talk.pool)
    let frames = talk.frames()
    #expect(frames == ["DATA 1 abc"])
    let owes = talk.session.owesEnd(stream)
    let events = talk.hear(.windowUpdate(1, 1))
    let rest = talk.frames()
    let owesStill = talk.session.owesEnd(stream)
    #expect([owes, owesStill] == [true, false])
    #expect(rest == ["DATA 1 end "])
    // The stream has ended here, and waits for nothing.
    #expect(events == [])
  }

  @Test("a head that is too large costs the stream, which is told")
  func tooLarge() throws {
    var talk = try Conversation()
    _ = talk.hear(.get(1), .get(3))
    let fields = Self.fields([("X-Long", String(repeating: "x", count: 70_000))])
    talk.session.answer(
      try talk.stream(1), ResponseHead(status: 200, fields: fields), endsStream: true, &talk.pool)
    talk.session.answer(try talk.stream(3), ResponseHead(status: 204), endsStream: true, &talk.pool)
    let (events, frames) = (talk.events(), talk.frames())
    #expect(events == ["reset 1 INTERNAL_ERROR"])
    #expect(frames == ["RST_STREAM 1 INTERNAL_ERROR", "HEADERS 3 end :status=204"])
  }

  @Test("many fields")
  func manyFields() throws {
    var talk = try Conversation()
    _ = talk.hear(.get(1))
    let fields = Self.fields((0..<1500).map { ("x-\($0)", "value \($0)") })
    talk.session.answer(
      try talk.stream(1), ResponseHead(status: 200, fields: fields), endsStream: true, &talk.pool)
    let octets = talk.frames()
    #expect(octets.first?.hasPrefix("HEADERS 1 end :status=200 x-0=value 0 ") == true)
  }

  @Test("a reset closes the stream, and nothing more is told of it")
  func reset() throws {
    var talk = try Conversation()
    let stream = try talk.open(1)
    let content = Frame.data(1, "dropped").octets
    talk.session.receive(content.span, now: talk.now, &talk.pool)
    talk.session.reset(stream, .cancel, &talk.pool)
    talk.session.reset(stream, .protocolError, &talk.pool)
    let taken = talk.send("x", on: stream)
    talk.session.end(stream, trailers: nil, &talk.pool)
    let (events, frames) = (talk.events(), talk.frames())
    #expect(events == [])
    #expect(frames == ["RST_STREAM 1 CANCEL"])
    #expect(taken == 0)
    let late = talk.hear(.data(1, "late"), .windowUpdate(1, 5), .reset(1, .cancel))
    #expect(late == [])
  }

  @Test("an answer that is complete while the request is not leaves the stream open")
  func earlyAnswer() throws {
    var talk = try Conversation()
    _ = talk.hear(.post(1))
    let stream = try talk.stream(1)
    talk.session.answer(stream, ResponseHead(status: 413), endsStream: true, &talk.pool)
    let events = talk.hear(.data(1, "more"))
    #expect(events == ["content 1 more"])
    talk.session.reset(stream, .noError, &talk.pool)
    let frames = talk.frames()
    #expect(frames == ["HEADERS 1 end :status=413", "RST_STREAM 1 NO_ERROR"])
  }

  @Test("a slot is used again when the wire and the application have let it go")
  func slots() throws {
    var talk = try Conversation()
    let first = try talk.open(1)
    let second = try talk.open(3)
    #expect([first.slot, second.slot] == [0, 1])
    // Closed on the wire first, released by the application first.
    _ = talk.hear(.reset(1, .cancel))
    talk.session.release(second)
    var third = try talk.open(5)
    #expect(third.slot == 2)
    talk.session.release(first)
    talk.session.release(first)
    _ = talk.hear(.reset(3, .cancel))
    third = try talk.open(7)
    let fourth = try talk.open(9)
    #expect(Set([third.slot, fourth.slot]) == [0, 1])
    // The identifiers of before find nothing.
    let taken = talk.send("x", on: first)
    talk.session.reset(second, .cancel, &talk.pool)
    let (frames, count) = (talk.frames(), talk.session.openStreamCount)
    #expect(taken == 0)
    #expect(frames == [])
    #expect(count == 3)
  }

  @Test("content for a stream that was released is dropped, and its window opens")
  func released() throws {
    var talk = try Conversation()
    let stream = try talk.open(1)
    let kept = talk.hear(.data(1, String(repeating: "x", count: 16_384)))
    #expect(kept.count == 1)
    talk.session.release(stream)
    let content = Frame.data(1, String(repeating: "y", count: 16_384))
    let events = talk.hear(content, content, content)
    let frames = talk.frames()
    #expect(events == [])
    #expect(frames == ["WINDOW_UPDATE 1 32768", "WINDOW_UPDATE 1 32768"])
  }
}
