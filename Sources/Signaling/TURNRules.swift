/// TURN servers, and how peers are let in there.
public struct TURNRules: Sendable, Equatable {
  /// `turn:` and `turns:` URLs, at least one.
  public var urls: [String]
  /// What credentials are signed with, one or two: the first one signs. Where there is a second one,
  /// credentials of its own are offered behind the first ones, for servers that do not know the
  /// first secret yet: so a secret is changed without a moment at which all have to change it.
  public var secrets: [String]
  /// For how long credentials are good.
  public var ttl: Duration

  /// Servers with their secrets.
  public init(urls: [String], secrets: [String], ttl: Duration = .seconds(3600)) {
    self.urls = urls
    self.secrets = secrets
    self.ttl = ttl
  }
}
