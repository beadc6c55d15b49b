import HTTP
import HTTP2
import Net
import Testing

@testable import bench

/// A client's session and the server's that it talks to. Events are told in one line each.
struct StreamsTalk: ~Copyable {
  var client: ClientSession
  var server: Session
  var pool: ChunkPool
  /// Streams by their indices, as the server has them.
  var streams: [StreamID] = []
  var head: RequestHead?
  /// What came on streams: at the client, at the server.
  var atClient: [UInt8] = []
  var atServer: [UInt8] = []
  /// Types of the frames that the client has sent (RFC 9113 §6).
  var clientFrames: [UInt8] = []
  private let now = Deadline(nanoseconds: 1)
  private var wire = Buffer(capacity: 1 << 20)

  init(offersWebSocket: Bool = true, window: Int = 64 * 1024) throws {
    var pool = ChunkPool()
    let rules = SessionRules(
      headByteCountMax: 4096, targetByteCountMax: 1024, streamCountMax: 7,
      streamWindowByteCount: window, offersWebSocket: offersWebSocket)
    let request = RequestLines(webSocketAt: "/echo?a", authority: "a.test:1", isSecure: true)
    let client = try ClientSession(request)
    let server = try Session(rules, now: self.now, &pool)
    self.client = client
    self.server = server
    self.pool = pool
  }

  /// Carries octets both ways until both sides are silent; what the client was told.
  mutating func exchange() throws -> [String] {
    var lines: [String] = []
    while true {
      let isSilent = self.carryUp() && self.server.output.isEmpty
      if isSilent { return lines }
      self.wire.clear()
      _ = self.server.output.take(into: &self.wire, upTo: .max, sparing: &self.pool)
      lines += try self.hear()
      self.server.noteOutputRoom()
    }
  }

  /// What the client has, to the server. True where it has nothing.
  private mutating func carryUp() -> Bool {
    self.wire.clear()
    let outcome = self.client.collect(into: &self.wire)
    #expect(outcome != .failed(""))
    let octets = self.wire.takeAll()
    self.noteFrames(octets)
    self.server.receive(octets.span, now: self.now, &self.pool)
    while let event = self.server.nextEvent() { self.take(event, octets) }
    self.server.collect(&self.pool)
    return octets.isEmpty
  }

  private mutating func noteFrames(_ octets: [UInt8]) {
    // The preface is no frame (RFC 9113 §3.4).
    var place = octets.starts(with: Array("PRI".utf8)) ? 24 : 0
    while place + 9 <= octets.count {
      self.clientFrames.append(octets[place + 3])
      place += 9 + octets[place..<place + 3].reduce(0) { $0 << 8 | Int($1) }
    }
  }

  private mutating func take(_ event: SessionEvent, _ octets: [UInt8]) {
    switch event {
    case .request(let stream, let head, _):
      self.streams.append(stream)
      self.head = head
    case .content(let stream, let range):
      self.atServer += octets[range]
      self.server.consume(range.count, of: stream)
    default: break
    }
  }

  private mutating func hear() throws -> [String] {
    let octets = self.wire.takeAll()
    let fault = self.client.receive(octets.span)
    try #require(fault == nil)
    var lines: [String] = []
    while let event = self.client.nextEvent() {
      if case .content(_, let range) = event {
        self.atClient += octets[range]
      } else {
        lines.append("\(event)")
      }
    }
    return lines
  }

  /// Opens a stream that the server takes.
  mutating func open() throws -> [String] {
    let fault = self.client.open()
    try #require(fault == nil)
    _ = try self.exchange()
    let last = self.streams.last
    let stream = try #require(last)
    self.server.answer(
      stream, ResponseHead(status: 101, reason: ""), endsStream: false, &self.pool)
    return try self.exchange()
  }

  /// Sends octets from the server, as windows and its output allow.
  mutating func sendDown(_ octets: [UInt8]) throws {
    let last = self.streams.last
    let stream = try #require(last)
    var start = 0
    while start < octets.count {
      let taken = self.server.send(
        octets.span.extracting(start..<octets.count), on: stream, endsStream: false, &self.pool)
      start += taken
      let lines = try self.exchange()
      try #require(lines.isEmpty && taken > 0)
    }
  }
}

@Suite struct ClientSessionTests {
  @Test("the server's settings are told of", arguments: [true, false])
  func settings(offersWebSocket: Bool) throws {
    var talk = try StreamsTalk(offersWebSocket: offersWebSocket)
    let lines = try talk.exchange()
    let (takes, countMax) = (talk.client.takesWebSockets, talk.client.streamCountMax)
    #expect(lines == ["settings"])
    #expect(takes == offersWebSocket)
    #expect(countMax == 7)
  }

  @Test("a stream asks for a WebSocket by an extended CONNECT, and hears the answer")
  func opens() throws {
    var talk = try StreamsTalk()
    _ = try talk.exchange()
    let first = try talk.open()
    let second = try talk.open()
    let asked = talk.head
    let head = try #require(asked)
    #expect(first == ["answered(0, status: 200)"])
    #expect(second == ["answered(1, status: 200)"])
    #expect(head.method == "CONNECT" && head.connectProtocol == "websocket")
    #expect(head.target == "/echo?a")
    #expect(head.fields.values("sec-websocket-version") == ["13"])
  }

  @Test("content goes out as the server's windows open", arguments: [1000, 64 * 1024])
  func up(window: Int) throws {
    var talk = try StreamsTalk(window: window)
    _ = try talk.exchange()
    _ = try talk.open()
    let octets = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    talk.client.send(octets.span.extracting(..<150_000), on: 0)
    talk.client.send(octets.span.extracting(150_000...), on: 0)
    _ = try talk.exchange()
    talk.client.send([1, 2, 3].span, on: 0)
    _ = try talk.exchange()
    let heard = talk.atServer
    #expect(heard == octets + [1, 2, 3])
  }

  @Test("windows are opened again when half of one was used, and not before")
  func down() throws {
    let windowUpdate: UInt8 = 8
    var talk = try StreamsTalk()
    _ = try talk.exchange()
    _ = try talk.open()
    talk.clientFrames = []
    let half = Int(ClientSession.streamWindowByteCount) / 2
    let octets = (0..<half - 1).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    try talk.sendDown(octets)
    let before = talk.clientFrames
    try talk.sendDown([9])
    let after = talk.clientFrames
    let heard = talk.atClient
    #expect(!before.contains(windowUpdate))
    #expect(after == [windowUpdate])
    #expect(heard == octets + [9])
  }

  @Test("ends are told of: of a stream, of what is reset, of the connection")
  func ends() throws {
    var talk = try StreamsTalk()
    _ = try talk.exchange()
    _ = try talk.open()
    var last = talk.streams.last
    talk.server.end(try #require(last), trailers: nil, &talk.pool)
    var lines = try talk.exchange()
    #expect(lines == ["ended(0)"])
    _ = try talk.open()
    last = talk.streams.last
    talk.server.reset(try #require(last), .cancel, &talk.pool)
    talk.server.terminate(.enhanceYourCalm)
    talk.server.collect(&talk.pool)
    lines = try talk.exchange()
    #expect(lines.first == "closed(1, CANCEL)")
    #expect(lines.contains("goingAway(ENHANCE_YOUR_CALM)"))
  }

  @Test("what is no HTTP/2 ends the session")
  func noise() throws {
    let request = RequestLines(webSocketAt: "/", authority: "a", isSecure: false)
    var client = try ClientSession(request)
    var sent = Buffer(capacity: 1 << 16)
    _ = client.collect(into: &sent)
    let isOverBefore = client.isOver
    _ = client.receive(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8).span)
    _ = client.collect(into: &sent)
    let isOver = client.isOver
    #expect(!isOverBefore && isOver)
  }
}

@Suite struct StreamsTunnelTests {
  private static func desk() throws -> StreamsDesk {
    let load = Plan(
      work: .echo, direction: .up, sizes: .fixed(40), connectionCount: 6, rate: nil, warmup: .zero,
      duration: .zero, address: .ip(.v4(0x7F00_0001), port: 1), tls: nil, host: "a",
      authority: "a:1", target: "/")
    let plan = StreamsPlan(load: load, streamCount: 3)
    #expect(plan.connectionCount == 2)
    return try StreamsDesk(plan, messageByteCountMax: 40)
  }

  /// The server's frame that brings a message back.
  private static func echo(_ message: Message, _ composer: inout Composer) -> [UInt8] {
    var buffer = Buffer(capacity: 100)
    var draft = Composer.Draft(message, mask: nil)
    composer.write(&draft, into: &buffer)
    return buffer.takeAll()
  }

  private static func open() -> StreamsTunnel {
    var tunnel = StreamsTunnel(number: 4, sizes: .fixed(40))
    tunnel.open()
    tunnel.begin()
    return tunnel
  }

  @Test("the next message waits for the echo of the last one, however that comes")
  func turns() throws {
    var desk = try Self.desk()
    desk.stage = .measuring
    var tunnel = Self.open()
    for _ in 0..<3 {
      #expect(tunnel.hasTurn)
      let message = tunnel.nextMessage(desk.now)
      for octet in Self.echo(message, &desk.composer) {
        #expect(!tunnel.hasTurn)
        desk.content.append([octet].span)
        let fault = tunnel.take(&desk)
        #expect(fault == nil)
      }
    }
    let (count, changed) = (desk.tally.unitCount, desk.tally.mismatchedCount)
    #expect(tunnel.hasTurn && count == 3 && changed == 0)
  }

  @Test("an octet that was changed is seen, wherever it stands", arguments: [2, 20, 41])
  func changed(place: Int) throws {
    var desk = try Self.desk()
    var tunnel = Self.open()
    var octets = Self.echo(tunnel.nextMessage(desk.now), &desk.composer)
    octets[place] ^= 1
    desk.content.append(octets.span)
    let fault = tunnel.take(&desk)
    let count = desk.tally.mismatchedCount
    #expect(fault == "a message came back changed" && count == 1)
  }

  @Test("an echo of what was not sent is none")
  func unasked() throws {
    var desk = try Self.desk()
    var tunnel = Self.open()
    var same = tunnel
    desk.content.append(Self.echo(same.nextMessage(desk.now), &desk.composer).span)
    let fault = tunnel.take(&desk)
    #expect(fault != nil)
  }

  @Test("a message that is not back since before the measuring has stalled its WebSocket")
  func stalled() {
    var tunnel = Self.open()
    _ = tunnel.nextMessage(Deadline(nanoseconds: 5))
    #expect(tunnel.hasStalled(since: Deadline(nanoseconds: 6)))
    #expect(!tunnel.hasStalled(since: Deadline(nanoseconds: 5)))
    tunnel.end()
    #expect(!tunnel.hasStalled(since: .never))
  }

  @Test("a close of the server is the end")
  func closed() throws {
    var desk = try Self.desk()
    var tunnel = Self.open()
    desk.content.append([0x88, 0x02, 0x03, 0xE8].span)
    let fault = tunnel.take(&desk)
    #expect(fault == "the server closed the WebSocket")
  }
}
