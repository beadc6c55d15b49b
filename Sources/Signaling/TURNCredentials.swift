internal import Crypto
internal import Net

/// Credentials for TURN servers that end by themselves: the server shares a secret with the relay and
/// nothing else (draft-uberti-behave-turn-rest-00 §2.2; coturn's `use-auth-secret`).
public struct TURNCredentials: Sendable, Equatable {
  /// `EXPIRY:PEER`, the expiry in seconds since 1970. The peer is there for the server's quotas and logs.
  public let username: String
  /// The base64 of the username's HMAC-SHA1. Not a choice: it is what servers compute.
  public let password: String

  /// Credentials for a peer that end at `expiry`, in seconds since 1970.
  public init(peer: PeerID, expiry: Int64, secret: String) {
    self.username = "\(expiry):\(peer)"
    let code = HMAC<Insecure.SHA1>.authenticationCode(
      for: Array(self.username.utf8), using: SymmetricKey(data: Array(secret.utf8)))
    self.password = Self.base64(Array(code))
  }

  /// RFC 4648 §4, with padding.
  private static func base64(_ octets: [UInt8]) -> String {
    let text = Base64URL.encode(octets)
    let padding = String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
    return String(text.map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 }) + padding
  }
}

/// The ICE servers that a peer is told.
struct ICEServers {
  let rules: RoomRules
  let peer: PeerID
  let unixSeconds: Int64

  /// When the credentials end, in seconds since 1970; `nil` where there are none.
  var expiry: Int64? { self.rules.turn.map { self.unixSeconds + $0.ttl.components.seconds } }

  /// Credentials that are made.
  var credentialCount: Int { self.rules.turn?.secrets.count ?? 0 }

  /// Appends `"ice_servers":[…]`, and `,"ice_expires_at":…` where they end.
  func write(into octets: inout [UInt8]) {
    octets.write("\"ice_servers\":")
    var servers: [(urls: [String], credentials: TURNCredentials?)] = []
    if !self.rules.stunURLs.isEmpty { servers.append((self.rules.stunURLs, nil)) }
    if let turn = self.rules.turn, let expiry = self.expiry {
      for secret in turn.secrets {
        servers.append(
          (turn.urls, TURNCredentials(peer: self.peer, expiry: expiry, secret: secret)))
      }
    }
    octets.write(list: servers) { server, octets in
      octets.write("{\"urls\":")
      octets.write(list: server.urls) { $1.write(string: $0) }
      if let credentials = server.credentials {
        octets.write(",\"username\":")
        octets.write(string: credentials.username)
        octets.write(",\"credential\":")
        octets.write(string: credentials.password)
      }
      octets.append(UInt8(ascii: "}"))
    }
    if let expiry = self.expiry {
      octets.write(",\"ice_expires_at\":")
      octets.write(number: expiry)
    }
  }
}
