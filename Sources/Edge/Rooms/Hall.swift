internal import Admission
internal import Configuration
internal import HTTP
internal import Net
internal import Signaling
internal import Tunnel

/// What holds for all rooms of a route: one object, which its peers share.
final class Hall: Sendable {
  /// The subprotocol that peers speak.
  static let subprotocol = "sluice.rooms.v1"

  let rules: RoomRules
  /// What holds for each connection.
  let terms: SessionTerms
  /// What peers are told of that.
  let limits: PeerLimits
  /// The beginning of the path, up to the room's name.
  private let prefix: String

  init(_ route: RouteRules, _ rules: RoomRules) {
    let tunnel = route.tunnel
    let byteCountMax = tunnel.messageByteCountMax ?? UInt64(RoomRules.messageByteCountMax)
    self.rules = rules
    self.prefix = route.match.path.description
    self.terms = SessionTerms(
      messageByteCountMax: byteCountMax, messages: tunnel.messages.map(SessionTerms.Rate.init),
      octets: tunnel.bytes.map(SessionTerms.Rate.init),
      heartbeat: tunnel.heartbeat.map {
        SessionTerms.Heartbeat(interval: $0.interval, timeout: $0.timeout)
      }, stallTimeout: tunnel.stallTimeout, lifetimeMax: tunnel.lifetimeMax,
      outboxByteCountMax: rules.limits.outboxByteCountMax, closeTimeout: Limits.closeTimeout)
    self.limits = PeerLimits(
      messageByteCountMax: Int(clamping: byteCountMax),
      messagesPerSecond: tunnel.messages?.perSecond, heartbeat: tunnel.heartbeat?.interval)
  }

  /// What stands behind the route's path; `nil` for a path that is read in more than one way.
  func rest(of path: String) -> String? {
    guard let octets = ComparablePath(path)?.octets else { return nil }
    return String(validating: octets.dropFirst(self.prefix.utf8.count), as: UTF8.self)
  }
}

extension SessionTerms.Rate {
  fileprivate init(_ limit: TunnelRules.RateLimit) {
    self.init(
      perSecond: limit.perSecond, burst: limit.burst, closes: limit.excess == .close)
  }
}

/// Names a room within the process.
struct RoomAddress: Hashable, Sendable {
  /// The route's name.
  let route: String
  let room: RoomName

  /// The worker on which the room lives: the same wherever it is asked (FNV-1a).
  func worker(of workerCount: Int) -> Int {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for octet in self.room.description.utf8 { hash = (hash ^ UInt64(octet)) &* 0x100_0000_01B3 }
    return Int(hash % UInt64(workerCount))
  }
}
