import HTTP
import HTTP2
import Net
import Testing

/// A session and the client before it. Events and frames are told in one line each.
struct Conversation: ~Copyable {
  static let rules = SessionRules(
    headByteCountMax: 4096, targetByteCountMax: 1024, streamCountMax: 100, offersWebSocket: true)

  var session: Session
  var pool: ChunkPool
  let reader = FrameReader()
  var now = Deadline(nanoseconds: 1_000_000_000)
  /// The streams that were told of, by number.
  var streams: [Int32: StreamID] = [:]

  /// - Parameter isGreeted: whether preface and settings have passed.
  init(
    _ rules: SessionRules = Conversation.rules, settings: [(UInt16, UInt32)] = [],
    isGreeted: Bool = true
  ) throws {
    var pool = ChunkPool()
    self.session = try Session(rules, now: self.now, &pool)
    self.pool = pool
    guard isGreeted else { return }
    _ = self.hear(
      Frame.preface + Frame.settings(settings).octets + Frame.settingsAck.octets)
    _ = self.frames()
  }

  /// Gives octets to the session, and the events that come of them.
  mutating func hear(_ octets: [UInt8]) -> [String] {
    self.session.receive(octets.span, now: self.now, &self.pool)
    return self.events(octets)
  }

  mutating func hear(_ frames: Frame...) -> [String] { self.hear(frames.flatMap(\.octets)) }

  mutating func hear(_ frame: Frame, times count: Int) -> [String] {
    self.hear(Array([[UInt8]](repeating: frame.octets, count: count).joined()))
  }

  /// The events that are there; content is cut out of `octets`.
  mutating func events(_ octets: [UInt8] = []) -> [String] {
    var lines: [String] = []
    while let event = self.session.nextEvent() { lines.append(self.line(event, octets)) }
    return lines
  }

  private mutating func line(_ event: SessionEvent, _ octets: [UInt8]) -> String {
    switch event {
    case .request(let stream, let head, let ends):
      self.streams[stream.number] = stream
      let wanted = head.connectProtocol.map { " \($0)" } ?? ""
      return "request \(stream.number) \(head.method)\(wanted) \(head.target)\(ends ? " end" : "")"
    case .refused(let stream, let error, let ends):
      self.streams[stream.number] = stream
      return "refused \(stream.number) \(error)\(ends ? " end" : "")"
    case .content(let stream, let range):
      return "content \(stream.number) \(String(decoding: octets[range], as: UTF8.self))"
    case .trailers(let stream, let fields):
      return "trailers \(stream.number) \(fields.map { "\($0.name)=\($0.value)" })"
    case .ended(let stream): return "ended \(stream.number)"
    case .reset(let stream, let code): return "reset \(stream.number) \(code)"
    case .writable(let stream): return "writable \(stream.number)"
    case .goingAway: return "going away"
    case .pong(let payload): return "pong \(payload)"
    }
  }

  /// What the client gets: everything that is in the output.
  mutating func frames() -> [String] {
    self.session.collect(&self.pool)
    var octets: [UInt8] = []
    var buffer = Buffer(capacity: 64 * 1024)
    while !self.session.output.isEmpty {
      _ = self.session.output.take(into: &buffer, upTo: .max, sparing: &self.pool)
      octets += buffer.takeAll()
    }
    return self.reader.read(octets)
  }

  /// A stream that a request has opened.
  func stream(_ number: Int32) throws -> StreamID { try #require(self.streams[number]) }

  /// Opens a stream and answers it with a head alone.
  mutating func open(_ number: Int32, status: Int = 200) throws -> StreamID {
    _ = self.hear(.post(UInt32(number)))
    let stream = try self.stream(number)
    self.session.answer(stream, ResponseHead(status: status), endsStream: false, &self.pool)
    _ = self.frames()
    return stream
  }

  mutating func send(_ text: String, on stream: StreamID, ends: Bool = false) -> Int {
    self.send(Array(text.utf8), on: stream, ends: ends)
  }

  mutating func send(_ octets: [UInt8], on stream: StreamID, ends: Bool = false) -> Int {
    self.session.send(octets.span, on: stream, endsStream: ends, &self.pool)
  }

  mutating func pass(_ duration: Duration) { self.now = self.now.advanced(by: duration) }

  /// What the client did too much of.
  var abuse: Abuse? { self.session.fault?.abuse }
}
