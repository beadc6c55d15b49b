import HTTP
import HTTP2
import Testing

@Suite("requests")
struct RequestTests {
  @Test("the settings come first, and say what the rules say")
  func settings() throws {
    var talk = try Conversation(isGreeted: false)
    let frames = talk.frames()
    #expect(
      frames == ["SETTINGS 3=100 4=65536 6=4096 9=1 8=1", "WINDOW_UPDATE 0 4128769"])
    let events = talk.hear(Frame.preface + Frame.settings().octets)
    #expect(events == [])
    let answer = talk.frames()
    #expect(answer == ["SETTINGS ack"])
  }

  @Test("WebSocket is offered only where it is taken")
  func noWebSocket() throws {
    var rules = Conversation.rules
    rules.offersWebSocket = false
    var talk = try Conversation(rules, isGreeted: false)
    let frames = talk.frames()
    #expect(frames.first == "SETTINGS 3=100 4=65536 6=4096 9=1")
  }

  @Test("a request without content, its answer, and the end of the stream")
  func get() throws {
    var talk = try Conversation()
    let events = talk.hear(.get(1, "/a?b"))
    #expect(events == ["request 1 GET /a?b end"])
    let stream = try talk.stream(1)
    var fields = Fields()
    fields.append(name: "Content-Type", value: "text/plain")
    talk.session.answer(
      stream, ResponseHead(status: 404, fields: fields), endsStream: false, &talk.pool)
    let taken = talk.send("gone", on: stream, ends: true)
    #expect(taken == 4)
    let frames = talk.frames()
    #expect(frames == ["HEADERS 1 :status=404 content-type=text/plain", "DATA 1 end gone"])
    let rest = talk.events()
    #expect(rest == [])
    talk.session.release(stream)
    let count = talk.session.openStreamCount
    #expect(count == 0)
  }

  @Test("the head has what HTTP/1.1 would have")
  func head() throws {
    var talk = try Conversation()
    let octets = Frame.headers(
      1, Frame.head("GET", "/x") + [("cookie", "a=1"), ("cookie", "b=2"), ("x-y", "z")],
      ends: true
    ).octets
    talk.session.receive(octets.span, now: talk.now, &talk.pool)
    guard case .request(_, let head, true) = talk.session.nextEvent() else {
      Issue.record("no request")
      return
    }
    #expect(head.version == .http2)
    #expect(head.host == "example.org")
    #expect(head.fields.first("host") == "example.org")
    #expect(head.fields.values("cookie") == ["a=1; b=2"])
    #expect(head.fields.first("x-y") == "z")
  }

  @Test("content of several streams, where it lies, with padding left out")
  func content() throws {
    var talk = try Conversation()
    let events = talk.hear(
      .post(1), .post(3), .data(1, "one"), .data(3, "drei"),
      .data(1, Array("padded".utf8), padding: 9), .data(3, "", ends: true),
      .data(1, "!", ends: true))
    #expect(
      events == [
        "request 1 POST /", "request 3 POST /", "content 1 one", "content 3 drei",
        "content 1 padded", "ended 3", "content 1 !", "ended 1",
      ])
  }

  @Test("octet by octet comes the same")
  func pieces() throws {
    var talk = try Conversation()
    let frames: [Frame] = [
      .post(1), .data(1, "abc"), .headers(1, [("x-sum", "7")], ends: true), .get(3),
    ]
    var events: [String] = []
    for octet in frames.flatMap(\.octets) { events += talk.hear([octet]) }
    #expect(
      events == [
        "request 1 POST /", "content 1 a", "content 1 b", "content 1 c",
        "trailers 1 [\"x-sum=7\"]", "ended 1", "request 3 GET / end",
      ])
  }

  @Test("a head in pieces")
  func continuations() throws {
    var talk = try Conversation()
    let events = talk.hear(
      .headers(1, Frame.head("GET", "/long"), ends: true, isWhole: false),
      .continuation(1, Frame.literal("a", "1"), isLast: false),
      .continuation(1, Frame.literal("b", "2"), isLast: true))
    #expect(events == ["request 1 GET /long end"])
  }

  @Test("an extended CONNECT (RFC 8441)", arguments: [true, false])
  func connect(isOffered: Bool) throws {
    var rules = Conversation.rules
    rules.offersWebSocket = isOffered
    var talk = try Conversation(rules)
    let lines = Frame.head("CONNECT", "/chat") + [(":protocol", "websocket")]
    let events = talk.hear(.headers(1, lines.sorted { $0.0 < $1.0 }))
    let frames = talk.frames()
    #expect(events == (isOffered ? ["request 1 CONNECT websocket /chat"] : []))
    #expect(frames == (isOffered ? [] : ["RST_STREAM 1 PROTOCOL_ERROR"]))
  }

  @Test("a head that only our rules refuse can be answered")
  func refused() throws {
    var talk = try Conversation()
    let long = String(repeating: "x", count: 5000)
    let events = talk.hear(
      .headers(1, Frame.head("GET", "/") + [("x-long", long)], ends: true),
      .headers(3, Frame.head("GET", "/" + String(repeating: "y", count: 2000)), ends: true),
      .headers(5, Frame.head("GET", "/") + [("x-space", " padded ")], ends: true),
      .headers(7, [(":method", "CONNECT"), (":authority", "example.org:443")]))
    #expect(
      events == [
        "refused 1 headTooLarge end", "refused 3 targetTooLong end",
        "refused 5 whitespaceAroundValue end", "refused 7 unsupportedConnect",
      ])
    let stream = try talk.stream(1)
    talk.session.answer(stream, ResponseHead(status: 431), endsStream: true, &talk.pool)
    let frames = talk.frames()
    #expect(frames.first == "HEADERS 1 end :status=431")
  }

  @Test("a head that nghttp2 refuses costs its stream, and is not told")
  func malformed() throws {
    var talk = try Conversation()
    let events = talk.hear(
      .headers(1, [(":method", "GET"), (":path", "/")], ends: true), .get(3))
    let frames = talk.frames()
    #expect(events == ["request 3 GET / end"])
    #expect(frames == ["RST_STREAM 1 PROTOCOL_ERROR"])
    let count = talk.session.openStreamCount
    #expect(count == 1)
  }

  @Test("content that is not as long as was announced", arguments: ["short", "far too long"])
  func length(content: String) throws {
    var talk = try Conversation()
    let events = talk.hear(.post(1, length: 8), .data(1, content, ends: true))
    let frames = talk.frames()
    #expect(events.last == "reset 1 PROTOCOL_ERROR")
    #expect(!events.contains("ended 1"))
    #expect(frames == ["RST_STREAM 1 PROTOCOL_ERROR"])
  }

  @Test("trailers that break a rule cost the stream")
  func trailers() throws {
    var talk = try Conversation()
    let events = talk.hear(
      .post(1), .headers(1, [("x-long", String(repeating: "x", count: 5000))], ends: true))
    let frames = talk.frames()
    #expect(events == ["request 1 POST /", "reset 1 PROTOCOL_ERROR"])
    #expect(frames == ["RST_STREAM 1 PROTOCOL_ERROR"])
  }

  @Test("no fields follow those of a CONNECT (RFC 9113 §8.5)")
  func fieldsBehindConnect() throws {
    var rules = Conversation.rules
    rules.offersWebSocket = true
    var talk = try Conversation(rules)
    let lines = Frame.head("CONNECT", "/chat") + [(":protocol", "websocket")]
    let events = talk.hear(
      .headers(1, lines.sorted { $0.0 < $1.0 }), .headers(1, [("x-sum", "7")], ends: true))
    let frames = talk.frames()
    #expect(events == ["request 1 CONNECT websocket /chat", "reset 1 PROTOCOL_ERROR"])
    #expect(frames == ["RST_STREAM 1 PROTOCOL_ERROR"])
  }

  @Test("the client's reset, and its GOAWAY")
  func resets() throws {
    var talk = try Conversation()
    let events = talk.hear(.post(1), .data(1, "x"), .reset(1, .cancel), .data(1, "y"))
    #expect(events == ["request 1 POST /", "content 1 x", "reset 1 CANCEL"])
    let end = talk.hear(.goAway(.noError))
    #expect(end == ["going away"])
    let (isOver, fault) = (talk.session.isOver, talk.session.fault)
    #expect(isOver)
    #expect(fault == nil)
  }

  @Test("a client that goes with an error says why")
  func clientFault() throws {
    var talk = try Conversation()
    _ = talk.hear(.goAway(.enhanceYourCalm))
    let fault = talk.session.fault
    #expect(fault?.origin == .client)
    #expect(fault?.code == .enhanceYourCalm)
  }
}
