import Net
import TLS
import Transport

/// The bare relay: one thread, one epoll instance, a pair of sockets for each connection.
struct Relay: ~Copyable {
  private static let listenerToken = Token(slot: 0, generation: 0)
  /// Pipes for octets that a sink has not taken, two descriptors each.
  private static let pipeCountMax = 1024

  private let listener: ListeningSocket
  private let upstream: SocketAddress
  private let tls: ServerContext?
  private let splices: Bool
  private var loop: EventLoop
  private var pairs = Slab<RelayPair>(slotCountMax: 1 << 16)
  private var scratch: Scratch
  /// Pairs that have more to copy than one turn allows.
  private var unfinished: [Token] = []
  private var resumed: [Token] = []

  /// Binds the address.
  init(
    listeningOn address: SocketAddress, upstream: SocketAddress, tls: ServerContext?, splices: Bool
  ) throws {
    let listener = try ListeningSocket(binding: address)
    let loop = try EventLoop()
    let scratch = try Scratch(pipeCountMax: splices ? Self.pipeCountMax : 0)
    try loop.add(listener, as: Self.listenerToken)
    self.listener = listener
    self.upstream = upstream
    self.tls = tls
    self.splices = splices
    self.loop = loop
    self.scratch = scratch
  }

  /// Where it listens.
  var address: SocketAddress { self.listener.address }

  /// Copies until the process ends.
  mutating func run() {
    while true {
      let count = self.loop.wait(timeout: self.unfinished.isEmpty ? nil : .zero)
      for index in 0..<count { self.dispatch(self.loop[index]) }
      self.resumeUnfinished()
    }
  }

  private mutating func dispatch(_ event: Event) {
    guard let slot = self.pairs.liveSlot(for: event.token) else {
      if event.token == Self.listenerToken { self.accept() }
      return
    }
    self.scratch.clear()
    switch self.pairs[slot].advance(event, &self.scratch) {
    case .waits: break
    case .hasMore: self.unfinished.append(event.token)
    case .isOver: self.pairs.remove(slot).close(&self.scratch)
    }
  }

  private mutating func resumeUnfinished() {
    guard !self.unfinished.isEmpty else { return }
    swap(&self.resumed, &self.unfinished)
    for token in self.resumed { self.dispatch(Event(token: token, readiness: [])) }
    self.resumed.removeAll(keepingCapacity: true)
  }

  private mutating func accept() {
    while case .connection(let socket, _) = self.listener.accept() { self.begin(socket) }
  }

  /// Connects upstream at once, whatever the client is going to say.
  private mutating func begin(_ socket: consuming Socket) {
    guard let token = self.pairs.nextToken() else { return socket.close() }
    guard let downstream = self.secured(socket) else { return }
    guard let upstream = try? Socket.connecting(to: self.upstream) else {
      return downstream.close(&self.scratch)
    }
    let pair = RelayPair(
      downstream, ByteStream(upstream, tls: nil), isSecure: self.tls != nil, splices: self.splices)
    if (try? pair.register(with: self.loop, as: token)) != nil {
      self.pairs.insert(pair, as: token)
    } else {
      pair.close(&self.scratch)
    }
  }

  /// The client's stream; `nil` where OpenSSL has no memory.
  private borrowing func secured(_ socket: consuming Socket) -> ByteStream? {
    guard let context = self.tls else { return ByteStream(socket, tls: nil) }
    do throws(TLSFault) {
      let tls = try TLSConnection(accepting: context, over: self.scratch.wire)
      return ByteStream(socket, tls: tls)
    } catch {
      socket.close()
      return nil
    }
  }
}
