internal import Signaling
internal import Synchronization
internal import Telemetry

/// What happened in the rooms of one route that live on one worker. The worker alone counts; others may
/// read at any time.
final class RoomMeter: Sendable {
  /// Messages that were held back because they came too fast, by the worker of the socket.
  let throttled = Counter()
  private let counts = Mutex(RoomCounts())

  /// Takes over what happened so far. Once a turn at most.
  func publish(_ counts: RoomCounts) { self.counts.withLock { $0 = counts } }

  /// What happened so far.
  var reading: RoomCounts { self.counts.withLock { $0 } }
}
