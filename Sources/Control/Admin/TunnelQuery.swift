internal import Edge
internal import Hummingbird
internal import WebSocket

/// Which tunnels a request means, and what else its query says.
struct TunnelQuery {
  let filter: TunnelFilter
  private let query: AdminQuery

  /// - Parameter known: the parameters that the request may have beside those of the filter.
  init(_ request: Request, known: [String]) throws {
    let query = try AdminQuery(request, known: ["route", "subject", "address"] + known)
    self.query = query
    self.filter = TunnelFilter(
      route: query["route"], subject: query["subject"], address: query["address"])
  }

  /// What comes first.
  func order() throws -> TunnelOrder {
    guard let word = self.query["sort"] else { return .octets }
    guard let order = TunnelOrder(rawValue: word) else {
      throw Failure(.badRequest, "bad_sort", "sort is octets or age.")
    }
    return order
  }

  /// How many at most.
  func limit() throws -> Int { try self.query.limit() }

  /// The close code for the client.
  func code() throws -> CloseCode {
    guard let word = self.query["code"] else { return .policyViolation }
    guard let number = UInt16(word), CloseCode(rawValue: number).mayAppearOnWire else {
      throw Failure(
        .badRequest, "bad_code", "code is a close code that may be sent, as 1008 or 4001.")
    }
    return CloseCode(rawValue: number)
  }

  /// What the client is told beside the code.
  func words() throws -> String { try self.query.words(otherwise: "closed by an operator") }
}
