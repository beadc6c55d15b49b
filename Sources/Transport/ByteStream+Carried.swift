public import HTTP
public import HTTP2
public import Net

/// A stream of an HTTP/2 connection in the place of a socket.
public struct Carried: Sendable {
  /// The slot of its ``Carrier`` in ``Scratch/carriers``, where that stays for as long as it has streams.
  let carrier: Int
  let id: StreamID
  let tlsVersion: String?

  /// The stream `id` of a carrier.
  public init(_ id: StreamID, of carrier: Int, tlsVersion: String?) {
    self.id = id
    self.carrier = carrier
    self.tlsVersion = tlsVersion
  }
}

extension ByteStream {
  mutating func receive(
    _ carried: Carried, _ scratch: inout Scratch, upTo limit: Int
  ) -> OnReceive {
    let before = scratch.carriers[carried.carrier].keptByteCount
    let taken = scratch.carriers[carried.carrier].take(
      carried.id, from: scratch.frames, into: &scratch.inbound, upTo: limit)
    scratch.noteKept(carried.carrier, before)
    switch taken {
    case .octets(let isLast):
      scratch.flushLater(carried.carrier)
      if isLast { self.isReadable = scratch.carriers[carried.carrier].hasMore(carried.id) }
      return .octets
    case .nothing:
      self.isReadable = false
      return .nothing
    case .ended: return self.noteEnd()
    case .failed(let code):
      self.isReadable = false
      return .failed(.stream(code))
    }
  }

  /// By what a stream of an HTTP/2 connection broke, also behind an end that was read before; `nil` where
  /// it has not, and for a socket.
  public borrowing func streamFault(_ scratch: borrowing Scratch) -> StreamFault? {
    guard let carried = self.carried else { return nil }
    return scratch.carriers[carried.carrier].fault(of: carried.id).map { .stream($0) }
  }

  /// Sends what stands in a buffer, and queues what finds no room.
  mutating func send(
    _ carried: Carried, _ octets: inout Buffer, isLast: Bool = false,
    _ carriers: inout Slab<Carrier>, _ pool: inout ChunkPool
  ) {
    if self.queue.isEmpty {
      carriers[carried.carrier].send(carried.id, &octets, ends: isLast, &pool)
    }
    if !octets.isEmpty { self.queue.append(&octets, from: &pool) }
  }

  /// Sends what found no room before, for as long as there is some now.
  mutating func flush(_ carried: Carried, _ scratch: inout Scratch) -> StreamFault? {
    scratch.flushLater(carried.carrier)
    while !self.queue.isEmpty {
      let room = scratch.carriers[carried.carrier].session.room(on: carried.id)
      guard room > 0 else {
        scratch.carriers[carried.carrier].session.awaitRoom(on: carried.id)
        return nil
      }
      // The end goes with the last octets: alone it would need a window that is still open.
      let isLast =
        self.endsWhenFlushed && self.queue.count <= room
        && !scratch.carriers[carried.carrier].owesTrailers(carried.id)
      _ = self.queue.take(into: &scratch.outbound, upTo: room, sparing: &scratch.pool)
      scratch.carriers[carried.carrier].send(
        carried.id, &scratch.outbound, ends: isLast, &scratch.pool)
      scratch.outbound.clear()
    }
    if self.endsWhenFlushed {
      scratch.carriers[carried.carrier].end(carried.id, &scratch.pool)
    }
    return nil
  }

  mutating func end(_ carried: Carried, _ scratch: inout Scratch) -> StreamFault? {
    self.endsWhenFlushed = true
    guard self.queue.isEmpty else { return nil }
    scratch.carriers[carried.carrier].end(carried.id, &scratch.pool)
    scratch.flushLater(carried.carrier)
    return nil
  }
}

// MARK: - Messages of HTTP

extension ByteStream {
  /// Sends the head of an answer in the way of the connection.
  ///
  /// - Parameter body: all that follows, where it is known already.
  public mutating func answer(
    _ head: ResponseHead, body: [UInt8] = [], _ scratch: inout Scratch
  ) -> StreamFault? {
    guard let carried = self.carried else {
      return self.send(body.isEmpty ? head.serialized() : head.serialized() + body, &scratch)
    }
    scratch.carriers[carried.carrier].answer(carried.id, head, endsStream: false, &scratch.pool)
    scratch.flushLater(carried.carrier)
    return body.isEmpty ? nil : self.send(body, &scratch)
  }

  /// Puts the head of an answer before what is sent next: into ``Scratch/outbound``, or into frames.
  ///
  /// - Parameter isAll: whether nothing follows it.
  public mutating func begin(
    _ head: ResponseHead, isAll: Bool, _ scratch: inout Scratch
  ) -> StreamFault? {
    guard let carried = self.carried else { return self.begin(head.serialized(), &scratch) }
    scratch.carriers[carried.carrier].answer(carried.id, head, endsStream: isAll, &scratch.pool)
    scratch.flushLater(carried.carrier)
    return nil
  }

  /// Puts octets before what is sent next, into ``Scratch/outbound``, where they leave room for more.
  public mutating func begin(_ octets: [UInt8], _ scratch: inout Scratch) -> StreamFault? {
    guard octets.count <= scratch.outbound.freeCount / 2 else {
      return self.send(octets, &scratch)
    }
    scratch.outbound.append(octets.span)
    return nil
  }

  /// Ends the content of an HTTP/2 stream with fields behind it.
  public mutating func end(_ trailers: Fields, _ scratch: inout Scratch) -> StreamFault? {
    if let carried = self.carried, !trailers.isEmpty {
      scratch.carriers[carried.carrier].owe(trailers, carried.id)
    }
    return self.end(&scratch)
  }

  /// The fields that came behind the content on an HTTP/2 stream; `nil` without any.
  public mutating func takeTrailers(_ scratch: inout Scratch) -> Fields? {
    guard let carried = self.carried else { return nil }
    return scratch.carriers[carried.carrier].takeTrailers(carried.id)
  }
}

// MARK: - The connection that carries

extension ByteStream {
  /// Sends the frames of a carrier over this socket, which has nothing queued.
  public mutating func sendFrames(of carrier: Int, _ scratch: inout Scratch) -> StreamFault? {
    assert(self.carried == nil && self.queuedByteCount == 0)
    scratch.carriers[carrier].session.collect(&scratch.pool)
    if self.isPlain {
      scratch.carriers[carrier].sentByteCount &+= scratch.carriers[carrier].session.output.count
      self.queue.append(contentsOf: &scratch.carriers[carrier].session.output)
      if let fault = self.flush(&scratch) { return fault }
    } else {
      while !scratch.carriers[carrier].session.output.isEmpty, self.queue.isEmpty {
        _ = scratch.carriers[carrier].session.output.take(
          into: &scratch.outbound, upTo: scratch.outbound.freeCount, sparing: &scratch.pool)
        scratch.carriers[carrier].sentByteCount &+= scratch.outbound.count
        if let fault = self.sendOutbound(&scratch) { return fault }
      }
    }
    if self.queue.isEmpty { scratch.carriers[carrier].session.noteOutputRoom() }
    return nil
  }
}

extension Scratch {
  /// Takes what stands in ``frames`` for frames of a carrier's client.
  public mutating func receiveFrames(_ carrier: Int, now: Deadline) {
    self.carriers[carrier].receive(&self.frames, now: now, &self.pool)
    self.flushLater(carrier)
  }

  /// Keeps what came on a stream in this turn and was not taken.
  public mutating func keep(_ id: StreamID, of carrier: Int) {
    let before = self.carriers[carrier].keptByteCount
    self.carriers[carrier].keep(id, from: self.frames)
    self.noteKept(carrier, before)
  }

  fileprivate mutating func noteKept(_ carrier: Int, _ before: Int) {
    self.keptByteCount += self.carriers[carrier].keptByteCount - before
  }

  /// Clients that have not confirmed ends since they were looked at last do not have to any more.
  public mutating func lookAtLingering(_ carrier: Int) {
    self.carriers[carrier].lookAtLingering(&self.pool)
  }

  /// An HTTP/2 connection has something to send at the end of the turn.
  public mutating func flushLater(_ carrier: Int) {
    guard !self.carriers[carrier].isUnflushed else { return }
    self.carriers[carrier].isUnflushed = true
    self.unflushedCarriers.append(self.carriers[carrier].token)
  }

  /// It is about to send.
  public mutating func flushBegins(_ carrier: Int) { self.carriers[carrier].isUnflushed = false }

  /// Somebody who read and wrote a stream leaves it. The last one of a connection that is lost takes
  /// the carrier along.
  mutating func leave(_ carried: Carried, isAborted: Bool) {
    let before = self.carriers[carried.carrier].keptByteCount
    self.carriers[carried.carrier].leave(carried.id, isAborted: isAborted, &self.pool)
    self.noteKept(carried.carrier, before)
    guard !self.removeIfLeft(carried.carrier) else { return }
    self.flushLater(carried.carrier)
  }

  /// The socket of a carrier is gone: those that are to be told.
  public mutating func fail(_ carrier: Int) -> [Token] {
    let takers = self.carriers[carrier].fail()
    _ = self.removeIfLeft(carrier)
    return takers
  }

  private mutating func removeIfLeft(_ carrier: Int) -> Bool {
    guard self.carriers[carrier].isDead, self.carriers[carrier].streamCount == 0 else {
      return false
    }
    var lost = self.carriers.remove(carrier)
    lost.session.output.clear(into: &self.pool)
    return true
  }
}

extension Scratch {
  /// A stream for which there is no place: the client may try it elsewhere (RFC 9113 §8.7).
  public mutating func refuse(_ id: StreamID, of carrier: Int) {
    self.carriers[carrier].session.reset(id, .refusedStream, &self.pool)
    self.carriers[carrier].session.release(id)
    self.flushLater(carrier)
  }
}
