internal import Edge
internal import Signaling
internal import Telemetry

/// The metrics of rooms, and of those who are told what happens in them.
extension MetricsPage {
  mutating func addRooms(_ reading: EdgeReading) {
    let routes = reading.routes.compactMap { route in route.rooms.map { (route.name, $0) } }
    self.addOccupancy(routes)
    self.addMessages(routes)
    self.add(
      "sluice_relay_seconds", "From a peer's message to its way out to another peer.",
      [([], reading.relayLatency)])
  }

  private mutating func addOccupancy(_ routes: [(String, EdgeReading.Rooms)]) {
    self.add(.gauge, "sluice_rooms", "Rooms that there are now.", routes) {
      Double($0.counts.roomCount)
    }
    self.add(.gauge, "sluice_room_peers", "Peers that have a place in a room now.", routes) {
      Double($0.counts.peerCount)
    }
    self.add(.counter, "sluice_rooms_opened_total", "Rooms that were opened.", routes) {
      Double($0.counts.roomsOpened)
    }
    self.add(.counter, "sluice_rooms_closed_total", "Rooms that were closed.", routes) {
      Double($0.counts.roomsClosed)
    }
    self.add(
      .counter, "sluice_room_joins_total", "Peers that came in, without those that resumed.", routes
    ) { Double($0.counts.joins) }
    self.add(
      .counter, "sluice_room_joins_refused_total", "Peers that were not let in.", routes
    ) { Double($0.counts.refusals) }
    self.add(
      .counter, "sluice_room_departures_total", "Peers that gave up their place, or lost it.",
      routes
    ) { Double($0.counts.departures) }
    self.add(
      .counter, "sluice_room_resumes_total",
      "What became of places whose peer was away: taken again, given up, or to be taken afresh.",
      routes.flatMap { route, rooms in
        [
          ("won", rooms.counts.resumesWon), ("lapsed", rooms.counts.resumesLapsed),
          ("afresh", rooms.counts.resumesAfresh),
        ].map { ([("route", route), ("outcome", $0)], Double($1)) }
      })
    self.add(
      .counter, "sluice_turn_credentials_total", "TURN credentials that peers were given.", routes
    ) { Double($0.counts.credentialsMinted) }
  }

  private mutating func addMessages(_ routes: [(String, EdgeReading.Rooms)]) {
    self.add(
      .counter, "sluice_room_messages_total",
      "Messages of peers to one other, by kind, or to all others, as they came in.",
      routes.flatMap { route, rooms in
        rooms.counts.byKind.map { ([("route", route), ("kind", $0)], Double($1)) }
      })
    self.add(
      .counter, "sluice_room_deliveries_total", "The same as they went out to peers.", routes
    ) { Double($0.counts.deliveries) }
    self.add(
      .counter, "sluice_room_messages_held_total", "The same as they were kept for peers away.",
      routes
    ) { Double($0.counts.held) }
    self.add(
      .counter, "sluice_room_messages_undelivered_total", "Messages to a peer that is not there.",
      routes
    ) { Double($0.counts.undelivered) }
    self.add(
      .counter, "sluice_room_faults_total", "Messages of peers that were answered by an error.",
      routes
    ) { Double($0.counts.faults) }
    self.add(
      .counter, "sluice_room_throttled_total", "Messages of peers that came too fast.", routes
    ) { Double($0.throttledCount) }
  }

  mutating func addWebhooks(_ webhooks: [Webhooks.Reading]) {
    self.add(
      .gauge, "sluice_webhook_queue", "Events that are still to be told.",
      webhooks.map { ([("route", $0.route)], Double($0.queuedCount)) })
    self.add(
      .counter, "sluice_webhook_events_delivered_total", "Events that the receiver has taken.",
      webhooks.map { ([("route", $0.route)], Double($0.deliveredCount)) })
    self.add(
      .counter, "sluice_webhook_events_dropped_total", "Events that were never told, by reason.",
      webhooks.flatMap { webhook in
        webhook.lost.map { loss, count in
          ([("route", webhook.route), ("reason", loss.rawValue)], Double(count))
        }
      })
    self.add(
      .counter, "sluice_webhook_attempts_failed_total", "Requests that had to be repeated.",
      webhooks.map { ([("route", $0.route)], Double($0.failedCount)) })
  }

  /// Writes a family with one number for each route.
  private mutating func add(
    _ kind: Kind, _ name: String, _ help: String, _ routes: [(String, EdgeReading.Rooms)],
    _ value: (EdgeReading.Rooms) -> Double
  ) {
    self.add(kind, name, help, routes.map { ([("route", $0)], value($1)) })
  }
}

extension RoomCounts {
  /// Relayed messages by kind.
  fileprivate var byKind: [(kind: String, count: UInt64)] {
    Array(zip(SignalKind.allCases.map(\.rawValue), self.signals))
      + [("broadcast", self.broadcasts)]
  }
}
