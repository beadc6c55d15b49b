internal import Configuration
internal import Edge
internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import Net

/// Who may talk to the admin listener: whoever has the token, where there is one; and no page of
/// another site, whatever it makes a browser do.
struct AdminGuard: RouterMiddleware {
  let edge: Edge

  /// Pages that hold nothing: the dashboard asks for the token itself.
  private static let openPaths: Set<String> = ["/", "/healthz", "/readyz"]

  func handle(
    _ request: Request, context: BasicRequestContext,
    next: (Request, BasicRequestContext) async throws -> Response
  ) async throws -> Response {
    let isOpen = request.method == .get && Self.openPaths.contains(request.uri.path)
    let credentials = AdminCredentials(
      authorization: request.headers[.authorization], subprotocols: nil,
      origin: request.headers[.origin], host: request.head.authority)
    if let failure = credentials.failure(self.edge.configuration.admin, isOpen: isOpen) {
      throw failure
    }
    return try await next(request, context)
  }
}

/// What a request shows of who makes it.
struct AdminCredentials {
  let authorization: String?
  /// Those that a WebSocket offers: a browser cannot set Authorization there.
  let subprotocols: [String]?
  let origin: String?
  let host: String?

  /// Why the request is not answered; `nil` where it is.
  func failure(_ rules: AdminRules?, isOpen: Bool) -> Failure? {
    guard self.isOfOwnSite else {
      return Failure(.forbidden, "foreign_origin", "Pages of other sites may not do this.")
    }
    guard let token = rules?.token else {
      // Without a token the name of the host is what is left against a name that a stranger's name server
      // points here (DNS rebinding).
      guard self.isLocalName else {
        return Failure(
          .forbidden, "foreign_host", "Without a token the Host is localhost or an address.")
      }
      return nil
    }
    guard isOpen || self.shows(token) else {
      return Failure(.unauthorized, "token_required", "A bearer token is required here.")
    }
    return nil
  }

  private var isOfOwnSite: Bool {
    guard let origin = self.origin else { return true }
    guard let host = self.host, let mark = origin.range(of: "://") else { return false }
    return origin[mark.upperBound...].lowercased() == host.lowercased()
  }

  private var isLocalName: Bool {
    guard let host = self.host else { return true }
    if SocketAddress(parsing: host) != nil || IPAddress(parsing: host) != nil { return true }
    let name = host.split(separator: ":").first.map(String.init) ?? host
    return name.lowercased() == "localhost"
  }

  /// Compares all octets, whatever the first different one is.
  private func shows(_ token: String) -> Bool {
    var shown = self.authorization.flatMap { value -> String? in
      let scheme = value.prefix(7)
      return scheme.lowercased() == "bearer " ? String(value.dropFirst(7)) : nil
    }
    if let subprotocols = self.subprotocols, subprotocols.count >= 2, subprotocols[0] == "bearer" {
      shown = subprotocols[1]
    }
    guard let shown, shown.utf8.count == token.utf8.count else { return false }
    return zip(shown.utf8, token.utf8).reduce(0 as UInt8) { $0 | ($1.0 ^ $1.1) } == 0
  }
}
