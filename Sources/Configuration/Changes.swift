import Upstream

/// What one configuration has that another had not: what a reload changed.
public struct Changes: Sendable, Equatable, Codable {
  /// The names of one kind of thing.
  public struct Names: Sendable, Equatable, Codable {
    /// In the new one alone.
    public var added: [String] = []
    /// In the old one alone.
    public var removed: [String] = []
    /// In both, and not the same.
    public var changed: [String] = []

    /// No names.
    public init() {}

    /// Whether nothing is different.
    public var isEmpty: Bool { self.added.isEmpty && self.removed.isEmpty && self.changed.isEmpty }
  }

  /// By name.
  public var routes = Names()
  /// By name.
  public var upstreams = Names()
  /// By the names of their upstreams and their URLs, as in `chat-backend ws://10.0.0.1:9001`.
  public var servers = Names()
  /// By address.
  public var listeners = Names()
  /// Other keys of the file whose values changed, as in `limits`.
  public var settings: [String] = []
  /// What was changed and holds only in a new process.
  public var pending: [String] = []

  /// Nothing has changed.
  public init() {}

  /// Whether nothing is different.
  public var isEmpty: Bool {
    self.routes.isEmpty && self.upstreams.isEmpty && self.servers.isEmpty && self.listeners.isEmpty
      && self.settings.isEmpty && self.pending.isEmpty
  }

  /// What `new` has that `old` had not.
  public init(from old: Configuration, to new: Configuration) {
    self.routes = Names(
      from: old.routes.map { ($0.name, $0.fingerprint) },
      to: new.routes.map { ($0.name, $0.fingerprint) })
    self.upstreams = Names(
      from: old.upstreams.map { ($0.name, $0.fingerprint) },
      to: new.upstreams.map { ($0.name, $0.fingerprint) })
    self.servers = Names(from: Self.servers(of: old), to: Self.servers(of: new))
    self.listeners = Names(
      from: old.listeners.map { ("\($0.address)", $0.fingerprint) },
      to: new.listeners.map { ("\($0.address)", $0.fingerprint) })
    if old.limits != new.limits { self.settings.append("limits") }
    if old.log != new.log { self.settings.append("log") }
    if old.shutdownGrace != new.shutdownGrace { self.settings.append("shutdown_grace") }
    if old.drainOver != new.drainOver { self.settings.append("drain_over") }
    if old.trustedProxies != new.trustedProxies { self.settings.append("trusted_proxies") }
    if old.traces != new.traces { self.settings.append("trace") }
    if old.admin?.token != new.admin?.token { self.settings.append("admin.token") }
    if old.admin?.address != new.admin?.address { self.pending.append("admin.address") }
    if old.workers != new.workers { self.pending.append("workers") }
  }

  private static func servers(of configuration: Configuration) -> [(String, String)] {
    configuration.upstreams.flatMap { group in
      group.servers.map { ("\(group.name) \($0.url)", "\($0.weight) \($0.drain)") }
    }
  }
}

extension Changes.Names {
  /// Compares two lists of names and of what stands behind them.
  init(from old: [(String, String)], to new: [(String, String)]) {
    let before = Dictionary(old, uniquingKeysWith: { first, _ in first })
    let after = Dictionary(new, uniquingKeysWith: { first, _ in first })
    self.added = new.map(\.0).filter { before[$0] == nil }
    self.removed = old.map(\.0).filter { after[$0] == nil }
    self.changed = new.filter { name, print in before[name].map { $0 != print } ?? false }.map(\.0)
  }
}

extension Changes: CustomStringConvertible {
  /// One line for people: `routes +chat -old ~admin; listeners +0.0.0.0:8443; limits`.
  public var description: String {
    let kinds = [
      ("routes", self.routes), ("upstreams", self.upstreams), ("servers", self.servers),
      ("listeners", self.listeners),
    ]
    var parts = kinds.filter { !$0.1.isEmpty }.map { kind, names in
      let marked = [("+", names.added), ("-", names.removed), ("~", names.changed)]
      let words = marked.flatMap { mark, names in names.map { mark + $0 } }
      return "\(kind) \(words.joined(separator: " "))"
    }
    parts += self.settings
    parts += self.pending.map { "\($0) (with the next start)" }
    return parts.isEmpty ? "nothing" : parts.joined(separator: "; ")
  }
}
