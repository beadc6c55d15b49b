internal import Admission
internal import Configuration
internal import Net
internal import Transport
internal import Tunnel
internal import Upstream

/// One client's connection, from its acceptance to its end. A phase owns exactly what is meaningful
/// in it, and moving on consumes it.
///
///     introducing ─▶ handshaking ─▶ readingHead ─▶ admitting ─▶ connecting ─▶ upgrading ─▶ tunneling ─▶ closed
///       (PROXY)         (TLS)     ▲     │  (HTTP)   (Admission)  (Upstream)        │        (Tunnel)       ▲
///                                 └─────┼───────────────┼─────────────┼─▶ relaying ┴───────────────────────┤
///                                       └───────────────┴─────────────┴──────┴─▶ closing ──────────────────┘
///                         (a refusal, or an answer that is the last: sent, then the client's end awaited)
///
/// An HTTP/2 connection is `multiplexing` behind its handshake; each of its streams is a connection of
/// this kind, too, whose head is there from the beginning.
///
/// A phase has a place of its own on the heap, so that a connection is two words and moving it from
/// event to event costs nothing.
///
/// Each phase has one file, named after it. It is entered by `handle` for readiness, by
/// `deadlinePassed` for its timer, by `cut` when the process ends, and by how it begins.
enum Connection: ~Copyable {
  case introducing(Owned<Introducing>)
  case handshaking(Owned<Handshaking>)
  case multiplexing(Owned<Multiplexing>)
  case readingHead(Owned<ReadingHead>)
  case admitting(Owned<Admitting>)
  case connecting(Owned<Connecting>)
  case upgrading(Owned<Upgrading>)
  case tunneling(Owned<Tunneling>)
  case attending(Owned<Attending>)
  case relaying(Owned<Relaying>)
  case closing(Owned<Closing>)
  case closed

  /// Whether the slot can be freed.
  var isClosed: Bool {
    switch self {
    case .closed: true
    default: false
    }
  }

  /// One of its descriptors is ready.
  mutating func handle(_ event: Event, _ bench: inout Workbench) {
    bench.scratch.clear()
    switch consume self {
    // First: nearly every event is one of a tunnel.
    case .tunneling(var phase):
      let goesOn = phase.value.handle(event, &bench)
      self = goesOn ? .tunneling(phase) : phase.take().close(&bench)
    case .attending(var phase):
      let goesOn = phase.value.handle(event, &bench)
      self = goesOn ? .attending(phase) : phase.take().close(&bench)
    case .multiplexing(var phase):
      let goesOn = phase.value.handle(event, &bench)
      self = goesOn ? .multiplexing(phase) : phase.take().close(&bench)
    case .relaying(let phase): self = Relaying.handle(phase, event, &bench)
    case .introducing(let phase): self = phase.take().handle(event, &bench)
    case .handshaking(let phase): self = phase.take().handle(event, &bench)
    case .readingHead(let phase): self = phase.take().handle(event, &bench)
    case .admitting(let phase): self = phase.take().handle(event, &bench)
    case .connecting(let phase): self = phase.take().handle(event, &bench)
    case .upgrading(let phase): self = phase.take().handle(event, &bench)
    case .closing(let phase): self = phase.take().handle(event, &bench)
    case .closed: self = .closed
    }
  }

  /// The deadline of its phase has passed.
  mutating func deadlinePassed(_ bench: inout Workbench) {
    bench.scratch.clear()
    switch consume self {
    case .introducing(let phase): self = phase.take().deadlinePassed(&bench)
    case .handshaking(let phase): self = phase.take().deadlinePassed(&bench)
    case .multiplexing(var phase):
      let goesOn = phase.value.deadlinePassed(&bench)
      self = goesOn ? .multiplexing(phase) : phase.take().close(&bench)
    case .readingHead(let phase): self = phase.take().deadlinePassed(&bench)
    case .admitting(let phase): self = phase.take().deadlinePassed(&bench)
    case .connecting(let phase): self = phase.take().deadlinePassed(&bench)
    case .upgrading(let phase): self = phase.take().deadlinePassed(&bench)
    case .tunneling(var phase):
      let goesOn = phase.value.deadlinePassed(&bench)
      self = goesOn ? .tunneling(phase) : phase.take().close(&bench)
    case .attending(var phase):
      let goesOn = phase.value.deadlinePassed(&bench)
      self = goesOn ? .attending(phase) : phase.take().close(&bench)
    case .relaying(let phase): self = Relaying.deadlinePassed(phase, &bench)
    case .closing(let phase): self = phase.take().deadlinePassed(&bench)
    case .closed: self = .closed
    }
  }

  /// Its request was judged.
  mutating func judged(_ judgement: Judgement, _ bench: inout Workbench) {
    bench.scratch.clear()
    switch consume self {
    case .admitting(let phase): self = phase.take().judged(judgement, &bench)
    case .attending(var phase):
      let goesOn = phase.value.judged(judgement, &bench)
      self = goesOn ? .attending(phase) : phase.take().close(&bench)
    // The connection has given up waiting meanwhile.
    case let other: self = other
    }
  }

  /// The process begins to end: who has not asked for anything yet is let go, unless he is to be served
  /// still, and who has nothing more to ask in any case.
  mutating func drain(_ bench: inout Workbench) {
    bench.scratch.clear()
    switch consume self {
    case .introducing(let phase): self = phase.take().drain(&bench)
    case .handshaking(let phase): self = phase.take().drain(&bench)
    case .readingHead(let phase): self = phase.take().drain(&bench)
    case let other: self = other
    }
  }

  /// A tunnel is told when it is its turn to be closed.
  mutating func close(at deadline: Deadline, because cause: Cause, _ bench: inout Workbench) {
    switch consume self {
    case .tunneling(var phase):
      phase.value.close(at: deadline, because: cause, &bench)
      self = .tunneling(phase)
    case .attending(var phase):
      phase.value.close(at: deadline, because: cause, &bench)
      self = .attending(phase)
    case .multiplexing(var phase):
      phase.value.close(at: deadline, &bench)
      self = .multiplexing(phase)
    case let other: self = other
    }
  }

  /// Another configuration holds. Why the tunnel has to end, where it has no place there.
  mutating func adopt(_ bench: inout Workbench) -> Cause? {
    var cause: Cause?
    switch consume self {
    case .tunneling(var phase):
      cause = phase.value.adopt(&bench)
      self = .tunneling(phase)
    case .attending(var phase):
      cause = phase.value.adopt(&bench)
      self = .attending(phase)
    case let other: self = other
    }
    return cause
  }

  /// The grace is over: whatever is left ends now.
  mutating func cut(_ bench: inout Workbench) {
    bench.scratch.clear()
    switch consume self {
    case .introducing(let phase): self = phase.take().cut(&bench)
    case .handshaking(let phase): self = phase.take().cut(&bench)
    case .multiplexing(var phase):
      phase.value.cut(&bench)
      self = phase.take().close(&bench)
    case .readingHead(let phase): self = phase.take().cut(&bench)
    case .admitting(let phase): self = phase.take().cut(&bench)
    case .connecting(let phase): self = phase.take().cut(&bench)
    case .upgrading(let phase): self = phase.take().cut(&bench)
    case .tunneling(var phase):
      phase.value.cut(&bench)
      self = phase.take().close(&bench)
    case .attending(var phase):
      phase.value.cut(&bench)
      self = phase.take().close(&bench)
    case .relaying(let phase): self = phase.take().cut(&bench)
    case .closing(let phase): self = phase.take().close(&bench)
    case .closed: self = .closed
    }
  }
}

extension Connection {
  /// Whether its end is told and awaited: a tunnel, a peer's, or an HTTP/2 connection.
  var isLasting: Bool {
    switch self {
    case .tunneling: true
    case .attending: true
    case .multiplexing: true
    default: false
    }
  }

  /// Whether it was upgraded: a tunnel, or a peer's.
  var isUpgraded: Bool {
    switch self {
    case .tunneling: true
    case .attending: true
    default: false
    }
  }

  /// Whether it is an HTTP/2 connection, and others are its streams.
  var isCarrier: Bool {
    switch self {
    case .multiplexing: true
    default: false
    }
  }

  /// How an HTTP/2 connection arrived, for its streams; `nil` for any other.
  var carrierArrival: Arrival? {
    switch self {
    case .multiplexing(let phase): phase.value.arrival
    default: nil
    }
  }

  /// The server to which a tunnel leads; `nil` where it is none.
  var endpoint: Endpoint? {
    switch self {
    case .tunneling(let phase): phase.value.endpoint
    default: nil
    }
  }

  /// Looks at what its slower peer has taken. Since when that is nothing of what waits for it; `nil` where
  /// nothing waits.
  mutating func stalledSince(_ bench: borrowing Workbench) -> Deadline? {
    var since: Deadline?
    switch consume self {
    case .tunneling(var phase):
      since = phase.value.stalledSince(bench)
      self = .tunneling(phase)
    case .attending(var phase):
      since = phase.value.stalledSince()
      self = .attending(phase)
    case .relaying(var phase):
      since = phase.value.stalledSince(bench.now)
      self = .relaying(phase)
    case .closing(var phase):
      since = phase.value.stalledSince(bench.now)
      self = .closing(phase)
    case .multiplexing(var phase):
      since = phase.value.stalledSince(bench)
      self = .multiplexing(phase)
    case let other: self = other
    }
    return since
  }

  /// Gives back what waits for a slow peer: the worker needs the memory.
  mutating func shed(_ bench: inout Workbench) {
    bench.scratch.clear()
    switch consume self {
    case .tunneling(var phase):
      let goesOn = phase.value.shed(&bench)
      self = goesOn ? .tunneling(phase) : phase.take().close(&bench)
    case .attending(var phase):
      phase.value.shed(&bench)
      self = phase.take().close(&bench)
    case .relaying(let phase): self = phase.take().shed(&bench)
    case .closing(let phase): self = phase.take().shed(&bench)
    case .multiplexing(var phase):
      phase.value.shed()
      self = phase.take().close(&bench)
    case let other: self = other
    }
  }

  /// A room has something for it.
  mutating func deliver(_ delivery: Delivery, _ bench: inout Workbench) {
    switch consume self {
    case .attending(var phase):
      phase.value.deliver(delivery, &bench)
      self = .attending(phase)
    case let other: self = other
    }
  }

  /// What it has from its room goes out: the turn is over.
  mutating func flush(_ bench: inout Workbench) {
    bench.scratch.clear()
    switch consume self {
    case .attending(var phase):
      let goesOn = phase.value.flush(&bench)
      self = goesOn ? .attending(phase) : phase.take().close(&bench)
    case .multiplexing(var phase):
      let goesOn = phase.value.flush(&bench)
      self = goesOn ? .multiplexing(phase) : phase.take().close(&bench)
    case let other: self = other
    }
  }
}

extension Deadline {
  /// The beginning of a wait as it counts where memory is needed.
  func spared(_ hasTaken: Bool) -> Deadline {
    hasTaken ? self.advanced(by: Limits.takerHeadStart) : self
  }
}

/// What is known of a connection from its acceptance on.
struct Arrival: Sendable {
  var token: Token
  let listener: Listener
  /// The other end of the socket, or whom a proxy in front speaks for; `nil` where nobody says.
  var peer: SocketAddress? { didSet { self.peerText = Self.text(of: self.peer) } }
  /// The same for records and forwarded fields, which each request of the connection needs.
  private(set) var peerText: String
  /// Where it was accepted, here or by a proxy in front; `nil` where no server is to be told.
  var destination: SocketAddress?
  /// When the connection was accepted; of a further request, or a stream, when that began.
  var acceptedAt: Deadline

  init(
    token: Token, listener: Listener, peer: SocketAddress?, destination: SocketAddress?,
    acceptedAt: Deadline
  ) {
    self.token = token
    self.listener = listener
    self.peer = peer
    self.peerText = Self.text(of: peer)
    self.destination = destination
    self.acceptedAt = acceptedAt
  }

  private static func text(of peer: SocketAddress?) -> String {
    switch peer {
    case .ip(let address, _): address.description
    case .unix: "unix"
    case nil: "unknown"
    }
  }

  /// The header by which a server is told who is at the other end.
  func proxyHeader(_ version: ProxyHeader.Version) -> [UInt8] {
    let destination = self.destination ?? self.listener.socket.address
    return ProxyHeader(version: version, source: self.peer, destination: destination).serialized()
  }
}
