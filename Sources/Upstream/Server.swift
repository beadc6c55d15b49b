internal import Synchronization

/// One configured server of a group, and what an operator has overridden while it runs.
public final class Server: Sendable {
  /// The weights that a server may have.
  public static let weights = 1...1000

  /// What the server was configured as.
  public let rules: ServerRules

  private struct Overrides {
    var drain: Bool?
    var weight: Int?
  }

  /// The admin interface writes it, each pick reads it.
  private let overrides = Mutex(Overrides())

  init(_ rules: ServerRules) { self.rules = rules }

  /// Overrides what was configured, for as long as the process runs and a reload leaves the
  /// server's rules as they are.
  ///
  /// - Parameters:
  ///   - drain: whether new tunnels go elsewhere; `nil` leaves this as it is.
  ///   - weight: cut to 1...1000; `nil` leaves this as it is.
  public func override(drain: Bool?, weight: Int?) {
    self.overrides.withLock { overrides in
      overrides.drain = drain ?? overrides.drain
      overrides.weight = weight.map(Self.clamp) ?? overrides.weight
    }
  }

  /// Goes back to what was configured.
  public func revert() { self.overrides.withLock { $0 = Overrides() } }

  /// Whether the operator has overridden anything.
  public var isOverridden: Bool {
    self.overrides.withLock { $0.drain != nil || $0.weight != nil }
  }

  /// Whether new tunnels may go to it; those that it has are never touched.
  public var takesNewTunnels: Bool {
    !(self.overrides.withLock { $0.drain } ?? self.rules.drain)
  }

  /// How many parts of its group's tunnels each of its addresses takes, 1 to 1000.
  public var weight: Int {
    Self.clamp(self.overrides.withLock { $0.weight } ?? self.rules.weight)
  }

  private static func clamp(_ weight: Int) -> Int {
    min(max(weight, Self.weights.lowerBound), Self.weights.upperBound)
  }
}
