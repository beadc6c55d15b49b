/// How a record of the log is written.
public enum LogFormat: String, Sendable, CaseIterable {
  /// One JSON object a line.
  case json
  /// A line for people.
  case text
}
