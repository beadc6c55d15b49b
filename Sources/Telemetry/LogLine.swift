internal import Logging
internal import Net

/// One record of the log as a line.
enum LogLine {
  static func text(
    format: LogFormat, time: WallClock, level: Logger.Level, message: String,
    metadata: Logger.Metadata
  ) -> String {
    switch format {
    case .json: self.json(time, level, message, metadata)
    case .text: self.plain(time, level, message, metadata)
    }
  }

  private static func json(
    _ time: WallClock, _ level: Logger.Level, _ message: String, _ metadata: Logger.Metadata
  ) -> String {
    var line = "{\"time\":\"\(time.timestamp)\",\"level\":\"\(level.rawValue)\",\"message\":"
    line += self.quoted(message)
    for (key, value) in self.ordered(metadata) {
      line += ",\(self.quoted(key)):"
      line += self.json(value)
    }
    return line + "}"
  }

  private static func json(_ value: Logger.MetadataValue) -> String {
    switch value {
    case .string(let text): self.quoted(text)
    case .stringConvertible(let number as any BinaryInteger): String(number)
    case .stringConvertible(let number as Double): number.isFinite ? "\(number)" : "null"
    case .stringConvertible(let flag as Bool): flag ? "true" : "false"
    case .stringConvertible(let other): self.quoted(other.description)
    case .array(let values): "[" + values.map { self.json($0) }.joined(separator: ",") + "]"
    case .dictionary(let values):
      "{"
        + self.ordered(values).map { "\(self.quoted($0.key)):\(self.json($0.value))" }
        .joined(separator: ",") + "}"
    }
  }

  private static func plain(
    _ time: WallClock, _ level: Logger.Level, _ message: String, _ metadata: Logger.Metadata
  ) -> String {
    let padded =
      level.rawValue.uppercased()
      + String(
        repeating: " ", count: max(0, 7 - level.rawValue.utf8.count))
    var line = "\(time.timestamp) \(padded) \(self.visible(message))"
    for (key, value) in self.ordered(metadata) {
      let text = "\(value)"
      let isPlain = !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x22 }
      line += " \(key)=\(isPlain ? text : self.quoted(text))"
    }
    return line
  }

  /// A fixed order of the keys, so that records can be compared by eye.
  private static func ordered(
    _ metadata: Logger.Metadata
  ) -> [(key: String, value: Logger.MetadataValue)] {
    metadata.sorted { AccessRecord.rank(of: $0.key, before: $1.key) }
  }

  /// RFC 8259 §7. What a client sent may stand in a record, and must not begin a line of its own.
  private static func quoted(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": quoted += "\\\""
      case "\\": quoted += "\\\\"
      case "\n": quoted += "\\n"
      case _ where self.isControl(scalar):
        let digits = String(scalar.value, radix: 16)
        quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }

  private static func visible(_ text: String) -> String {
    text.unicodeScalars.contains(where: self.isControl) ? self.quoted(text) : text
  }

  /// C0, DEL and C1: a terminal acts on these.
  private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
    scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
  }
}
