import Logging
import Net
import Synchronization
import Testing

@testable import Telemetry

/// Keeps what a log writes; blocks while it is told to.
private final class Sink: Sendable {
  private let octets = Mutex<[UInt8]>([])
  /// Rung when the log's thread is inside of a write.
  let entered: Alarm
  private let gate: Alarm

  init(isOpen: Bool = true) throws {
    self.entered = try Alarm()
    self.gate = try Alarm()
    if isOpen { self.open() }
  }

  func open() { self.gate.ring() }

  func write(_ more: [UInt8]) {
    self.entered.ring()
    _ = self.gate.wait(timeout: .seconds(30))
    self.octets.withLock { $0 += more }
  }

  var lines: [String] {
    String(decoding: self.octets.withLock { $0 }, as: UTF8.self)
      .split(separator: "\n", omittingEmptySubsequences: false).map { String($0) }
  }
}

@Suite("log output")
struct LogOutputTests {
  private static func output(_ sink: Sink, _ format: LogFormat = .json) throws -> LogOutput {
    try LogOutput(format: format) { sink.write($0) }
  }

  @Test("lines are written whole and in order, before close returns")
  func order() throws {
    let sink = try Sink()
    let output = try Self.output(sink)
    for number in 0..<2000 { output.write("line \(number)") }
    output.close(timeout: .seconds(30))
    #expect(sink.lines == (0..<2000).map { "line \($0)" } + [""])
  }

  @Test("lines of several threads are not mixed")
  func threads() throws {
    let sink = try Sink()
    let output = try Self.output(sink)
    let writers = try (0..<4).map { writer in
      try Thread.start(name: "writer") {
        for number in 0..<500 { output.write("\(writer) \(number)") }
      }
    }
    for writer in writers { writer.join() }
    output.close(timeout: .seconds(30))
    for writer in 0..<4 {
      let own = sink.lines.filter { $0.hasPrefix("\(writer) ") }
      #expect(own == (0..<500).map { "\(writer) \($0)" })
    }
    #expect(sink.lines.count == 2001)
  }

  @Test("a reader that is too slow costs lines, which are counted, and never the writer's time")
  func drops() throws {
    let sink = try Sink(isOpen: false)
    let output = try Self.output(sink)
    output.write("first")
    #expect(sink.entered.wait(timeout: .seconds(30)))
    // The thread is stuck with the first line: from here on the buffer fills.
    let line = String(repeating: "x", count: 1023)
    let fitting = LogOutput.pendingByteCountMax / 1024 - 1
    for _ in 0..<fitting + 10 { output.write(line) }
    sink.open()
    output.close(timeout: .seconds(30))
    let lines = sink.lines.dropLast()
    let kept = lines.count { $0 == line }
    let note = try #require(lines.last)
    #expect(note.contains("\"message\":\"log lines were dropped"))
    let dropped = fitting + 10 - kept
    #expect(dropped > 0)
    #expect(note.hasSuffix(",\"lines\":\(dropped)}"))
  }

  @Test("closing does not wait for a stuck reader beyond the timeout")
  func stuck() throws {
    let sink = try Sink(isOpen: false)
    let output = try Self.output(sink)
    output.write("line")
    let start = Deadline.now()
    output.close(timeout: .milliseconds(30))
    #expect(Deadline.now().duration(since: start) < .seconds(20))
    sink.open()
  }

  @Test("the handler joins the logger's metadata and the record's, which wins")
  func handler() throws {
    let sink = try Sink()
    let output = try Self.output(sink, .text)
    var handler = LineLogHandler(format: .text, level: .info, output: output)
    handler[metadataKey: "route"] = "chat"
    handler[metadataKey: "client"] = "a"
    #expect(handler[metadataKey: "route"] == "chat")
    let logger = Logger(label: "test") { _ in handler }
    logger.info("met", metadata: ["client": "b"])
    logger.debug("not written")
    output.close(timeout: .seconds(30))
    #expect(sink.lines.count == 2)
    #expect(sink.lines[0].hasSuffix("INFO    met route=chat client=b"))
  }
}

@Suite("access log")
struct AccessLogTests {
  private static func record() -> AccessRecord {
    AccessRecord(
      kind: .tunnel, requestID: "r1", client: "192.0.2.1", status: 101,
      duration: .microseconds(1234), closer: .downstream, reason: "closed")
  }

  @Test(
    "a record that nobody wants is not even made",
    arguments: [
      (Logger.Level.info, true, true), (.debug, true, true), (.trace, true, true),
      (.notice, true, false), (.error, true, false), (.info, false, false), (.trace, false, false),
    ])
  func level(level: Logger.Level, isOn: Bool, isWritten: Bool) throws {
    let sink = try Sink()
    let output = try LogOutput(format: .json) { sink.write($0) }
    let logger = Logger(label: "access") { _ in
      LineLogHandler(format: .json, level: level, output: output)
    }
    var made = 0
    AccessLog(logger, isOn: isOn).write {
      made += 1
      return Self.record()
    }
    output.close(timeout: .seconds(30))
    #expect(made == (isWritten ? 1 : 0))
    #expect(sink.lines.count == (isWritten ? 2 : 1))
  }

  @Test("what is not known is not there")
  func minimal() {
    let metadata = Self.record().metadata
    #expect(
      Set(metadata.keys) == [
        "request_id", "client", "status", "octets_in", "octets_out", "duration_ms", "closed_by",
        "reason",
      ])
    let line = LogLine.text(
      format: .json, time: .now(), level: .info, message: "tunnel", metadata: metadata)
    #expect(
      line.hasSuffix(
        "\"message\":\"tunnel\",\"request_id\":\"r1\",\"client\":\"192.0.2.1\",\"status\":101,"
          + "\"octets_in\":0,\"octets_out\":0,\"duration_ms\":1.2,\"closed_by\":\"downstream\","
          + "\"reason\":\"closed\"}"))
  }

  @Test("all that is known is there, each key in its place")
  func full() {
    var record = Self.record()
    record.traceID = "0af7651916cd43dd8448eb211c80319c"
    record.route = "chat"
    record.subject = "user"
    record.upstream = "ws://chat:9000"
    record.room = "standup"
    record.peer = "ada"
    record.method = "GET"
    record.host = "example.com"
    record.target = "/a"
    record.tls = "TLSv1.3"
    record.http = "2"
    record.error = "none"
    record.inboundByteCount = .max
    record.frames = AccessRecord.Frames(
      inboundMessageCount: 1, outboundMessageCount: 2, closeCode: 1000, detail: "more")
    #expect(Set(record.metadata.keys) == Set(AccessRecord.keys))
    #expect(record.metadata["octets_in"]?.description == "18446744073709551615")
  }
}
