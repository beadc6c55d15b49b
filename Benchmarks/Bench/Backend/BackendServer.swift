import Net
import Transport

/// The backend: one thread, plain ws, no limits and no deadlines, since only the benchmark talks to
/// it.
struct BackendServer: ~Copyable {
  private static let listenerToken = Token(slot: 0, generation: 0)

  private let listener: ListeningSocket
  private var loop: EventLoop
  private var sessions = Slab<BackendSession>(slotCountMax: 1 << 16)
  private var scratch: Scratch
  private var composer = Composer()
  /// Sessions that have more to do than one turn allows.
  private var unfinished: [Token] = []
  private var resumed: [Token] = []

  /// Binds the address.
  init(listeningOn address: SocketAddress) throws {
    let listener = try ListeningSocket(binding: address)
    let loop = try EventLoop()
    let scratch = try Scratch()
    try loop.add(listener, as: Self.listenerToken)
    self.listener = listener
    self.loop = loop
    self.scratch = scratch
  }

  /// Where it listens.
  var address: SocketAddress { self.listener.address }

  /// Serves until the process ends.
  mutating func run() {
    while true {
      let count = self.loop.wait(timeout: self.unfinished.isEmpty ? nil : .zero)
      for index in 0..<count { self.dispatch(self.loop[index]) }
      self.resumeUnfinished()
    }
  }

  private mutating func dispatch(_ event: Event) {
    guard let slot = self.sessions.liveSlot(for: event.token) else {
      if event.token == Self.listenerToken { self.accept() }
      return
    }
    self.scratch.clear()
    switch self.sessions[slot].advance(event.readiness, &self.scratch, &self.composer) {
    case .waits: break
    case .hasMore: self.unfinished.append(event.token)
    case .isOver: self.sessions.remove(slot).close(&self.scratch)
    }
  }

  private mutating func resumeUnfinished() {
    guard !self.unfinished.isEmpty else { return }
    swap(&self.resumed, &self.unfinished)
    for token in self.resumed { self.dispatch(Event(token: token, readiness: [])) }
    self.resumed.removeAll(keepingCapacity: true)
  }

  private mutating func accept() {
    while case .connection(let socket, _) = self.listener.accept() {
      let stream = ByteStream(socket, tls: nil)
      guard let token = self.sessions.nextToken(),
        (try? stream.register(with: self.loop, as: token)) != nil
      else {
        stream.close(&self.scratch)
        continue
      }
      self.sessions.insert(BackendSession(stream), as: token)
    }
  }
}
