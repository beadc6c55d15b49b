import Net

/// What peers of rooms do.
enum RoomsWork: String, CaseIterable {
  /// Signals to mates at given times: an open loop.
  case latency
  /// Signals to mates, as many as are taken: who gets one sends one.
  case throughput
  /// Nothing, once all are in.
  case idle
  /// Peers come at given times, each measured from there to its `welcome`, and stay.
  case join
}

/// What is to be done in rooms, checked.
struct RoomsPlan {
  let work: RoomsWork
  let peerCount: Int
  let roomSize: Int
  /// Octets of a signal's `data`.
  let dataByteCount: Int
  /// Signals, or joins, a second of an open loop.
  let rate: UInt64
  /// Signals of each peer that are under way at a time, in a closed loop.
  let underWay: Int
  /// Whether signals have an `id`, so that each is answered with an `ack`.
  let wantsAcks: Bool
  let warmup: Duration
  let duration: Duration

  let address: SocketAddress
  let authority: String
  /// The path in front of a room's name.
  let path: String

  /// Whether what is done has a time at which it is to be done.
  var isPaced: Bool { self.work == .latency || self.work == .join }

  /// Where a peer connects to. Mates have numbers that follow on each other.
  func target(ofPeer index: Int) -> String { "\(self.path)bench-\(index / self.roomSize)" }

  /// The numbers of all peers in the room of one.
  func room(ofPeer index: Int) -> Range<Int> {
    let first = index / self.roomSize * self.roomSize
    return first..<min(first + self.roomSize, self.peerCount)
  }

  /// Another peer of the same room.
  func mate(ofPeer index: Int, _ chance: inout SplitMix) -> Int {
    let room = self.room(ofPeer: index)
    let step = Int.random(in: 1..<room.count, using: &chance)
    return room.lowerBound + (index - room.lowerBound + step) % room.count
  }
}
