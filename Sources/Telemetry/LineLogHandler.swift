public import Logging
internal import Net

/// swift-log's back end: formats a record and hands it to the ``LogOutput``.
public struct LineLogHandler: LogHandler {
  /// What each record of this logger carries besides its own.
  public var metadata: Logger.Metadata = [:]
  /// Records below it are not made.
  public var logLevel: Logger.Level
  private let format: LogFormat
  private let output: LogOutput

  /// A handler that writes to `output`, which many share.
  public init(format: LogFormat, level: Logger.Level, output: LogOutput) {
    self.format = format
    self.logLevel = level
    self.output = output
  }

  /// One of ``metadata``.
  public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { self.metadata[key] }
    set { self.metadata[key] = newValue }
  }

  /// Writes one record; its own metadata wins over the logger's.
  public func log(event: LogEvent) {
    var metadata = self.metadata
    if let more = event.metadata { metadata.merge(more) { _, new in new } }
    self.output.write(
      LogLine.text(
        format: self.format, time: .now(), level: event.level,
        message: event.message.description, metadata: metadata))
  }
}
