internal import Admission
internal import Net
internal import Transport
internal import Tunnel
internal import Upstream

/// One client's connection, from its acceptance to its end. A phase owns exactly what is meaningful
/// in it, and moving on consumes it.
///
///     handshaking ─▶ readingHead ─▶ admitting ─▶ connecting ─▶ upgrading ─▶ tunneling ─▶ closed
///       (TLS)           │  (HTTP)   (Admission)  (Upstream)        │        (Tunnel)       ▲
///                       │               │             │            ├─▶ responding ─────────┤
///                       └───────────────┴─────────────┴────────────┴─▶ closing ────────────┘
///                         (a refusal, or a server's own answer: sent, then the client's end awaited)
///
/// A phase has a place of its own on the heap, so that a connection is two words and moving it from
/// event to event costs nothing.
///
/// Each phase has one file, named after it. It is entered by `handle` for readiness, by
/// `deadlinePassed` for its timer, by `cut` when the process ends, and by how it begins.
enum Connection: ~Copyable {
  case handshaking(Owned<Handshaking>)
  case readingHead(Owned<ReadingHead>)
  case admitting(Owned<Admitting>)
  case connecting(Owned<Connecting>)
  case upgrading(Owned<Upgrading>)
  case tunneling(Owned<Tunneling>)
  case attending(Owned<Attending>)
  case responding(Owned<Responding>)
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
    case .handshaking(let phase): self = phase.take().handle(event, &bench)
    case .readingHead(let phase): self = phase.take().handle(event, &bench)
    case .admitting(let phase): self = phase.take().handle(event, &bench)
    case .connecting(let phase): self = phase.take().handle(event, &bench)
    case .upgrading(let phase): self = phase.take().handle(event, &bench)
    case .responding(let phase): self = phase.take().handle(event, &bench)
    case .closing(let phase): self = phase.take().handle(event, &bench)
    case .closed: self = .closed
    }
  }

  /// The deadline of its phase has passed.
  mutating func deadlinePassed(_ bench: inout Workbench) {
    bench.scratch.clear()
    switch consume self {
    case .handshaking(let phase): self = phase.take().deadlinePassed(&bench)
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
    case .responding(let phase): self = phase.take().deadlinePassed(&bench)
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

  /// The process begins to stop: who has not asked for anything yet is let go.
  mutating func drain(_ bench: inout Workbench) {
    bench.scratch.clear()
    switch consume self {
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
    case .handshaking(let phase): self = phase.take().cut(&bench)
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
    case .responding(let phase): self = phase.take().cut(&bench)
    case .closing(let phase): self = phase.take().close(&bench)
    case .closed: self = .closed
    }
  }
}

extension Connection {
  /// Whether it was upgraded: a tunnel, or a peer's.
  var isUpgraded: Bool {
    switch self {
    case .tunneling: true
    case .attending: true
    default: false
    }
  }

  /// The server to which a tunnel leads; `nil` where it is none.
  var endpoint: Endpoint? {
    switch self {
    case .tunneling(let phase): phase.value.endpoint
    default: nil
    }
  }

  /// Since when its slower peer has taken nothing of what waits for it; `nil` where nothing waits.
  var stalledSince: Deadline? {
    switch self {
    case .tunneling(let phase): phase.value.stalledSince
    case .attending(let phase): phase.value.stalledSince
    default: nil
    }
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
    case let other: self = other
    }
  }
}

/// What is known of a connection from its acceptance on.
struct Arrival: Sendable {
  let token: Token
  let listener: Listener
  /// The other end of the socket; `nil` where the kernel does not say.
  let peer: SocketAddress?
  let acceptedAt: Deadline
}
