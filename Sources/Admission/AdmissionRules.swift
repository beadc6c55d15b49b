/// The ways of showing who one is that a route takes; any one of them admits.
public struct CredentialRules: Sendable {
  /// JSON Web Tokens.
  public var jwt: JWTRule?
  /// API keys.
  public var apiKeys: APIKeyRule?
  /// A service that judges who shows no good token or key.
  public var forward: ForwardRule?

  /// Rules of tokens, of keys, of a service, or of several. Without any nobody is admitted.
  public init(jwt: JWTRule? = nil, apiKeys: APIKeyRule? = nil, forward: ForwardRule? = nil) {
    self.jwt = jwt
    self.apiKeys = apiKeys
    self.forward = forward
  }

  /// The fields that tell the backend who the client is. Copies that a client sends are removed,
  /// also when a request was admitted without them.
  public var identityFieldNames: [String] {
    (self.jwt?.forwardClaims.map(\.field) ?? []) + (self.forward?.fields ?? [])
  }
}

/// How often something may happen, on average and at once.
public struct Rate: Sendable, Hashable {
  /// The long-run average, in permits per second, above zero.
  public let permitsPerSecond: Double
  /// How many may be used at once after a quiet time, at least one.
  public let burst: Double

  /// A rate. Values that make no sense are moved to the nearest that do, which the reader of the
  /// configuration has refused before: at least one permit in 11 days, and a burst of one.
  public init(permitsPerSecond: Double, burst: Double) {
    self.permitsPerSecond =
      permitsPerSecond.isFinite ? min(max(permitsPerSecond, 1e-6), 1e9) : 1e-6
    self.burst = burst.isFinite ? min(max(burst, 1), 1e9) : 1
  }
}

/// What a route asks of a client before the backend hears of it.
public struct AdmissionRules: Sendable {
  /// Which origins may connect.
  public var origins: OriginRule
  /// Whether a client without an Origin field, which no browser is, is refused.
  public var requireOrigin: Bool
  /// How a client shows who it is; `nil` where everybody may connect.
  public var credentials: CredentialRules?
  /// WebSockets and ordinary requests that one client may have open on the route, together.
  public var connectionsPerClient: Int?
  /// Upgrades that one client may ask for on the route.
  public var upgradesPerClient: Rate?
  /// Ordinary requests that one client may send on the route.
  public var requestsPerClient: Rate?

  /// Rules. There is no default for `origins`: a route says whom it trusts.
  public init(
    origins: OriginRule, requireOrigin: Bool = false, credentials: CredentialRules? = nil,
    connectionsPerClient: Int? = nil, upgradesPerClient: Rate? = nil,
    requestsPerClient: Rate? = nil
  ) {
    self.origins = origins
    self.requireOrigin = requireOrigin
    self.credentials = credentials
    self.connectionsPerClient = connectionsPerClient
    self.upgradesPerClient = upgradesPerClient
    self.requestsPerClient = requestsPerClient
  }
}
