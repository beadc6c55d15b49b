import Admission
import Signaling
import Tunnel

// What means nothing, or something else, where a route has rooms.

extension Section<RouteSection.Keys> {
  /// Whether the route has rooms, and not, by mistake, an upstream too.
  var hasRooms: Bool { self[.rooms] != nil && self[.upstream] == nil }
}

extension RouteSection {
  /// Octets of a message in a room.
  static let roomMessageByteCounts = 1 << 10...1 << 20

  /// Records what cannot stand beside rooms.
  static func checkRooms(
    _ section: Section<Keys>, _ rooms: RoomsSection?, _ match: RouteMatch?, _ tunnel: TunnelRules
  ) {
    let (reading, place) = (section.entry.reading, section.entry.place)
    for (key, reason) in Self.meaningless + Self.serverSides(tunnel) {
      let place = Place(place.steps + key.steps)
      guard reading.document.node(at: place) != nil else { continue }
      reading.refuse("contradiction: \(reason)", at: place)
    }
    if let path = match?.path, let fault = roomsFault(of: path) {
      reading.refuse(
        fault, at: place.appending(Keys.match).appending(MatchSection.Keys.path))
    }
    guard let rooms else { return }
    let jwt = place.appending(Keys.auth).appending(AuthSection.Keys.jwt)
    let part = place.appending(Keys.rooms)
    if rooms.rules.creation == .token, reading.document.node(at: jwt) == nil {
      reading.refuse(
        "contradiction: no token is looked at: the route has no auth.jwt",
        at: part.appending(RoomsSection.Keys.create))
    }
    if let count = tunnel.messageByteCountMax, rooms.rules.limits.outboxByteCountMax < count {
      reading.refuse(
        "contradiction: a message of \(Quantity.text(ofByteCount: Int(count))), which "
          + "limits.message_size allows, does not fit in it",
        at: part.appending(RoomsSection.Keys.limits).appending(RoomLimitsSection.Keys.outbox))
    }
  }

  /// Keys, seen from the route, for which there is no use, and why.
  private static let meaningless: [(key: Place, reason: String)] = [
    (Place([Keys.compression]), "what is said in rooms is not compressed"),
    (Place([Keys.http]), "rooms are the edge's own: there is no server to forward requests to"),
    (Place([Keys.cors]), "rooms are the edge's own: there is no server to forward requests to"),
    (
      Place([Keys.limits, RouteLimitsSection.Keys.requestsPerClient]),
      "rooms are the edge's own: there is no server to forward requests to"
    ),
    (Place([Keys.headers]), "rooms are the edge's own: these fields would reach no server"),
    (Place([Keys.rewrite]), "rooms are the edge's own: this path would reach no server"),
    (
      Place([Keys.idleTimeout]),
      "peers of a room may be silent; heartbeat finds those that are gone"
    ),
    (
      Place([Keys.auth, AuthSection.Keys.jwt, JWTSection.Keys.forwardClaims]),
      "rooms are the edge's own: there is no server to tell"
    ),
    (
      Place([Keys.auth, AuthSection.Keys.forward, ForwardSection.Keys.headers]),
      "rooms are the edge's own: there is no server to tell"
    ),
  ]

  /// Keys that speak of a server.
  private static func serverSides(_ tunnel: TunnelRules) -> [(key: Place, reason: String)] {
    let (limits, from) = (Keys.limits, RateLimitKeys.from)
    let keys: [(Place, TunnelRules.Peers?)] = [
      (Place([Keys.heartbeat, HeartbeatSection.Keys.to]), tunnel.heartbeat?.to),
      (Place([limits, RouteLimitsSection.Keys.messages, from]), tunnel.messages?.from),
      (Place([limits, RouteLimitsSection.Keys.bytes, from]), tunnel.bytes?.from),
    ]
    return keys.filter { ($0.1 ?? .client) != .client }.map { key, _ in
      (key, "rooms are the edge's own: there is no server, only clients")
    }
  }
}

/// Why rooms cannot be at a path; `nil` where they can.
func roomsFault(of path: PathPattern) -> String? {
  guard case .exact(let text) = path else { return nil }
  return "\"\(text)\" is one path, and the name of a room stands behind it: end it in \"/\""
}
