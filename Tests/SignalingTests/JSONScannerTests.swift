import Foundation
import Net
import Testing

@testable import Signaling

/// The fault of a text; `nil` where it is one JSON value.
private func fault(_ octets: [UInt8]) -> JSONScanner.Fault? {
  var scanner = JSONScanner()
  do throws(JSONScanner.Fault) {
    let place = try scanner.value(octets.span)
    #expect(place.upperBound == scanner.index)
    return scanner.peek(octets.span) == nil ? nil : .unexpected(at: scanner.index)
  } catch {
    return error
  }
}

private func fault(_ text: String) -> JSONScanner.Fault? { fault(Array(text.utf8)) }

@Suite("JSON is stepped over")
struct JSONScannerTests {
  @Test(
    "what RFC 8259 allows",
    arguments: [
      "null", "true", "false", "0", "-0", "7", "-7", "10", "0.0", "-0.1", "1.5e300", "1E2", "1e+2",
      "1e-2", "0e0", "0e+1", "0E+2", "20e1", "123456789012345678901234567890", "1e99999",
      "-0.000000000000000000000000000000000000000000000000000000000000000000000000000000001",
      #""""#, #""a""#, #""\u0041""#, #""\"\\\/\b\f\n\r\t""#, #""\uD834\uDD1E""#, #""\ud800""#,
      #""\u0000""#, #""\uaBcD""#, "\"\u{7F}\"", "\"ü€😀\"", "\"\u{2028}\u{2029}\"", #""a/b""#,
      "[]", "[ ]", "[1]", "[1,2]", "[[]]", "[[],[]]", "[null, 1, \"1\", {}]", "[1\n,\n2]", "[\"\"]",
      "{}", "{ }", #"{"":0}"#, #"{"a":{}}"#, #"{"a":1,"b":2}"#, #"{"a":1,"a":2}"#,
      "{\"a\"\t:\r\n1 }", #"{"a":[]}"#, #"{"a\u0000b":[[{}]]}"#, #"{"x":"]"}"#, #"{"x":"\""}"#,
      " 1", "1 ", "\t\r\n [] \n", " \"a\" ",
    ])
  func accepted(text: String) throws {
    #expect(fault(text) == nil)
    // Foundation's reader turns away numbers that no Double holds, and half surrogate pairs.
    if !text.contains("99999"), !text.contains("ud800") { _ = try JSON(parsing: Array(text.utf8)) }
  }

  @Test(
    "what it does not",
    arguments: [
      "", " ", "nul", "nulll", "Null", "NULL", "tru", "truee", "True", "fals", "falsee", "nil",
      "undefined", "NaN", "Infinity", "-Infinity", "+1", "-", "--1", "01", "-01", "00", "0x1", "1.",
      ".1", "-.1", "1.e1", "1e", "1E+", "1e-", "0e", "0.e1", "1 2", "1e1.5", "1_000", "１",
      "1a", "-a", "0.1.2", "1,", "- 1", "1 .5", "1e 5",
      "\"", "\"a", "a\"", "'a'", #""\""#, #""\x""#, #""\u""#, #""\u1""#, #""\u12""#, #""\u123""#,
      #""\u123g""#, #""\U0041""#, #""\a""#, #""\0""#, #""\'""#, #""\v""#, "\"\n\"", "\"\t\"",
      "\"\u{0}\"", "\"\u{1F}\"", "\"\\\n\"", #""\u+041""#, #""\u 041""#, #""a"b"#, #""a" "b""#,
      "[", "]", "[1", "[1,", "[,1]", "[1,]", "[1,,2]", "[,]", "[1 2]", "[1;2]", "[\"a\"", "[a]",
      "[1]]", "[[1]", "[1}", "[\"a\":1]", "[1", "[-]", "[1,\n", "[*]", "[<null>]", "[...]",
      "{", "}", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{,}", "{\"a\" 1}",
      "{a:1}", "{'a':1}", "{1:1}", "{\"a\":1 \"b\":2}", "{\"a\":1,,\"b\":2}", "{\"a\"::1}",
      "{\"a\":1]", "{\"a\",1}", "{null:1}", "{\"a\":1}}", "{\"a\":1}x", "{\"a\":1}//", "{}{}",
      "/**/1", "1/**/", "//\n1", "#1", "\u{FEFF}1", "\u{A0}1", "\u{0B}1", "\u{0C}1", "\u{0}",
      "1\u{0}",
      "[1]\u{0}", "\u{2028}1", "<a/>", "*", ":", ",", "\\", "\\u0031",
    ])
  func refused(text: String) { #expect(fault(text) != nil) }

  @Test("the octet that is wrong is named")
  func position() {
    #expect(fault("[1,x]") == .unexpected(at: 3))
    #expect(fault("{\"a\":1,}") == .unexpected(at: 7))
    #expect(fault("\"a\nb\"") == .unexpected(at: 2))
    #expect(fault("[") == .unexpected(at: 1))
    #expect(fault("12 3") == .unexpected(at: 3))
  }

  @Test("values stand in each other 64 deep and no deeper")
  func depth() {
    func nested(_ open: String, _ close: String, _ count: Int) -> String {
      String(repeating: open, count: count) + "1" + String(repeating: close, count: count)
    }
    // The number in the innermost one counts, too.
    #expect(fault(nested("[", "]", 63)) == nil)
    #expect(fault(nested("[", "]", 64)) == .tooDeep)
    #expect(fault(nested("{\"a\":", "}", 63)) == nil)
    #expect(fault(nested("{\"a\":", "}", 64)) == .tooDeep)
    #expect(fault(String(repeating: "[", count: 1_000_000)) == .tooDeep)
    #expect(fault(String(repeating: "{\"\":", count: 1_000_000)) == .tooDeep)
    // Breadth is another thing.
    #expect(fault("[" + String(repeating: "[],", count: 10_000) + "[]]") == nil)
  }

  @Test("values that are cut off are none, wherever the end is")
  func truncation() {
    let text = #"{"a":[1,-2.5e+3,"x\u00e9\n\\"],"b":{"c":null,"d":[true,false,[]]},"":{}}"#
    let octets = Array(text.utf8)
    #expect(fault(octets) == nil)
    for end in octets.indices { #expect(fault(Array(octets[..<end])) != nil) }
    for start in octets.indices.dropFirst() where octets[start] != UInt8(ascii: "[") {
      _ = fault(Array(octets[start...]))
    }
  }

  @Test("a value stands where the scanner says")
  func places() throws {
    let octets = Array(#" [1] , "a" ,{"b": 2}x"#.utf8)
    var scanner = JSONScanner()
    let list = try scanner.value(octets.span)
    let comma = scanner.take(UInt8(ascii: ","), octets.span)
    let text = try scanner.value(octets.span)
    let colon = scanner.take(UInt8(ascii: ":"), octets.span)
    let secondComma = scanner.take(UInt8(ascii: ","), octets.span)
    let object = try scanner.value(octets.span)
    let rest = scanner.peek(octets.span)
    #expect(list == 1..<4)
    #expect(text == 7..<10)
    #expect(object == 12..<20)
    #expect([comma, colon, secondComma] == [true, false, true])
    #expect(rest == UInt8(ascii: "x"))
  }

  @Test("whatever comes, the scanner steps over it or says no", arguments: 0..<20 as Range<UInt64>)
  func chance(seed: UInt64) {
    var chance = SplitMix(seed: seed)
    let alphabet = Array("{}[]\",:\\u0123456789.eE+-truefalsn \u{0}\u{1F}\u{FF}".utf8)
    for round in 0..<2000 {
      let count = Int.random(in: 0..<40, using: &chance)
      let octets = (0..<count).map { _ in
        round % 2 == 0
          ? UInt8.random(in: 0...255, using: &chance)
          : alphabet.randomElement(using: &chance) ?? 0
      }
      guard fault(octets) == nil, String(validating: octets, as: UTF8.self) != nil else { continue }
      // Where both read it as UTF-8, both agree, but for half surrogate pairs and huge numbers.
      let text = String(decoding: octets, as: UTF8.self)
      if text.contains("\\u") || text.utf8.contains(where: { $0 == 0x65 || $0 == 0x45 }) {
        continue
      }
      #expect((try? JSON(parsing: octets)) != nil, "seed \(seed): \(text)")
    }
  }

  @Test(
    "a valid text with a changed octet is judged as Foundation judges it",
    arguments: 0..<10 as Range<UInt64>)
  func mutations(seed: UInt64) {
    var chance = SplitMix(seed: seed)
    let text = Array(#"{"a":[1,-2.5,"x\n\\"],"b":{"c":null,"d":[true,false,[]]},"":{}}"#.utf8)
    let alphabet = Array("{}[]\",:\\n0125.-tf ".utf8)
    for _ in 0..<1500 {
      var octets = text
      for _ in 0..<Int.random(in: 1...2, using: &chance) {
        let place = Int.random(in: 0..<octets.count, using: &chance)
        switch Int.random(in: 0..<3, using: &chance) {
        case 0: octets.remove(at: place)
        case 1: octets.insert(alphabet.randomElement(using: &chance) ?? 0, at: place)
        default: octets[place] = alphabet.randomElement(using: &chance) ?? 0
        }
      }
      let words = String(decoding: octets, as: UTF8.self)
      // A comma behind the last value is nothing to Foundation.
      let bare = words.replacing(" ", with: "")
      if bare.contains(",]") || bare.contains(",}") { continue }
      let isRead = (try? JSON(parsing: octets)) != nil
      #expect((fault(octets) == nil) == isRead, "seed \(seed): \(words)")
    }
  }
}
