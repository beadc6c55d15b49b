internal import Edge
internal import Foundation
internal import Hummingbird
internal import WebSocket

/// Which tunnels a request means, and what else its query says.
struct TunnelQuery {
  let filter: TunnelFilter
  private let parameters: [String: String]

  /// - Parameter known: the parameters that the request may have beside those of the filter.
  /// - Throws: 400 for any other: a filter that is spelt wrong would mean all tunnels.
  init(_ request: Request, known: [String]) throws {
    let parameters = Self.parameters(in: request.uri.query ?? "")
    let names = ["route", "subject", "address"] + known
    for name in parameters.keys where !names.contains(name) {
      throw Failure(
        .badRequest, "unknown_parameter",
        "\(name) is none of \(names.joined(separator: ", ")).")
    }
    // What is left empty in a form is not asked for.
    self.parameters = parameters.filter { !$0.value.isEmpty }
    self.filter = TunnelFilter(
      route: self.parameters["route"], subject: self.parameters["subject"],
      address: self.parameters["address"])
  }

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

  /// What comes first.
  func order() throws -> TunnelOrder {
    guard let word = self.parameters["sort"] else { return .octets }
    guard let order = TunnelOrder(rawValue: word) else {
      throw Failure(.badRequest, "bad_sort", "sort is octets or age.")
    }
    return order
  }

  /// How many at most.
  func limit(upTo limitMax: Int) throws -> Int {
    guard let word = self.parameters["limit"] else { return min(100, limitMax) }
    guard let limit = Int(word), (1...limitMax).contains(limit) else {
      throw Failure(.badRequest, "bad_limit", "limit is a whole number from 1 to \(limitMax).")
    }
    return limit
  }

  /// The close code for the client.
  func code() throws -> CloseCode {
    guard let word = self.parameters["code"] else { return .policyViolation }
    guard let number = UInt16(word), CloseCode(rawValue: number).mayAppearOnWire else {
      throw Failure(
        .badRequest, "bad_code", "code is a close code that may be sent, as 1008 or 4001.")
    }
    return CloseCode(rawValue: number)
  }

  /// What the client is told beside the code; a close frame has room for 123 octets (RFC 6455 §5.5).
  func words() throws -> String {
    let words = self.parameters["reason"] ?? "closed by an operator"
    guard words.utf8.count <= 123 else {
      throw Failure(.badRequest, "bad_reason", "reason has 123 octets at most.")
    }
    return words
  }
}
