internal import Admission
internal import Configuration
internal import Logging
internal import Net
internal import TLS
internal import Telemetry
internal import Transport

/// How clients come in, and where from.
extension Worker {
  /// Takes who waits, but not beyond a turn's share; whether there may be more.
  @discardableResult
  mutating func accept(from listener: Listener) -> Bool {
    for _ in 0..<Limits.acceptsPerTurnMax {
      guard self.bench.commons.occupancy.mayAccept else {
        self.pauseAccepting("no descriptors or connections are left")
        return false
      }
      switch listener.socket.accept() {
      case .connection(let socket, let peer): self.begin(socket, peer, listener)
      case .wouldBlock: return false
      case .aborted: continue
      case .exhausted(let fault):
        self.pauseAccepting(fault.description)
        return false
      }
    }
    return true
  }

  private mutating func begin(
    _ socket: consuming Socket, _ peer: SocketAddress?, _ listener: Listener
  ) {
    guard let token = self.connections.nextToken() else { return socket.close() }
    let destination = self.bench.snapshot.tellsServers ? socket.localAddress() : nil
    let arrival = Arrival(
      token: token, listener: listener, peer: peer, destination: destination,
      acceptedAt: self.bench.now)
    self.bench.commons.occupancy.connectionBegan()
    self.bench.meter.accepted.raise()
    guard let connection = self.firstPhase(socket, arrival) else {
      self.bench.commons.occupancy.connectionEnded()
      return
    }
    self.connections.insert(connection, as: token)
    let timeout =
      self.bench.departure.refusesRequests
      ? Limits.lastRequestTimeout : self.bench.snapshot.limits.handshakeTimeout
    self.bench.arm(token, after: timeout)
  }

  private mutating func firstPhase(
    _ socket: consuming Socket, _ arrival: Arrival
  ) -> Connection? {
    var tls: TLSConnection?
    if let context = arrival.listener.tls {
      do throws(TLSFault) {
        tls = try TLSConnection(accepting: context, over: self.bench.scratch.wire)
      } catch {
        self.bench.snapshot.log.error("no TLS connection", metadata: ["reason": "\(error.reason)"])
        socket.close()
        return nil
      }
    }
    let downstream = ByteStream(socket, tls: tls)
    do throws(Errno) {
      try downstream.register(with: self.bench.loop, as: arrival.token)
    } catch {
      self.bench.snapshot.log.error("epoll refuses a socket", metadata: ["reason": "\(error)"])
      downstream.close(&self.bench.scratch)
      return nil
    }
    return arrival.isIntroduced
      ? .introducing(Owned(Introducing(downstream, arrival)))
      : self.bench.greet(downstream, arrival)
  }

  /// Who waits stays in the kernel's queue. Without the pause a level-triggered listener would
  /// report without end what cannot be accepted.
  private mutating func pauseAccepting(_ reason: String) {
    guard self.acceptsAgainAt == nil else { return }
    self.bench.snapshot.log.warning("accepting pauses", metadata: ["reason": "\(reason)"])
    for listener in self.listeners { self.bench.loop.remove(listener.socket) }
    self.acceptsAgainAt = self.bench.now.advanced(by: Limits.acceptPause)
  }

  mutating func resumeAccepting() {
    guard self.bench.commons.occupancy.mayAccept else {
      self.acceptsAgainAt = self.bench.now.advanced(by: Limits.acceptPause)
      return
    }
    self.acceptsAgainAt = nil
    self.listen()
  }

  private func listen() {
    for (index, listener) in self.listeners.enumerated() {
      do throws(Errno) {
        try self.bench.loop.add(listener.socket, as: Self.token(ofListener: index))
      } catch {
        self.bench.snapshot.log.error("epoll refuses a listener", metadata: ["reason": "\(error)"])
      }
    }
  }

  /// Serves these listeners from now on. Who waits at one of those that go is taken first.
  mutating func replaceListeners(_ listeners: [Listener]) {
    let isPaused = self.acceptsAgainAt != nil
    for listener in self.listeners {
      if !isPaused { self.bench.loop.remove(listener.socket) }
      guard !listeners.contains(where: { $0.socket === listener.socket }) else { continue }
      while self.accept(from: listener) {}
      listener.socket.close()
    }
    self.listeners = listeners
    if listeners.isEmpty { self.acceptsAgainAt = nil }
    if self.acceptsAgainAt == nil { self.listen() }
  }

  /// Accepts nobody any more, and leaves who waits to the process that has the same sockets.
  mutating func abandonListeners() {
    for listener in self.listeners {
      if self.acceptsAgainAt == nil { self.bench.loop.remove(listener.socket) }
      listener.socket.close()
    }
    self.acceptsAgainAt = nil
    self.listeners = []
  }
}
