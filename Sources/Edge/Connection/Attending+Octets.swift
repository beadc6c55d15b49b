internal import Net
internal import Signaling
internal import Telemetry
internal import Transport
internal import WebSocket

/// The way of octets between a peer's connection and its room.
extension Attending {
  /// Reads what is held and what the socket has, for as long as that may be and the turn lasts. Whether
  /// it goes on.
  mutating func goOnReading(_ bench: inout Workbench) -> Bool {
    if !self.held.isEmpty, self.session.isRead {
      let held = self.held
      self.held = []
      bench.scratch.inbound.clear()
      bench.scratch.inbound.append(held.span)
      guard self.read(&bench) else { return false }
    }
    var receives = 0
    while self.session.isRead, self.stream.isReadable, self.held.isEmpty {
      guard receives < Limits.receivesPerTurnMax else {
        self.waitForTurn(&bench)
        return true
      }
      receives += 1
      bench.scratch.inbound.clear()
      switch self.stream.receive(&bench.scratch) {
      case .octets: guard self.take(&bench) else { return false }
      case .nothing: continue
      case .ended:
        guard self.take(&bench) else { return false }
        return self.lose()
      case .failed: return self.lose()
      }
    }
    return true
  }

  private mutating func waitForTurn(_ bench: inout Workbench) {
    guard !self.stream.waitsForTurn else { return }
    self.stream.waitsForTurn = true
    bench.unfinished.append(self.token)
  }

  /// Octets have come. Whether it goes on.
  private mutating func take(_ bench: inout Workbench) -> Bool {
    let count = bench.scratch.inbound.count
    guard count > 0 else { return true }
    self.counts.inboundOctets &+= UInt64(count)
    self.meter.fromDownstream.add(FrameCounts(), octetCount: count)
    self.obey(self.session.heard(count, now: bench.now), &bench)
    return self.read(&bench)
  }

  /// Makes messages of what stands in the scratch. Whether it goes on.
  private mutating func read(_ bench: inout Workbench) -> Bool {
    var index = 0
    while index < bench.scratch.inbound.count {
      guard self.session.isRead else {
        bench.scratch.inbound.copyTail(from: index, onto: &self.held)
        return true
      }
      guard let event = self.reader.next(bench.scratch.inbound.octets, from: &index) else {
        return true
      }
      guard self.handle(event, &bench) else { return false }
    }
    return true
  }

  private mutating func handle(_ event: MessageReader.Event, _ bench: inout Workbench) -> Bool {
    self.count(event)
    // Behind our close frame, nothing but the client's means anything.
    if self.session.phase == .closing {
      if case .close = event { self.session.answered() }
      return true
    }
    switch event {
    case .text(let text): self.received(text, &bench)
    case .binary: self.end(.binary, &bench)
    case .tooLarge:
      self.obey(self.session.received(now: bench.now), &bench)
      self.answer(MessageFault(.tooLarge, "The message is larger than may be."), &bench)
    case .ping(let payload):
      FrameHeader(opcode: .pong, payloadByteCount: UInt64(payload.count))
        .write(into: &self.outgoing)
      self.outgoing.append(contentsOf: payload)
      self.count(sent: \.pong, octetCount: payload.count)
      self.flushLater(&bench)
    case .pong(let payload): self.confirmed(payload, &bench)
    case .close(let payload):
      self.end(.closed(payload.code), &bench)
      self.session.answered()
    case .endless: self.end(.endless, &bench)
    case .violation(let violation): self.end(.violation(violation), &bench)
    }
    return true
  }

  private mutating func received(_ text: [UInt8], _ bench: inout Workbench) {
    self.counts.inboundMessages &+= 1
    self.obey(self.session.received(now: bench.now), &bench)
    guard self.session.phase != .closing else { return }
    guard isUTF8(text.span) else { return self.end(.notUTF8, &bench) }
    do throws(MessageFault) {
      self.obey(try Incoming.parse(text.span), &bench)
    } catch {
      self.answer(error, &bench)
    }
  }

  private mutating func obey(_ incoming: Incoming, _ bench: inout Workbench) {
    guard self.session.phase == .attending else {
      guard case .join(let greeting) = incoming.message else {
        let words = "The first message is a \"join\" here."
        return self.send(.fault(MessageFault(.notInRoom, words, id: incoming.id)), &bench)
      }
      return self.join(greeting, &bench)
    }
    if case .token(let text) = incoming.message {
      self.look(at: text, id: incoming.id, &bench)
    } else {
      self.tell(.message(incoming), &bench)
    }
  }

  /// The room answers, so that the answer is replayed; the edge itself where there is none yet.
  private mutating func answer(_ fault: MessageFault, _ bench: inout Workbench) {
    if self.session.phase == .attending {
      self.tell(.fault(fault), &bench)
    } else {
      self.send(.fault(fault), &bench)
    }
  }

  /// What is to become of a client that is too fast.
  private mutating func obey(_ found: PeerSession.OnMessage, _ bench: inout Workbench) {
    switch found {
    case .pass: break
    case .throttled(let wait):
      self.route.roomMeters[bench.index].throttled.raise()
      self.send(.rateLimited(for: wait), &bench)
    case .flooding:
      self.send(.fault(MessageFault(.flooding, "Messages came too fast.")), &bench)
      self.end(.flooding, &bench)
    }
  }

  private mutating func confirmed(_ payload: [UInt8], _ bench: inout Workbench) {
    guard payload == self.pingPayload, let sequence = self.session.confirmed(now: bench.now),
      sequence > 0
    else { return }
    self.tell(.confirmed(sequence), &bench)
  }
}

// MARK: - Going out

extension Attending {
  /// Puts a message among those that go out at the turn's end.
  mutating func send(_ message: Outgoing, _ bench: inout Workbench) {
    let count = message.byteCount
    let room = self.outgoing.count + count + FrameHeader.byteCountMax
    // Twice as much where it grows, as an array does by itself.
    if self.outgoing.capacity < room {
      self.outgoing.reserveCapacity(max(room, 2 * self.outgoing.capacity))
    }
    FrameHeader(opcode: .text, payloadByteCount: UInt64(count)).write(into: &self.outgoing)
    message.write(into: &self.outgoing)
    self.session.sent(message)
    self.counts.outboundMessages &+= 1
    self.count(sent: \.text, octetCount: count)
    self.flushLater(&bench)
  }

  mutating func sendPing(_ bench: inout Workbench) {
    guard self.session.takePing(now: bench.now) else { return }
    self.writePing()
    self.flushLater(&bench)
  }

  mutating func writePing() {
    let payload = self.pingPayload
    FrameHeader(opcode: .ping, payloadByteCount: UInt64(payload.count)).write(into: &self.outgoing)
    self.outgoing.append(contentsOf: payload)
    self.count(sent: \.ping, octetCount: payload.count)
  }

  mutating func count(sent kind: WritableKeyPath<FrameCounts, UInt64>, octetCount: Int) {
    var counts = FrameCounts()
    counts[keyPath: kind] = 1
    self.meter.fromUpstream.add(counts, octetCount: octetCount)
    self.counts.outboundOctets &+= UInt64(octetCount)
  }

  private var pingPayload: [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: self.pingTag >> UInt64(56 - 8 * $0)) }
  }

  private func count(_ event: MessageReader.Event) {
    var counts = FrameCounts()
    switch event {
    case .text, .tooLarge, .endless: counts.text = 1
    case .binary: counts.binary = 1
    case .ping: counts.ping = 1
    case .pong: counts.pong = 1
    case .close: counts.close = 1
    case .violation: break
    }
    self.meter.fromDownstream.add(counts, octetCount: 0)
  }
}
