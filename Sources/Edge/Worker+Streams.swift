internal import Admission
internal import HTTP
internal import HTTP2
internal import Net
internal import Telemetry
internal import Transport

/// The end of a turn for HTTP/2 connections, and their streams.
///
/// The streams of HTTP/2 connections: each is a connection of its own, in a slot of its own, and hears of
/// what came for it as others hear from the loop.
extension Worker {
  /// Hands what was read from HTTP/2 connections to their streams, while it stands in the scratch.
  mutating func settleStreams() {
    while let carrier = self.bench.readCarriers.popLast() {
      guard self.bench.scratch.carriers.isLive(carrier) else { continue }
      while let event = self.bench.scratch.carriers[carrier].session.nextEvent() {
        self.handle(event, of: carrier)
      }
    }
    while let token = self.bench.lostStreams.popLast() {
      guard let slot = self.connections.liveSlot(for: token) else { continue }
      self.connections[slot].handle(Event(token: token, readiness: .failed), &self.bench)
      self.reap(slot)
    }
  }

  /// Sends what HTTP/2 connections have: one send for all that their streams said in the turn.
  mutating func flushCarriers() {
    if !self.bench.lostStreams.isEmpty || !self.bench.readCarriers.isEmpty { self.settleStreams() }
    guard !self.bench.scratch.unflushedCarriers.isEmpty else { return }
    swap(&self.flushed, &self.bench.scratch.unflushedCarriers)
    for index in self.flushed.indices {
      guard let slot = self.connections.liveSlot(for: self.flushed[index]) else { continue }
      self.connections[slot].flush(&self.bench)
      self.reap(slot)
    }
    self.flushed.removeAll(keepingCapacity: true)
    // One that was lost while it sent has streams that are to hear of it.
    if !self.bench.lostStreams.isEmpty { self.settleStreams() }
  }

  private mutating func handle(_ event: SessionEvent, of carrier: Int) {
    switch event {
    case .content(let id, let octets): self.content(octets, on: id, of: carrier)
    case .writable(let id): self.tell(.writable, id, of: carrier)
    case .ended(let id):
      guard self.bench.scratch.carriers[carrier].taker(of: id) != nil else {
        return self.bench.scratch.carriers[carrier].passOver(id, count: 0, isOver: true)
      }
      self.bench.scratch.carriers[carrier].ended(id)
      self.tell(.readable, id, of: carrier)
    case .trailers(let id, let fields):
      guard self.bench.scratch.carriers[carrier].taker(of: id) != nil else { return }
      self.bench.scratch.carriers[carrier].arrived(fields, on: id)
    case .reset(let id, let code):
      guard self.bench.scratch.carriers[carrier].taker(of: id) != nil else {
        return self.bench.scratch.carriers[carrier].passOver(id, count: 0, isOver: true)
      }
      self.bench.scratch.carriers[carrier].failed(id, code)
      self.tell(.failed, id, of: carrier)
    case .request(let id, let head, let endsStream):
      self.begin(id, hasEnded: endsStream, of: carrier) { stream, arrival, bench in
        Reception(Exchange(arrival, head, &bench), head, hasContent: !endsStream)
          .decide(stream, [], &bench)
      }
    case .refused(let id, let error, let endsStream):
      self.begin(id, hasEnded: endsStream, of: carrier) { stream, arrival, bench in
        Exchange(unreadable: arrival, &bench).refuse(.head(error), stream, &bench)
      }
    case .goingAway, .pong: break
    }
  }

  private mutating func content(_ octets: Range<Int>, on id: StreamID, of carrier: Int) {
    guard self.bench.scratch.carriers[carrier].taker(of: id) != nil else {
      return self.bench.scratch.carriers[carrier].passOver(id, count: octets.count, isOver: false)
    }
    self.bench.scratch.carriers[carrier].arrived(octets, on: id)
    self.tell(.readable, id, of: carrier)
    self.bench.scratch.keep(id, of: carrier)
  }

  private mutating func tell(_ readiness: Readiness, _ id: StreamID, of carrier: Int) {
    guard let token = self.bench.scratch.carriers[carrier].taker(of: id),
      let slot = self.connections.liveSlot(for: token)
    else { return }
    self.connections[slot].handle(Event(token: token, readiness: readiness), &self.bench)
    self.reap(slot)
  }

  /// A request begins a stream: a connection whose head is there already, so that its first phase is what
  /// becomes of that.
  private mutating func begin(
    _ id: StreamID, hasEnded: Bool, of carrier: Int,
    _ phase: (consuming ByteStream, Arrival, inout Workbench) -> Connection
  ) {
    let parent = self.bench.scratch.carriers[carrier].token
    guard let token = self.connections.nextToken(),
      let parentSlot = self.connections.liveSlot(for: parent),
      var arrival = self.connections[parentSlot].carrierArrival
    else {
      self.bench.scratch.refuse(id, of: carrier)
      return
    }
    self.bench.scratch.carriers[carrier].open(id, for: token, hasEnded: hasEnded)
    self.bench.commons.occupancy.streamBegan()
    self.bench.meter.http2.streams.raise()
    var stream = ByteStream(
      Carried(
        id, of: carrier, tlsVersion: self.bench.scratch.carriers[carrier].tlsVersion))
    stream.note(.readable)
    self.bench.scratch.clear()
    arrival.token = token
    arrival.acceptedAt = self.bench.now
    let connection = phase(stream, arrival, &self.bench)
    guard !connection.isClosed else { return self.bench.wheel.disarm(Int(token.slot)) }
    self.connections.insert(connection, as: token)
  }
}
