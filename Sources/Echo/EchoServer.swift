public import Net

/// A WebSocket server that sends every message back: the demonstration backend that comes with
/// Sluice, so that a first try needs nothing else. One thread, plain ws.
public struct EchoServer: ~Copyable {
  /// What a client may have queued before it is no longer read.
  private static let queuedByteCountMax = 1024 * 1024
  private static let listenerToken = Token(slot: 0, generation: 0)

  fileprivate struct Client: ~Copyable {
    let socket: Socket
    var session = EchoSession()
    var queue = ByteQueue()
    var isReadable = true
    /// The session is over: what is queued is sent, then the client's end awaited.
    var isEnding = false
    var isDone = false
  }

  private let listener: ListeningSocket
  private var loop: EventLoop
  private var clients = Slab<Client>(slotCountMax: 1 << 16)
  private var inbound = Buffer(capacity: 64 * 1024)
  private var pool = ChunkPool()
  private var output = Buffer(capacity: 128 * 1024)
  /// Descriptors ran out: accepting goes on when a client ends.
  private var isPaused = false

  /// Binds the address, says where it really is, and serves until the process ends.
  public static func serve(
    on address: SocketAddress, whenListening: (SocketAddress) -> Void
  ) throws(Errno) {
    var server = try EchoServer(listeningOn: address)
    whenListening(server.listener.address)
    server.run()
  }

  private init(listeningOn address: SocketAddress) throws(Errno) {
    let listener = try ListeningSocket(binding: address)
    let loop = try EventLoop()
    try loop.add(listener, as: Self.listenerToken)
    self.listener = listener
    self.loop = loop
  }

  private mutating func run() {
    while true {
      let count = self.loop.wait(timeout: nil)
      for index in 0..<count { self.dispatch(self.loop[index]) }
    }
  }

  private mutating func dispatch(_ event: Event) {
    guard let slot = self.clients.liveSlot(for: event.token) else {
      if event.token == Self.listenerToken { self.accept() }
      return
    }
    if !event.readiness.isDisjoint(with: [.readable, .peerEnded, .failed]) {
      self.clients[slot].isReadable = true
    }
    self.flush(slot)
    self.read(slot)
    if self.clients[slot].isDone {
      let client = self.clients.remove(slot)
      client.close(&self.pool)
      if self.isPaused, (try? self.loop.add(self.listener, as: Self.listenerToken)) != nil {
        self.isPaused = false
      }
    }
  }

  private mutating func accept() {
    while true {
      switch self.listener.accept() {
      case .connection(let socket, _):
        guard let token = self.clients.nextToken(), (try? self.loop.add(socket, as: token)) != nil
        else {
          socket.close()
          continue
        }
        self.clients.insert(Client(socket: socket), as: token)
      case .aborted: continue
      case .wouldBlock: return
      case .exhausted:
        self.isPaused = true
        return self.loop.remove(self.listener)
      }
    }
  }

  private mutating func read(_ slot: Int) {
    while self.clients[slot].isReadable, !self.clients[slot].isDone,
      self.clients[slot].queue.count < Self.queuedByteCountMax
    {
      self.inbound.clear()
      switch self.clients[slot].receive(into: &self.inbound) {
      case .octets: self.echo(slot)
      case .wouldBlock: self.clients[slot].isReadable = false
      case .endOfStream, .failed: self.clients[slot].isDone = true
      }
    }
  }

  private mutating func echo(_ slot: Int) {
    guard !self.clients[slot].isEnding else { return }
    let inbound = self.inbound.takeAll()
    let outcome = self.clients[slot].session.received(inbound)
    let octets: [UInt8]
    switch outcome {
    case .send(let some): octets = some
    case .sendAndClose(let last):
      octets = last
      self.clients[slot].isEnding = true
    }
    var start = 0
    while start < octets.count {
      let end = min(start + self.output.freeCount, octets.count)
      self.output.append(octets[start..<end].span)
      self.clients[slot].queue.append(&self.output, from: &self.pool)
      start = end
    }
    self.flush(slot)
  }

  private mutating func flush(_ slot: Int) {
    if case .failed = self.clients[slot].flush(&self.pool) { self.clients[slot].isDone = true }
  }
}

extension EchoServer.Client {
  fileprivate mutating func flush(_ pool: inout ChunkPool) -> Sent {
    let sent = self.queue.isEmpty ? .octets(0) : self.queue.send(to: self.socket, sparing: &pool)
    if self.isEnding, self.queue.isEmpty { self.socket.shutdownWrite() }
    return sent
  }

  fileprivate mutating func receive(into buffer: inout Buffer) -> Received {
    self.socket.receive(into: &buffer)
  }

  fileprivate consuming func close(_ pool: inout ChunkPool) {
    self.queue.clear(into: &pool)
    self.socket.close()
  }
}
