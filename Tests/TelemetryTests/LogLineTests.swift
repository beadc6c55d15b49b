import Foundation
import Logging
import Net
import Testing

@testable import Telemetry

@Suite("log lines")
struct LogLineTests {
  private static func line(
    _ format: LogFormat, _ message: String, _ metadata: Logger.Metadata = [:],
    level: Logger.Level = .info
  ) -> String {
    LogLine.text(
      format: format, time: .now(), level: level, message: message, metadata: metadata)
  }

  private static func object(_ line: String) throws -> [String: Any] {
    let value = try JSONSerialization.jsonObject(with: Data(line.utf8))
    return try #require(value as? [String: Any])
  }

  /// What stands behind the time.
  private static func rest(_ line: String) -> String {
    String(line.drop { $0 != " " }.dropFirst())
  }

  private static let nasty = [
    "", "plain", "two words", "\"", "\\", "\\\"", "\n", "\r\n", "\t", "\u{0}", "\u{1b}[31m",
    "\u{7f}",
    "\u{1f}", "é", "日本", "👩‍👩‍👧", "e\u{301}", "{\"a\":1}", "a=b", "\u{2028}", "\u{85}", "/",
    "x\"\n{\"level\":\"error\",\"message\":\"forged\"}",
  ]

  @Test("any text comes back from the JSON as it was", arguments: LogLineTests.nasty)
  func jsonText(text: String) throws {
    let line = Self.line(.json, text, ["reason": .string(text)])
    let object = try Self.object(line)
    #expect((object["message"] as? String).map { Array($0.utf8) } == Array(text.utf8))
    #expect((object["reason"] as? String).map { Array($0.utf8) } == Array(text.utf8))
    #expect(object["level"] as? String == "info")
    #expect(object.count == 4)
  }

  @Test("any key comes back as it was")
  func jsonKey() throws {
    let object = try Self.object(Self.line(.json, "m", ["a\"b\n": .string("c")]))
    #expect(object["a\"b\n"] as? String == "c")
  }

  @Test(
    "no text begins a line of its own, or moves a terminal's cursor",
    arguments: LogLineTests.nasty)
  func injection(text: String) {
    for format in LogFormat.allCases {
      let line = Self.line(format, text, ["reason": .string(text)])
      #expect(line.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F })
    }
  }

  @Test(
    "numbers stay numbers, and everything else a string",
    arguments: [
      (.stringConvertible(42), "42"), (.stringConvertible(-1), "-1"),
      (.stringConvertible(UInt64.max), "18446744073709551615"), (.stringConvertible(1.5), "1.5"),
      (.stringConvertible(0.0), "0.0"), (.stringConvertible(1e300), "1e+300"),
      (.stringConvertible(Double.infinity), "null"), (.stringConvertible(Double.nan), "null"),
      (.stringConvertible(true), "true"), (.stringConvertible(false), "false"),
      (.string("42"), "\"42\""), (.stringConvertible("a\"b"), "\"a\\\"b\""),
      (.array([.string("a"), .stringConvertible(1)]), "[\"a\",1]"), (.array([]), "[]"),
      (.dictionary(["b": .string("x"), "a": .stringConvertible(2)]), "{\"a\":2,\"b\":\"x\"}"),
    ] as [(Logger.MetadataValue, String)])
  func jsonValues(value: Logger.MetadataValue, text: String) throws {
    let line = Self.line(.json, "m", ["v": value])
    #expect(line.hasSuffix(",\"v\":\(text)}"), "\(line)")
    _ = try Self.object(line)
  }

  @Test("time, level and message come first, then the record's keys in their order, then others")
  func order() {
    let keys = AccessRecord.keys.shuffled() + ["zebra", "apple"]
    let metadata = Logger.Metadata(uniqueKeysWithValues: keys.map { ($0, .string("x")) })
    let expected = AccessRecord.keys + ["apple", "zebra"]
    let json = Self.line(.json, "m", metadata, level: .warning)
    #expect(json.hasPrefix("{\"time\":\""))
    let tail = expected.map { ",\"\($0)\":\"x\"" }.joined()
    #expect(json.hasSuffix("\"level\":\"warning\",\"message\":\"m\"\(tail)}"))
    let text = Self.line(.text, "m", metadata, level: .warning)
    #expect(Self.rest(text) == "WARNING m " + expected.map { "\($0)=x" }.joined(separator: " "))
  }

  @Test("levels are padded to the same width")
  func levels() {
    #expect(Self.rest(Self.line(.text, "begun", level: .info)) == "INFO    begun")
    #expect(Self.rest(Self.line(.text, "begun", level: .critical)) == "CRITICAL begun")
  }

  @Test(
    "values for people are quoted where they could be mistaken",
    arguments: [
      ("plain", "plain"), ("", "\"\""), ("two words", "\"two words\""), ("a\"b", "\"a\\\"b\""),
      ("a\nb", "\"a\\nb\""), ("é", "\"é\""), ("\u{1b}[0m", "\"\\u001b[0m\""), ("a=b", "a=b"),
    ])
  func textValues(value: String, written: String) {
    #expect(Self.line(.text, "m", ["v": .string(value)]).hasSuffix("m v=\(written)"))
  }
}
