internal import Net

/// One tunnel, as an operator sees it.
public struct TunnelListing: Sendable {
  /// Names it for as long as it lives.
  public let id: TunnelID
  /// Its route.
  public let route: String
  /// Who the token speaks for.
  public let subject: String?
  /// The client's address.
  public let client: String
  /// The server, and its address where that is a name.
  public let upstream: String
  /// What records, the client and the server know it by.
  public let requestID: String
  /// The version of TLS towards the client; `nil` for a plain connection.
  public let tls: String?
  /// Since the client was accepted.
  public let age: Duration
  /// From the client, headers of frames included.
  public let inboundByteCount: UInt64
  /// From the server.
  public let outboundByteCount: UInt64
  /// From the client.
  public let inboundMessageCount: UInt64
  /// From the server.
  public let outboundMessageCount: UInt64

  /// Octets in both directions.
  public var byteCount: UInt64 { self.inboundByteCount &+ self.outboundByteCount }
}

/// Names a tunnel of this process: its worker, its slot there, and which life of the slot it is.
public struct TunnelID: Sendable, Hashable, CustomStringConvertible {
  let worker: Int
  let slot: UInt32
  let generation: UInt32

  init(worker: Int, _ token: Token) {
    self.worker = worker
    self.slot = token.slot
    self.generation = token.generation
  }

  /// Reads what ``description`` wrote; `nil` for anything else.
  public init?(_ text: String) {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 3, let worker = Int(parts[0]), let slot = UInt32(parts[1]),
      let generation = UInt32(parts[2]), worker >= 0, slot < Token.slotCountMax, generation & 1 == 1
    else { return nil }
    self.worker = worker
    self.slot = slot
    self.generation = generation
  }

  /// As in `0-17-3`.
  public var description: String { "\(self.worker)-\(self.slot)-\(self.generation)" }
}

/// Which tunnels are meant: those to which all that is given applies.
public struct TunnelFilter: Sendable, Equatable {
  /// The name of their route.
  public var route: String?
  /// Who their token speaks for.
  public var subject: String?
  /// Their client's address.
  public var address: String?

  /// A filter; without anything, all tunnels pass.
  public init(route: String? = nil, subject: String? = nil, address: String? = nil) {
    self.route = route
    self.subject = subject
    self.address = address
  }

  /// Whether it lets all tunnels pass.
  public var isEmpty: Bool { self == TunnelFilter() }
}

/// What comes first in a list of tunnels.
public enum TunnelOrder: String, Sendable, CaseIterable {
  /// Those that carried the most octets.
  case octets
  /// Those that have lived the longest.
  case age

  /// Whether `one` comes before `two`.
  func places(_ one: TunnelListing, before two: TunnelListing) -> Bool {
    switch self {
    case .octets: one.byteCount > two.byteCount
    case .age: one.age > two.age
    }
  }
}
