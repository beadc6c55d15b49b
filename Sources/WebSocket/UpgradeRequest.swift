public import HTTP

/// A client's opening handshake (RFC 6455 §4.2.1). Holding one is the proof that the checks ran.
public struct UpgradeRequest: Sendable, Equatable {
  /// Sec-WebSocket-Key: the base64 of 16 octets. HTTP/2 has none (RFC 8441 §5.1): it is the edge's own
  /// then, for the server.
  public let key: String
  /// The subprotocols that are offered, the preferred one first, none of them twice.
  public let subprotocols: [String]
  /// The extensions that are offered, the preferred one first. A name may be there more than once,
  /// with different parameters (RFC 7692 §5).
  public let extensions: [Extension]

  /// The most subprotocols that may be offered.
  public static let subprotocolCountMax = 64

  /// Why a request is no opening handshake. In the order in which it is looked at.
  public enum Rejection: Error, Equatable, Hashable, Sendable, CaseIterable {
    /// Upgrade does not list `websocket`, or Connection does not list `upgrade`: it is an ordinary
    /// request.
    case notAnUpgrade
    /// An extended CONNECT of HTTP/2 for another protocol.
    case unknownProtocol
    /// The method is not GET.
    case notGET
    /// HTTP/1.0, which has no upgrades (RFC 9110 §7.8).
    case oldVersion
    /// A body would follow, where the tunnel begins.
    case bodyAnnounced
    /// Sec-WebSocket-Version is not 13.
    case unsupportedVersion
    /// Sec-WebSocket-Key is missing, repeated, or not the base64 of 16 octets.
    case badKey
    /// Sec-WebSocket-Protocol is not a list of different tokens, or too long a one.
    case badSubprotocols
    /// Sec-WebSocket-Extensions is not a list of extensions, or too long a one.
    case badExtensions
  }

  /// Checks `head`: an upgrade in HTTP/1.1, or an extended CONNECT in HTTP/2 (RFC 8441 §5), whose
  /// stream must be open for octets of the client.
  ///
  /// - Parameter key: what ``upgradeKey(high:low:)`` makes, for the server: asked for in HTTP/2.
  /// - Throws: the first ``Rejection`` that applies, in their order.
  public static func parse(
    _ head: RequestHead, key: @autoclosure () -> String = ""
  ) throws(Rejection) -> UpgradeRequest {
    let fields = head.fields
    try Self.checkMethod(of: head)
    guard !head.announcesBody else { throw .bodyAnnounced }
    guard fields.values("sec-websocket-version") == ["13"] else { throw .unsupportedVersion }
    let key = head.version == .http2 ? key() : try Self.key(in: fields)
    guard let subprotocols = Self.subprotocols(in: fields) else { throw .badSubprotocols }
    guard let extensions = Extension.list(in: fields) else { throw .badExtensions }
    return UpgradeRequest(key: key, subprotocols: subprotocols, extensions: extensions)
  }

  /// Whether a head of HTTP/1 asks for a WebSocket, well or badly.
  public static func isAsked(by fields: Fields) -> Bool {
    fields.contains("upgrade", token: "websocket")
      && fields.contains("connection", token: "upgrade")
  }

  /// Whether `head` asks for a WebSocket at all.
  private static func checkMethod(of head: RequestHead) throws(Rejection) {
    if head.version == .http2 {
      guard let name = head.connectProtocol, head.method == "CONNECT" else { throw .notAnUpgrade }
      guard name.lowercased() == "websocket" else { throw .unknownProtocol }
      return
    }
    guard Self.isAsked(by: head.fields) else { throw .notAnUpgrade }
    guard head.method == "GET" else { throw .notGET }
    guard head.version == .http11 else { throw .oldVersion }
  }

  private static func key(in fields: Fields) throws(Rejection) -> String {
    let keys = fields.values("sec-websocket-key")
    guard keys.count == 1, Base64.isSixteenOctets(keys[0]) else { throw .badKey }
    return keys[0]
  }

  /// RFC 6455 §4.1, item 10: one or more tokens, all different. Compared with their case.
  private static func subprotocols(in fields: Fields) -> [String]? {
    let subprotocols = fields.tokens("sec-websocket-protocol")
    guard fields.contains("sec-websocket-protocol") else { return [] }
    guard (1...Self.subprotocolCountMax).contains(subprotocols.count),
      subprotocols.allSatisfy(Fields.isName), Set(subprotocols).count == subprotocols.count
    else { return nil }
    return subprotocols
  }
}

extension UpgradeRequest.Rejection {
  /// The status of the answer.
  public var status: Int {
    switch self {
    case .notAnUpgrade, .unsupportedVersion: 426
    case .unknownProtocol: 501
    case .notGET: 405
    case .oldVersion, .bodyAnnounced, .badKey, .badSubprotocols, .badExtensions: 400
    }
  }

  /// The cause in one sentence, for the client and for the log. Repeats nothing that was sent.
  public var reason: String {
    switch self {
    case .notAnUpgrade: "This resource is served over WebSocket only."
    case .unknownProtocol: "This protocol is not spoken here."
    case .notGET: "A WebSocket upgrade needs the method GET."
    case .oldVersion: "A WebSocket upgrade needs HTTP/1.1."
    case .bodyAnnounced: "A WebSocket upgrade cannot have a body."
    case .unsupportedVersion: "Sec-WebSocket-Version is not 13."
    case .badKey: "Sec-WebSocket-Key is not the base64 of 16 octets."
    case .badSubprotocols: "Sec-WebSocket-Protocol is not a list of different tokens."
    case .badExtensions: "Sec-WebSocket-Extensions is malformed."
    }
  }

  /// What the answer has to say besides: `Upgrade` (RFC 9110 §15.5.22), `Allow` (§15.5.6),
  /// `Sec-WebSocket-Version` (RFC 6455 §4.4).
  public var fields: [(name: String, value: String)] {
    switch self {
    case .notAnUpgrade: [("Upgrade", "websocket")]
    case .unsupportedVersion: [("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    case .notGET: [("Allow", "GET")]
    case .unknownProtocol, .oldVersion, .bodyAnnounced, .badKey, .badSubprotocols, .badExtensions:
      []
    }
  }
}

/// A client's opening handshake, for a connection that is made from here (RFC 6455 §4.1).
///
/// - Parameters:
///   - target: path and query.
///   - authority: host, with the port where it is not the scheme's own.
///   - key: what ``upgradeKey(high:low:)`` made.
public func upgradeRequestHead(
  target: String, authority: String, key: String, subprotocols: [String] = [],
  extensions: [Extension] = []
) -> RequestHead {
  var fields = Fields()
  fields.append(name: "Host", value: authority)
  fields.append(name: "Upgrade", value: "websocket")
  fields.append(name: "Connection", value: "Upgrade")
  fields.append(name: "Sec-WebSocket-Key", value: key)
  fields.append(name: "Sec-WebSocket-Version", value: "13")
  if !subprotocols.isEmpty {
    fields.append(name: "Sec-WebSocket-Protocol", value: subprotocols.joined(separator: ", "))
  }
  if !extensions.isEmpty {
    fields.append(
      name: "Sec-WebSocket-Extensions",
      value: extensions.map(\.description).joined(separator: ", "))
  }
  return RequestHead(method: "GET", target: target, fields: fields)
}
