internal import Net
public import Signaling
internal import Synchronization

/// What an operator sees of rooms, and does to them.
extension Edge {
  /// A room and the route that it is of.
  public struct ListedRoom: Sendable {
    /// The route's name.
    public let route: String
    /// The room.
    public let room: RoomListing
  }

  /// Lists rooms.
  ///
  /// - Parameter route: the name of theirs; `nil` for all.
  public func rooms(of route: String? = nil) async -> [ListedRoom] {
    var rooms: [ListedRoom] = []
    for worker in self.workers {
      let part = await Reply<[ListedRoom]>.asking {
        worker.mailbox.post(.listRooms(route: route, $0))
      }
      rooms += part ?? []
    }
    return rooms.sorted { ($0.route, "\($0.room.name)") < ($1.route, "\($1.room.name)") }
  }

  /// A room's peers; `nil` where there is no such room.
  public func peers(ofRoom room: RoomName, route: String) async -> [PeerListing]? {
    await self.asking(room, route) { .listPeers($0, $1) }
  }

  /// Removes a peer from its room, and keeps it out for a time where that is asked for. Whether it was
  /// there.
  public func kick(
    _ peer: PeerID, fromRoom room: RoomName, route: String, reason: String, ban: Duration?
  ) async -> Bool {
    await self.asking(room, route) { .kick(peer, $0, reason: reason, ban: ban, $1) } ?? false
  }

  /// Ends a room for all its peers; `nil` where there is no such room, else how many there were.
  public func closeRoom(_ room: RoomName, route: String, words: String) async -> Int? {
    await self.asking(room, route) { .closeRoom($0, words: words, $1) }
  }

  private func asking<Answer>(
    _ room: RoomName, _ route: String, _ message: (RoomAddress, Reply<Answer>) -> Message
  ) async -> Answer? {
    let address = RoomAddress(route: route, room: room)
    let worker = self.workers[address.worker(of: self.workers.count)]
    return await Reply<Answer>.asking { worker.mailbox.post(message(address, $0)) }
  }
}

/// The workers' part of it.
extension Worker {
  mutating func listRooms(of route: String?) -> [Edge.ListedRoom] {
    let now = self.bench.now
    return self.bench.rooms.routes.filter { route == nil || $0 == route }.flatMap { name in
      (self.bench.rooms.ask(name) { $0.listing(now: now) } ?? []).map {
        Edge.ListedRoom(route: name, room: $0)
      }
    }
  }

  mutating func listPeers(of address: RoomAddress) -> [PeerListing]? {
    let now = self.bench.now
    return self.bench.rooms.ask(address.route) { $0.peers(of: address.room, now: now) } ?? nil
  }

  mutating func kick(
    _ peer: PeerID, from address: RoomAddress, reason: String, ban: Duration?
  ) -> Bool {
    let moment = self.bench.moment
    return self.bench.rooms.ask(address.route) {
      $0.kick(peer, from: address.room, reason: reason, ban: ban, moment)
    } ?? false
  }

  mutating func closeRoom(_ address: RoomAddress, words: String) -> Int? {
    let moment = self.bench.moment
    return self.bench.rooms.ask(address.route) {
      $0.closeRoom(address.room, words: words, moment)
    } ?? nil
  }
}
