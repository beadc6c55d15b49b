internal import Logging
public import Net
internal import Synchronization

/// Where log lines go: a bounded buffer and a thread that writes it out.
///
/// A standard stream may block, and a worker must not: it only appends. When the reader of the
/// stream is slower than the log, lines are dropped and counted, and the count is written.
public final class LogOutput: Sendable {
  /// Octets that wait for the stream at most.
  public static let pendingByteCountMax = 4 * 1024 * 1024

  private struct Pending {
    var octets: [UInt8] = []
    var droppedCount = 0
    var isClosed = false
  }

  /// Writes octets out; may block. The stream's, or a test's.
  private let sink: @Sendable ([UInt8]) -> Void
  private let format: LogFormat
  private let pending = Mutex(Pending())
  private let bell: Alarm
  private let drained: Alarm

  /// Starts the thread.
  public convenience init(_ stream: StandardStream, format: LogFormat) throws(Errno) {
    try self.init(format: format) { stream.write($0) }
  }

  init(format: LogFormat, sink: @escaping @Sendable ([UInt8]) -> Void) throws(Errno) {
    self.sink = sink
    self.format = format
    self.bell = try Alarm()
    self.drained = try Alarm()
    try Thread.start(name: "log") { self.run() }.detach()
  }

  /// Appends one line, without its end.
  public func write(_ line: String) {
    let wasEmpty = self.pending.withLock { pending in
      guard pending.octets.count + line.utf8.count < Self.pendingByteCountMax else {
        pending.droppedCount += 1
        return false
      }
      let wasEmpty = pending.octets.isEmpty
      pending.octets.append(contentsOf: line.utf8)
      pending.octets.append(0x0A)
      return wasEmpty
    }
    if wasEmpty { self.bell.ring() }
  }

  /// Writes out what is there and ends the thread; waits for that, but not beyond `timeout`.
  public func close(timeout: Duration = .seconds(2)) {
    self.pending.withLock { $0.isClosed = true }
    self.bell.ring()
    _ = self.drained.wait(timeout: timeout)
  }

  private func run() {
    while true {
      _ = self.bell.wait(timeout: .seconds(3600))
      self.bell.rearm()
      let taken = self.pending.withLock { pending in
        defer {
          pending.octets = []
          pending.droppedCount = 0
        }
        return pending
      }
      self.sink(taken.octets)
      if taken.droppedCount > 0 { self.sink(self.dropNote(taken.droppedCount)) }
      if taken.isClosed { break }
    }
    self.drained.ring()
  }

  private func dropNote(_ count: Int) -> [UInt8] {
    let line = LogLine.text(
      format: self.format, time: .now(), level: .warning,
      message: "log lines were dropped: the log is read too slowly",
      metadata: ["lines": .stringConvertible(count)])
    return Array("\(line)\n".utf8)
  }
}
