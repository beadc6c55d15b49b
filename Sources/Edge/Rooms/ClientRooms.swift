internal import Signaling
internal import Synchronization

/// In which rooms each client is. One table for the whole process, touched when a peer comes or goes.
final class ClientRooms: Sendable {
  private struct Key: Hashable {
    let route: String
    let client: String
  }

  private let rooms = Mutex<[Key: [RoomName: Int]]>([:])

  /// Counts a client that comes into this room; whether it may be there beside the rooms in which it
  /// is. Without a limit it may, and is counted all the same: a reload may set one.
  func enter(_ client: String, _ address: RoomAddress, countMax: Int?) -> Bool {
    self.rooms.withLock { rooms in
      let key = Key(route: address.route, client: client)
      let present = rooms[key] ?? [:]
      guard present[address.room] != nil || present.count < countMax ?? .max else {
        return false
      }
      rooms[key, default: [:]][address.room, default: 0] += 1
      return true
    }
  }

  /// A peer of this client is gone from this room, or has not come in.
  func leave(_ client: String, _ address: RoomAddress) {
    self.rooms.withLock { rooms in
      let key = Key(route: address.route, client: client)
      guard let count = rooms[key]?[address.room] else { return }
      rooms[key]?[address.room] = count > 1 ? count - 1 : nil
      if rooms[key]?.isEmpty == true { rooms[key] = nil }
    }
  }
}
