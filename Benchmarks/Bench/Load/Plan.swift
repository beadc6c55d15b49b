import Net
import TLS

/// What connections do once they are open.
enum Work: String, CaseIterable {
  /// Each message comes back, and its content is compared.
  case echo
  /// As echo, of sizes drawn from ``MessageSizes/mixed``.
  case mixed
  /// Messages in one direction, as fast as they are taken.
  case stream
  /// Connect, upgrade, one echo, closing handshake, and again.
  case churn
  /// Nothing.
  case idle
}

/// Which way a stream goes.
enum Direction: String, CaseIterable {
  /// To the server.
  case up
  /// To the client.
  case down
}

/// What is to be done, checked.
struct Plan {
  let work: Work
  let direction: Direction
  let sizes: MessageSizes
  let connectionCount: Int
  /// Messages a second of an open loop; `nil` for a closed one.
  let rate: UInt64?
  let warmup: Duration
  let duration: Duration

  let address: SocketAddress
  /// What certificates are checked with; `nil` for plain connections.
  let tls: ClientContext?
  let host: String
  let authority: String
  let target: String

  /// Whether a connection waits for its echo before it sends again.
  var isClosedLoop: Bool { self.rate == nil }
  /// Whether messages are sent and come back.
  var isEcho: Bool { self.work == .echo || self.work == .mixed || self.work == .churn }
  /// Whether the client sends as fast as it can.
  var isUpload: Bool { self.work == .stream && self.direction == .up }
}

/// How far a run is.
enum Stage: Comparable {
  /// Connections are being made.
  case opening
  /// Everything runs, nothing counts.
  case warmingUp
  case measuring
  /// No more is sent; answers that are still owed are awaited.
  case draining
  case over
}
