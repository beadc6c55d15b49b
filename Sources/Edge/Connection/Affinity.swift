internal import Admission
internal import HTTP
internal import Net
internal import Upstream

/// What leads a client back to the server where it was: a hash of something in its request, or a cookie
/// that the edge has given it.
struct Affinity {
  /// For the choice of a server.
  let preference: Group.Preference
  /// When the cookie ends that the client has sent, in seconds since 1970; `nil` without a good one.
  private let cookieExpiry: Int64?
  private let isSecure: Bool

  init(
    _ head: RequestHead, _ admitted: Admitted, _ exchange: Exchange, _ group: Group,
    _ bench: borrowing Workbench
  ) {
    let octets = group.rules.hashOn.flatMap { Self.octets($0, head, admitted, exchange) }
    let value = group.rules.stickyCookie.flatMap { cookie($0.name, in: head.fields) }
    let sent = value.flatMap {
      bench.commons.signer.open($0, nowSecond: WallClock.now().seconds)
    }
    self.preference = Group.Preference(
      stickyID: sent?.id, hashKey: octets.map { hashKey(of: $0) })
    self.cookieExpiry = sent?.expiry
    self.isSecure = exchange.arrival.listener.tls != nil
  }

  /// What is hashed; `nil` where the request does not have it.
  private static func octets(
    _ key: HashKey, _ head: RequestHead, _ admitted: Admitted, _ exchange: Exchange
  ) -> [UInt8]? {
    switch key {
    case .clientAddress: exchange.client.map { Array($0.description.utf8) }
    case .header(let name): head.fields.first(name).map { Array($0.utf8) }
    case .cookie(let name): cookie(name, in: head.fields).map { Array($0.utf8) }
    case .query(let name): queryParameter(name, in: head.query)
    case .claim(let name): admitted.claims?.text(name).map { Array($0.utf8) }
    }
  }

  /// The cookie that the client is to be given, as the value of Set-Cookie: it has none for this
  /// server, or one that has lived more than half of its time.
  func setCookie(
    for endpoint: Endpoint, _ rules: StickyCookieRules, _ signer: StickySigner
  ) -> String? {
    let now = WallClock.now().seconds
    let expiry = rules.expiry(nowSecond: now)
    if self.preference.stickyID == endpoint.stableID, let sent = self.cookieExpiry,
      sent - now > (expiry - now) / 2
    {
      return nil
    }
    let value = signer.value(for: endpoint.stableID, expiringAt: expiry)
    return rules.setCookie(value: value, isSecure: self.isSecure)
  }
}
