public import Net
internal import Synchronization

/// One address of one server: what a tunnel connects to, and what load is counted for.
public final class Endpoint: Sendable {
  /// The server as configured, for records.
  public let url: ServerURL
  /// Where it is.
  public let address: SocketAddress
  /// 1 to 1000.
  public let weight: Int
  /// Tunnels and attempts that live now. Every worker changes it, at the begin and end of a tunnel.
  private let connections = Atomic<Int>(0)

  init(url: ServerURL, address: SocketAddress, weight: Int) {
    self.url = url
    self.address = address
    self.weight = weight
  }

  /// Tunnels and attempts that live now.
  public var connectionCount: Int { self.connections.load(ordering: .relaxed) }

  /// Counts one more. Every call is matched by one of ``end()``.
  public func begin() { self.connections.wrappingAdd(1, ordering: .relaxed) }

  /// Counts one less.
  public func end() { self.connections.wrappingSubtract(1, ordering: .relaxed) }

  /// The URL's host, which TLS verifies and the Host field may carry.
  public var host: String {
    switch self.url.target {
    case .name(let name, _): name
    case .address(.ip(let address, _)): address.description
    case .address(.unix): "localhost"
    }
  }

  /// The server, and the address where its URL has a name: `ws://chat:9000 (10.0.0.7:9000)`.
  public var label: String {
    if case .name = self.url.target { "\(self.url) (\(self.address))" } else { "\(self.url)" }
  }
}
