internal import Signaling
internal import Synchronization

/// How many rooms and peers a route has on all workers together. Touched when a peer comes or goes.
final class RoomOccupancy: Sendable {
  /// What of it is one worker's.
  struct Share {
    fileprivate var roomCount = 0
    fileprivate var peerCount = 0
  }

  private let roomCount = Atomic(0)
  private let peerCount = Atomic(0)

  /// Keeps a place for a room and for a peer while somebody comes in; whether there is one of each. At
  /// the limit, two who come at once on two workers may both be told that there is none.
  func reserve(_ limits: RoomRules.Limits) -> (room: Bool, peer: Bool) {
    let rooms = self.roomCount.add(1, ordering: .relaxed).newValue
    let peers = self.peerCount.add(1, ordering: .relaxed).newValue
    return (rooms <= limits.roomCountMax, peers <= limits.peerCountMax)
  }

  /// Gives both back; what was used of it has to be accounted for at once.
  func unreserve() {
    self.roomCount.subtract(1, ordering: .relaxed)
    self.peerCount.subtract(1, ordering: .relaxed)
  }

  /// A worker has so many of them now.
  func account(roomCount: Int, peerCount: Int, _ share: inout Share) {
    if roomCount != share.roomCount {
      self.roomCount.add(roomCount - share.roomCount, ordering: .relaxed)
      share.roomCount = roomCount
    }
    if peerCount != share.peerCount {
      self.peerCount.add(peerCount - share.peerCount, ordering: .relaxed)
      share.peerCount = peerCount
    }
  }
}
