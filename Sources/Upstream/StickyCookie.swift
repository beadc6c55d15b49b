internal import Crypto
internal import Net

/// The cookie that leads a client back to its server.
public struct StickyCookieRules: Sendable, Equatable {
  /// On which requests of other sites a browser sends the cookie (RFC 6265bis §5.6.7).
  public enum SameSite: String, Sendable, CaseIterable {
    /// On none.
    case strict
    /// On those that lead the user here.
    case lax
    /// On all, where the cookie is Secure.
    case none

    fileprivate var attribute: String {
      switch self {
      case .strict: "Strict"
      case .lax: "Lax"
      case .none: "None"
      }
    }
  }

  /// A token (RFC 6265 §4.1.1).
  public var name: String
  /// How long a client is led back, in whole seconds.
  public var ttl: Duration
  /// What other sites may do with it.
  public var sameSite: SameSite

  /// Rules whose name has been checked.
  public init(name: String, ttl: Duration, sameSite: SameSite = .lax) {
    self.name = name
    self.ttl = ttl
    self.sameSite = sameSite
  }

  /// When a cookie ends that is set at `nowSecond`; both in seconds since 1970.
  public func expiry(nowSecond: Int64) -> Int64 {
    let (sum, overflow) = nowSecond.addingReportingOverflow(self.maxAge)
    return overflow ? .max : sum
  }

  /// The value of the Set-Cookie field (RFC 6265bis §4.1.1).
  ///
  /// - Parameters:
  ///   - value: what ``StickySigner/value(for:expiringAt:)`` gave.
  ///   - isSecure: whether the client came over TLS. Without it browsers refuse `SameSite=None`.
  public func setCookie(value: String, isSecure: Bool) -> String {
    let sameSite = self.sameSite == .none && !isSecure ? .lax : self.sameSite
    return "\(self.name)=\(value); Path=/; Max-Age=\(self.maxAge); HttpOnly; "
      + "SameSite=\(sameSite.attribute)" + (isSecure ? "; Secure" : "")
  }

  private var maxAge: Int64 { max(self.ttl.components.seconds, 0) }
}

/// Writes and reads the values of sticky cookies, which only holders of the secret can make, and
/// which tell nobody else a server's address.
///
/// A value is the base64url of 32 octets:
///
///     0        8        16               32
///     │ masked │ expiry │   signature    │      all of them big-endian
///
/// masked: the endpoint's stable ID XOR the first 8 octets of HMAC("mask" ‖ expiry). expiry:
/// seconds since 1970. signature: the first 16 octets of HMAC("sign" ‖ the 16 octets before). HMAC
/// is HMAC-SHA256 under the secret (RFC 2104).
public struct StickySigner: Sendable {
  private static let octetCount = 32
  /// 32 octets are 43 letters without padding.
  private static let letterCount = 43

  private let key: SymmetricKey

  /// - Parameter secret: the same in all edges that share clients; 32 octets of chance are good.
  public init(secret: [UInt8]) { self.key = SymmetricKey(data: secret) }

  /// The cookie's value for the endpoint with this stable ID.
  public func value(for id: UInt64, expiringAt second: Int64) -> String {
    let expiry = UInt64(bitPattern: second)
    let body = (id ^ self.mask(of: expiry)).octets + expiry.octets
    return Base64URL.encode(body + self.signature(of: body))
  }

  /// What a value says; `nil` for one that this secret did not make, octet for octet, or that has
  /// expired. The text may be anything.
  public func open(_ value: String, nowSecond: Int64) -> (id: UInt64, expiry: Int64)? {
    guard value.utf8.count == Self.letterCount, let octets = Base64URL.decode(value.utf8),
      octets.count == Self.octetCount
    else { return nil }
    let body = Array(octets[..<16])
    guard Self.isSame(octets[16...], self.signature(of: body)) else { return nil }
    let expiry = UInt64(octets: body[8...])
    let second = Int64(bitPattern: expiry)
    guard nowSecond < second else { return nil }
    return (UInt64(octets: body[..<8]) ^ self.mask(of: expiry), second)
  }

  private func mask(of expiry: UInt64) -> UInt64 {
    UInt64(octets: self.code(of: Array("mask".utf8) + expiry.octets).prefix(8))
  }

  private func signature(of body: [UInt8]) -> ArraySlice<UInt8> {
    self.code(of: Array("sign".utf8) + body).prefix(16)
  }

  private func code(of octets: [UInt8]) -> [UInt8] {
    Array(HMAC<SHA256>.authenticationCode(for: octets, using: self.key))
  }

  /// Takes as long for a wrong first octet as for a wrong last one.
  private static func isSame(_ theirs: ArraySlice<UInt8>, _ ours: ArraySlice<UInt8>) -> Bool {
    zip(theirs, ours).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
  }
}

extension StickySigner: CustomStringConvertible, CustomReflectable {
  /// The secret is in no log.
  public var description: String { "a signer of sticky cookies" }

  /// No parts, for the same reason.
  public var customMirror: Mirror { Mirror(self, children: []) }
}

extension UInt64 {
  /// The most significant octet first.
  fileprivate var octets: [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: self >> (56 - 8 * $0)) }
  }

  /// Eight octets, the most significant first.
  fileprivate init(octets: ArraySlice<UInt8>) {
    self = octets.reduce(0) { $0 << 8 | UInt64($1) }
  }
}
