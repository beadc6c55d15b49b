public import HTTP

/// What is wrong with a server's 101.
public enum UpgradeFault: Error, Equatable, Hashable, Sendable, CaseIterable {
  /// The status is not 101. Not a fault of the handshake but another answer.
  case notSwitching
  /// 101 in HTTP/1.0.
  case oldVersion
  /// Upgrade does not list `websocket`.
  case upgradeMissing
  /// Connection does not list `upgrade`.
  case connectionMissing
  /// Sec-WebSocket-Accept is missing or repeated.
  case acceptMissing
  /// Sec-WebSocket-Accept does not answer the key that was sent.
  case acceptWrong
  /// A body is announced, where the tunnel begins (RFC 9110 §6.4.1, §8.6).
  case bodyAnnounced
  /// More than one subprotocol is chosen.
  case subprotocolRepeated
  /// A subprotocol is chosen that was not offered.
  case subprotocolNotOffered
  /// Sec-WebSocket-Extensions is malformed.
  case extensionsMalformed
  /// An extension is accepted that was not offered.
  case extensionNotOffered
  /// An extension is accepted twice.
  case extensionRepeated

  /// The cause in one sentence, for the log.
  public var reason: String {
    switch self {
    case .notSwitching: "The server did not answer 101."
    case .oldVersion: "The server answered 101 in HTTP/1.0."
    case .upgradeMissing: "The server's 101 has no Upgrade: websocket."
    case .connectionMissing: "The server's 101 has no Connection: Upgrade."
    case .acceptMissing: "The server's 101 does not have exactly one Sec-WebSocket-Accept."
    case .acceptWrong: "The server's Sec-WebSocket-Accept does not answer the key."
    case .bodyAnnounced: "The server's 101 announces a body."
    case .subprotocolRepeated: "The server chose more than one subprotocol."
    case .subprotocolNotOffered: "The server chose a subprotocol that was not offered."
    case .extensionsMalformed: "The server's Sec-WebSocket-Extensions is malformed."
    case .extensionNotOffered: "The server accepted an extension that was not offered."
    case .extensionRepeated: "The server accepted an extension twice."
    }
  }
}

/// A server's answer to the opening handshake (RFC 6455 §4.1, last list), checked.
///
/// A proxy that looks at the status alone can be made to believe in a tunnel that its server knows
/// nothing of, and to hand a client a connection on which the server still reads requests.
public struct UpgradeResponse: Sendable, Equatable {
  /// The subprotocol that the server chose.
  public let subprotocol: String?
  /// The extensions that are in use, in the order in which they apply.
  public let extensions: [Extension]

  /// Whether permessage-deflate is in use, so that RSV1 has a meaning (RFC 7692 §6).
  public var usesDeflate: Bool {
    self.extensions.contains { Self.isSame($0.name, "permessage-deflate") }
  }

  /// Checks `head`, which answers `request`: the request as it was sent to the server.
  public static func verify(
    _ head: ResponseHead, answering request: UpgradeRequest
  ) throws(UpgradeFault) -> UpgradeResponse {
    let fields = head.fields
    guard head.status == 101 else { throw .notSwitching }
    guard head.version == .http11 else { throw .oldVersion }
    guard fields.contains("upgrade", token: "websocket") else { throw .upgradeMissing }
    guard fields.contains("connection", token: "upgrade") else { throw .connectionMissing }
    let accepts = fields.values("sec-websocket-accept")
    guard accepts.count == 1 else { throw .acceptMissing }
    guard accepts[0] == acceptValue(forKey: request.key) else { throw .acceptWrong }
    guard !fields.contains("transfer-encoding"), !fields.contains("content-length") else {
      throw .bodyAnnounced
    }
    return UpgradeResponse(
      subprotocol: try Self.subprotocol(in: fields, of: request.subprotocols),
      extensions: try Self.extensions(in: fields, of: request.extensions))
  }

  private static func subprotocol(
    in fields: Fields, of offered: [String]
  ) throws(UpgradeFault) -> String? {
    let chosen = fields.values("sec-websocket-protocol")
    guard chosen.count <= 1 else { throw .subprotocolRepeated }
    // An empty value chooses nothing: some servers send it so. Not forwarded by `responseHead101`.
    guard let subprotocol = chosen.first, !subprotocol.isEmpty else { return nil }
    guard offered.contains(subprotocol) else { throw .subprotocolNotOffered }
    return subprotocol
  }

  private static func extensions(
    in fields: Fields, of offered: [Extension]
  ) throws(UpgradeFault) -> [Extension] {
    guard let accepted = Extension.list(in: fields) else { throw .extensionsMalformed }
    for (index, one) in accepted.enumerated() {
      guard offered.contains(where: { Self.isSame($0.name, one.name) }) else {
        throw .extensionNotOffered
      }
      guard !accepted[..<index].contains(where: { Self.isSame($0.name, one.name) }) else {
        throw .extensionRepeated
      }
    }
    return accepted
  }

  private static func isSame(_ one: String, _ other: String) -> Bool {
    one.lowercased() == other.lowercased()
  }
}

/// The client's 101, made out of the server's: fields of the server's connection removed, Upgrade,
/// Connection and the Sec-WebSocket fields once and in their usual case.
///
/// - Parameters:
///   - upstream: the server's head, which ``UpgradeResponse/verify(_:answering:)`` let pass.
///   - fallbackSubprotocol: named to the client if the server chose none: the marker behind which a
///     token was offered. A browser that offered any subprotocol fails where none is chosen.
public func responseHead101(
  from upstream: ResponseHead, fallbackSubprotocol: String? = nil
) -> ResponseHead {
  var head = upstream.forwardedUpgrade()
  let subprotocol = upstream.fields.first("sec-websocket-protocol").flatMap {
    $0.isEmpty ? nil : $0
  }
  let accept = upstream.fields.first("sec-websocket-accept")
  let extensions = upstream.fields.values("sec-websocket-extensions").joined(separator: ", ")
  head.fields.removeAll { field in
    // A server has no say in the rest of the handshake: it is the client's to send.
    field.nameOctets.count > 13 && field.name.lowercased().hasPrefix("sec-websocket-")
  }
  if let accept { head.fields.append(name: "Sec-WebSocket-Accept", value: accept) }
  if let subprotocol = subprotocol ?? fallbackSubprotocol {
    head.fields.append(name: "Sec-WebSocket-Protocol", value: subprotocol)
  }
  if !extensions.isEmpty {
    head.fields.append(name: "Sec-WebSocket-Extensions", value: extensions)
  }
  return head
}

/// The 101 of a server that answers `request` itself (RFC 6455 §4.2.2), without extensions.
///
/// - Parameter subprotocol: one of those that were offered, or `nil`.
public func responseHead101(
  answering request: UpgradeRequest, subprotocol: String? = nil
) -> ResponseHead {
  var fields = Fields()
  fields.append(name: "Upgrade", value: "websocket")
  fields.append(name: "Connection", value: "Upgrade")
  fields.append(name: "Sec-WebSocket-Accept", value: acceptValue(forKey: request.key))
  if let subprotocol { fields.append(name: "Sec-WebSocket-Protocol", value: subprotocol) }
  return ResponseHead(status: 101, fields: fields)
}
