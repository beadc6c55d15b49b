internal import Foundation
internal import Hummingbird

/// What a request's query says.
struct AdminQuery {
  /// The most things that a list has.
  static let listCountMax = 10_000
  /// How many it has where nobody says.
  private static let listCount = 100

  private let parameters: [String: String]

  /// - Parameter known: the parameters that the request may have.
  /// - Throws: 400 for any other: a filter that is spelt wrong would mean everything.
  init(_ request: Request, known names: [String]) throws {
    let parameters = Self.parameters(in: request.uri.query ?? "")
    for name in parameters.keys where !names.contains(name) {
      throw Failure(
        .badRequest, "unknown_parameter",
        "\(name) is none of \(names.joined(separator: ", ")).")
    }
    // What is left empty in a form is not asked for.
    self.parameters = parameters.filter { !$0.value.isEmpty }
  }

  /// What it says under this name.
  subscript(name: String) -> String? { self.parameters[name] }

  /// As forms write them: a space is a plus.
  private static func parameters(in query: String) -> [String: String] {
    let pairs = query.split(separator: "&").map { pair -> (String, String) in
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let texts = parts.map { part in
        let spaced = part.replacing("+", with: " ")
        return spaced.removingPercentEncoding ?? String(spaced)
      }
      return (texts[0], texts.count > 1 ? texts[1] : "")
    }
    return Dictionary(pairs, uniquingKeysWith: { first, _ in first })
  }

  /// How many at most.
  func limit() throws -> Int {
    guard let word = self["limit"] else { return Self.listCount }
    guard let limit = Int(word), (1...Self.listCountMax).contains(limit) else {
      throw Failure(
        .badRequest, "bad_limit", "limit is a whole number from 1 to \(Self.listCountMax).")
    }
    return limit
  }

  /// What clients are told; a close frame has room for 123 octets beside the code (RFC 6455 §5.5).
  func words(otherwise words: String) throws -> String {
    let words = self["reason"] ?? words
    guard words.utf8.count <= 123 else {
      throw Failure(.badRequest, "bad_reason", "reason has 123 octets at most.")
    }
    return words
  }

  /// A whole number with `s`, `m`, `h` or `d`, up to a week; `nil` where it says nothing.
  func ban() throws -> Duration? {
    guard let word = self["ban"] else { return nil }
    let units: [Character: Int] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
    let number = Int(word.dropLast()).flatMap { $0 >= 1 ? $0 : nil }
    guard let unit = word.last.flatMap({ units[$0] }), let number,
      number <= Self.banSecondsMax / unit
    else {
      throw Failure(
        .badRequest, "bad_ban", "ban is a duration from 1s to 7d, as 30s, 10m or 1h.")
    }
    return .seconds(number * unit)
  }

  /// As for moderators.
  private static let banSecondsMax = 604_800
}
