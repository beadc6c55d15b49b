internal import Net
internal import Telemetry
internal import Transport
internal import Tunnel
internal import WebSocket

/// The way of octets through a tunnel.
extension Tunneling {
  /// The stream to one side, in place.
  subscript(side: Side) -> ByteStream {
    @inline(__always) _read { yield self.streams[isSecond: side == .upstream] }
    @inline(__always) _modify { yield &self.streams[isSecond: side == .upstream] }
  }

  /// Carries octets from one side to the other for as long as there are some, the other side has
  /// room, and the turn lasts.
  mutating func pump(from side: Side, _ bench: inout Workbench) {
    var receives = 0
    while self.tunnel.mayRead(side), self[side].isReadable || self.isHeldReady[side],
      self[side.other].pipedByteCount == 0
    {
      guard receives < Limits.receivesPerTurnMax else { return self.waitForTurn(side, &bench) }
      receives &+= 1
      if self.splices, self.isBulky(side), self.spliceBulk(from: side, &bench) { continue }
      if self.offload != nil, self.goOnReframing(from: side, &bench) { continue }
      self.receive(from: side, &bench)
    }
  }

  /// Receives once, behind what is held, and passes it on.
  private mutating func receive(from side: Side, _ bench: inout Workbench) {
    bench.scratch.inbound.clear()
    if !self.held[side].isEmpty { self.takeHeld(from: side, &bench) }
    // What came too fast may be much: it is judged by itself.
    guard self[side].isReadable, bench.scratch.inbound.count <= Limits.heldByteCountMax else {
      return self.forward(from: side, &bench)
    }
    switch self[side].receive(&bench.scratch, upTo: self.receiveLimit(from: side)) {
    case .octets:
      self.tunnel.heard(from: side, now: bench.now)
      self.forward(from: side, &bench)
    case .nothing:
      if !bench.scratch.inbound.isEmpty { self.forward(from: side, &bench) }
    case .ended:
      self.forward(from: side, &bench)
      self.ended(side, &bench)
    case .failed(let fault):
      // What was opened before the fault is good.
      self.forward(from: side, &bench)
      self.failed(side, fault, &bench)
    }
  }

  /// Where large payloads go another way, no more of the next one than its header is received.
  private func receiveLimit(from side: Side) -> Int {
    guard self.splices, self.isBulky(side) else { return .max }
    let rest = Int(clamping: self.tunnel.unreadPayload(from: side))
    return rest < Limits.spliceByteCountMin ? rest + FrameHeader.byteCountMax : .max
  }

  /// Judges what stands in the scratch and sends it to the other side, from where it is.
  mutating func forward(from side: Side, _ bench: inout Workbench) {
    while !bench.scratch.inbound.isEmpty {
      var counts = FrameCounts()
      let judgement = self.tunnel.judge(
        bench.scratch.inbound.octets, from: side, now: bench.now, counting: &counts)
      self.count(counts, judgement.passCount, from: side)
      guard judgement.passCount != bench.scratch.inbound.count else {
        return self.pass(from: side, &bench)
      }
      self.hold(behind: judgement, from: side, &bench)
      self.pass(from: side, &bench)
      switch judgement.next {
      case .done: return
      case .hold:
        // Without a throttle it waits for more octets, and is not worth looking at before.
        self.isHeldReady[side] = !self.tunnel.mayRead(side)
        return
      case .insert:
        self.insertFrames(towards: side.other, &bench)
        guard !self.tunnel.hasFrames(towards: side.other) else {
          self.isHeldReady[side] = true
          return
        }
      case .again: break
      }
      bench.scratch.inbound.clear()
      self.takeHeld(from: side, &bench)
    }
  }

  private func count(_ counts: FrameCounts, _ octetCount: Int, from side: Side) {
    switch side {
    case .downstream: self.meter.fromDownstream.add(counts, octetCount: octetCount)
    case .upstream: self.meter.fromUpstream.add(counts, octetCount: octetCount)
    }
  }

  /// Keeps what does not pass now and is not dropped; what passes stays in the scratch.
  private mutating func hold(
    behind judgement: Tunnel.Judgement, from side: Side, _ bench: inout Workbench
  ) {
    let start = judgement.passCount + judgement.dropCount
    bench.scratch.inbound.copyTail(from: start, onto: &self.held[side])
    bench.scratch.inbound.truncate(to: judgement.passCount)
    self.needsArming = true
  }

  /// Puts what is held into the scratch, which is empty.
  private mutating func takeHeld(from side: Side, _ bench: inout Workbench) {
    self.isHeldReady[side] = false
    let octets = self.held[side]
    bench.scratch.inbound.append(octets.span)
    self.held[side].removeAll(keepingCapacity: self.held[side].count <= Limits.heldByteCountMax)
  }

  /// Sends what stands in the scratch, all of which may pass.
  private mutating func pass(from side: Side, _ bench: inout Workbench) {
    if !self.tunnel.mayRead(side) { self.needsArming = true }
    guard !bench.scratch.inbound.isEmpty else { return }
    self.tunnel.spoke(now: bench.now)
    guard self.offload == nil else { return self.reframe(from: side, &bench) }
    let hasMore = self.splices && self.isSpliceable(from: side)
    if let fault = self[side.other].sendInbound(&bench.scratch, hasMore: hasMore) {
      return self.failed(side.other, fault, &bench)
    }
    self.queued(towards: side.other, &bench)
  }

  /// Tells the tunnel what waits for a side; whether its source may be read again.
  @discardableResult
  mutating func queued(towards side: Side, _ bench: inout Workbench) -> Side? {
    let count = self[side].queuedByteCount
    let onQueue = self.tunnel.queued(count, towards: side, now: bench.now)
    if count > 0 {
      self.needsArming = true
      if self.tunnel.isUnmeasured(side) {
        self.tunnel.untaken(self[side].untakenByteCount(), towards: side, now: bench.now)
      }
    }
    guard case .resume(let source) = onQueue else { return nil }
    return source
  }

  /// A slow peer takes octets again.
  mutating func flush(towards side: Side, _ bench: inout Workbench) {
    let before = self[side].queuedByteCount
    if let fault = self[side].flush(&bench.scratch) { return self.failed(side, fault, &bench) }
    if self[side].queuedByteCount < before { self.tunnel.took(side, now: bench.now) }
    let resumed = self.queued(towards: side, &bench)
    self.needsArming = true
    // A source also waits, without being paused, for the pipe to be empty.
    if resumed != nil || self[side].queuedByteCount == 0 { self.pump(from: side.other, &bench) }
  }
}

// MARK: - Large payloads

extension Tunneling {
  /// Whether so much of the present payload is still to come that it pays to splice it.
  private func isSpliceable(from side: Side) -> Bool {
    self.tunnel.unreadPayload(from: side) >= UInt64(Limits.spliceByteCountMin)
  }

  /// Whether large payloads come from this side: those that come next may be worth to be spliced.
  private func isBulky(_ side: Side) -> Bool {
    self.tunnel.isBulky(side, from: UInt64(Limits.spliceByteCountMin))
  }

  private mutating func spliceBulk(from side: Side, _ bench: inout Workbench) -> Bool {
    if self.splice(from: side, &bench) { return true }
    return self.spliceFrame(from: side, &bench)
  }

  /// Moves payload inside the kernel; `false` where it has to be received.
  private mutating func splice(from side: Side, _ bench: inout Workbench) -> Bool {
    guard self.isSpliceable(from: side), self.maySplice(from: side) else { return false }
    let rest = Int(clamping: self.tunnel.unreadPayload(from: side))
    bench.scratch.inbound.clear()
    return self.splice(rest, from: side, &bench)
  }

  /// Moves a frame inside the kernel, header and all, where the one before it was large and a look at
  /// the next header says that this one is, too; `false` where it has to be received.
  private mutating func spliceFrame(from side: Side, _ bench: inout Workbench) -> Bool {
    guard self.tunnel.isBetweenFrames(side), self.maySplice(from: side) else { return false }
    bench.scratch.inbound.clear()
    let count = self[side].peek(&bench.scratch, upTo: FrameHeader.byteCountMax)
    guard count > 0 else { return false }
    let rest = self.tunnel.payload(
      behind: bench.scratch.inbound.octets, from: side, now: bench.now)
    guard rest >= UInt64(Limits.spliceByteCountMin) else { return false }
    return self.splice(Int(clamping: rest &+ UInt64(count)), from: side, &bench)
  }

  private func maySplice(from side: Side) -> Bool {
    self[side].isReadable && self.held[side].isEmpty && self[side.other].queuedByteCount == 0
  }

  /// Moves up to `byteCountMax` octets, of which the first stand in the scratch where they have not
  /// been judged yet.
  private mutating func splice(
    _ byteCountMax: Int, from side: Side, _ bench: inout Workbench
  ) -> Bool {
    let spliced = self.streams.withBoth(startingWithSecond: side == .upstream) { source, sink in
      source.splice(upTo: byteCountMax, to: &sink, &bench.scratch)
    }
    switch spliced {
    case .moved(let count): self.spliced(count, from: side, &bench)
    case .nothing: break
    case .noPipe: return false
    case .ended: self.ended(side, &bench)
    case .sourceFailed(let fault): self.failed(side, fault, &bench)
    case .sinkFailed(let count, let fault):
      self.spliced(count, from: side, &bench)
      self.failed(side.other, fault, &bench)
    }
    return true
  }

  private mutating func spliced(_ count: Int, from side: Side, _ bench: inout Workbench) {
    let peekedCount = bench.scratch.inbound.count
    if peekedCount > 0 { self.judgePeeked(from: side, &bench) }
    let unreadCount = max(0, count - peekedCount)
    self.tunnel.passedUnread(unreadCount, from: side, now: bench.now)
    self.count(FrameCounts(), unreadCount, from: side)
    self.queued(towards: side.other, &bench)
    if count < peekedCount { self.passPeeked(peekedCount - count, from: side, &bench) }
    if !self.tunnel.mayRead(side) { self.needsArming = true }
  }

  private mutating func judgePeeked(from side: Side, _ bench: inout Workbench) {
    var counts = FrameCounts()
    let judgement = self.tunnel.judge(
      bench.scratch.inbound.octets, from: side, now: bench.now, counting: &counts)
    self.count(counts, judgement.passCount, from: side)
  }

  /// The kernel moved less than there was, because it was interrupted: what is left of a header goes
  /// the other way.
  private mutating func passPeeked(_ count: Int, from side: Side, _ bench: inout Workbench) {
    bench.scratch.inbound.clear()
    guard case .octets = self[side].receive(&bench.scratch, upTo: count) else { return }
    if let fault = self[side.other].sendInbound(&bench.scratch, hasMore: true) {
      self.failed(side.other, fault, &bench)
    }
  }
}
