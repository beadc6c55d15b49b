import Testing

@testable import Configuration

@Suite("the parts of a reading")
struct PartsTests {
  @Test(
    "durations",
    arguments: [
      ("0s", .zero), ("250ms", .milliseconds(250)), ("30s", .seconds(30)), ("5m", .seconds(300)),
      ("24h", .seconds(86_400)), ("7d", .seconds(604_800)), ("", nil), ("5", nil), ("s", nil),
      ("-5s", nil), ("+5s", nil), ("1.5s", nil), ("5 s", nil), ("5S", nil), ("1m30s", nil),
      ("5s ", nil), ("٥s", nil), ("9223372036854775807d", nil), ("99999999999999999999s", nil),
      ("36526d", nil),
    ] as [(String, Duration?)])
  func durations(text: String, expected: Duration?) {
    #expect(Quantity.duration(parsing: text) == expected)
  }

  @Test(
    "durations and sizes come out as they went in",
    arguments: ["0s", "250ms", "30s", "5m", "1h", "7d"])
  func durationText(text: String) throws {
    #expect(Quantity.text(of: try #require(Quantity.duration(parsing: text))) == text)
  }

  @Test(
    "sizes",
    arguments: [
      ("0B", 0), ("512B", 512), ("64KiB", 65_536), ("1MiB", 1_048_576), ("2GiB", 2_147_483_648),
      ("64", nil), ("64KB", nil), ("64kib", nil), ("KiB", nil), ("-1KiB", nil), ("1.5MiB", nil),
      ("9223372036854775807GiB", nil),
    ] as [(String, Int?)])
  func sizes(text: String, expected: Int?) {
    #expect(Quantity.byteCount(parsing: text) == expected)
    if let expected {
      #expect(Quantity.byteCount(parsing: Quantity.text(ofByteCount: expected)) == expected)
    }
  }

  @Test(
    "rates",
    arguments: [
      ("50/s", 50), ("30/m", 0.5), ("1/h", 1.0 / 3600), ("0/s", nil), ("50", nil), ("50/x", nil),
      ("/s", nil), ("50 /s", nil), ("-1/s", nil), ("9223372036854775807/s", nil),
    ] as [(String, Double?)])
  func rates(text: String, expected: Double?) {
    #expect(Quantity.permitsPerSecond(parsing: text) == expected)
  }

  @Test(
    "rates of octets",
    arguments: [
      ("1MiB/s", 1_048_576), ("1B/s", 1), ("30KiB/m", 512), ("1KiB/h", 1024.0 / 3600),
      ("1048576GiB/s", 0x1p50), ("0B/s", nil), ("50/s", nil), ("1MiB", nil), ("1MiB/d", nil),
      ("/s", nil), ("", nil), ("1MiB /s", nil), ("1MB/s", nil), ("-1B/s", nil), ("1MiB/s/s", nil),
      ("1.5MiB/s", nil), ("9223372036854775807GiB/s", nil), ("1B/s\u{301}", nil),
    ] as [(String, Double?)])
  func byteRates(text: String, expected: Double?) {
    #expect(Quantity.bytesPerSecond(parsing: text) == expected)
  }

  static let environment = ["A": "1", "B_2": "two ${A}", "E": ""]

  @Test(
    "variables",
    arguments: [
      ("", ""), ("plain", "plain"), ("$", "$"), ("$A", "$A"), ("a$b{c}", "a$b{c}"), ("${A}", "1"),
      ("x${A}y${A}z", "x1y1z"), ("${B_2}", "two ${A}"), ("${E}", ""), ("${E:-d}", "d"),
      ("${U:-d}", "d"), ("${U:-}", ""), ("${A:-d}", "1"), ("${U:-a:-b $ c}", "a:-b $ c"),
      ("$${A}", "${A}"), ("$$${A}", "$${A}"), ("$$", "$$"), ("$${", "${"),
    ])
  func variables(text: String, expected: String) throws {
    #expect(try replacingVariables(in: text, from: Self.environment) == expected)
  }

  @Test(
    "what is no variable",
    arguments: [
      ("${", .unterminated), ("${A", .unterminated), ("x${A}${", .unterminated),
      ("${}", .malformed(expression: "")), ("${1}", .malformed(expression: "1")),
      ("${A-B}", .malformed(expression: "A-B")), ("${A:B}", .malformed(expression: "A:B")),
      ("${:-x}", .malformed(expression: ":-x")), ("${ A}", .malformed(expression: " A")),
      ("${U}", .unset(name: "U")),
    ] as [(String, VariableFault)])
  func noVariables(text: String, expected: VariableFault) {
    #expect(throws: expected) { try replacingVariables(in: text, from: Self.environment) }
  }

  @Test(
    "suggestions",
    arguments: [
      ("hots", "hosts"), ("host", "hosts"), ("hosst", "hosts"), ("ohsts", "hosts"), ("pth", "path"),
      ("listen", nil), ("x", nil), ("", nil), (String(repeating: "h", count: 1000), nil),
    ] as [(String, String?)])
  func suggestions(word: String, expected: String?) {
    let text = suggestion(for: word, among: ["path", "hosts", "servers"])
    #expect(text == (expected.map { ", did you mean \"\($0)\"?" } ?? ""))
  }

  @Test("nothing is near to any of no words")
  func noWords() { #expect(suggestion(for: "x", among: []) == "") }

  @Test(
    "paths",
    arguments: [
      ("a.yaml", ".", "b", "b"), ("/a.yaml", "/", "b", "/b"), ("c/a.yaml", "c", "b", "c/b"),
      ("/c/d/a.yaml", "/c/d", "../b", "/c/d/../b"), ("c/a.yaml", "c", "/b", "/b"),
    ])
  func paths(file: String, folder: String, path: String, resolved: String) {
    #expect(directory(ofFile: file) == folder)
    #expect(resolvedPath(path, from: folder) == resolved)
  }

  @Test("places")
  func places() {
    let place = Place([.key("routes"), .index(1), .key("match"), .key("hosts"), .index(0)])
    #expect(place.description == "routes[1].match.hosts[0]")
    #expect(place.pattern == "routes[].match.hosts[]")
    #expect(Place([.index(0)]).description == "[0]")
    #expect(Place().description == "")
  }
}
