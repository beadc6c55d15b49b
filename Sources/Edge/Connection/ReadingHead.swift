internal import Admission
internal import Configuration
internal import HTTP
internal import Logging
internal import Net
internal import Transport
internal import Tunnel

/// The request head is coming in, all at once as a rule. Its deadline has run since the acceptance; that
/// of a further request on the same connection, since its first octet.
struct ReadingHead: ~Copyable {
  private var downstream: ByteStream
  private var arrival: Arrival
  private var reader: RequestReader
  /// Whether an earlier request was answered and the next one has not begun.
  private var isIdle = false
  private var isFirst = true
  /// Octets that were received and not looked at: what came behind an earlier request, or what could
  /// begin HTTP/2.
  private var held: [UInt8] = []
  /// What the client had still to take of earlier answers at the last deadline.
  private var untakenByteCount = Int.max

  init(_ downstream: consuming ByteStream, _ arrival: Arrival, _ bench: inout Workbench) {
    self.downstream = downstream
    self.arrival = arrival
    self.reader = RequestReader(
      headByteCountMax: bench.snapshot.limits.headByteCountMax,
      targetByteCountMax: Limits.targetByteCountMax)
  }

  /// The next request on a connection whose earlier ones were answered.
  ///
  /// - Parameter octets: what the client has sent of it already.
  static func next(
    _ downstream: consuming ByteStream, behind octets: [UInt8], _ arrival: Arrival,
    _ bench: inout Workbench
  ) -> Connection {
    bench.arm(arrival.token, after: bench.snapshot.limits.keepAliveTimeout)
    var phase = Self(downstream, arrival, &bench)
    phase.isIdle = true
    phase.isFirst = false
    phase.held = octets
    if !octets.isEmpty || phase.downstream.isReadable { phase.waitForTurn(&bench) }
    return .readingHead(Owned(phase))
  }

  /// Goes on in the next turn: a client that sends many requests at once leaves room for others.
  private mutating func waitForTurn(_ bench: inout Workbench) {
    guard !self.downstream.waitsForTurn else { return }
    self.downstream.waitsForTurn = true
    bench.unfinished.append(self.arrival.token)
  }

  consuming func handle(_ event: Event, _ bench: inout Workbench) -> Connection {
    guard event.token.registration == 0 else { return .readingHead(Owned(self)) }
    self.downstream.note(event.readiness)
    if event.readiness.contains(.writable), self.downstream.flush(&bench.scratch) != nil {
      return self.end("reset", &bench)
    }
    return self.read(&bench)
  }

  /// Takes what stands in the scratch, then what the socket has.
  consuming func read(_ bench: inout Workbench) -> Connection {
    if !self.held.isEmpty { self.takeHeld(&bench) }
    while true {
      // A client that takes no answers is not heard: it would be given more of them.
      guard self.downstream.queuedByteCount <= Watermarks.standard.highByteCount else {
        self.held = bench.scratch.inbound.takeAll()
        return .readingHead(Owned(self))
      }
      if self.isIdle, !bench.scratch.inbound.isEmpty { self.begin(&bench) }
      let isHTTP2 = self.isHTTP2(bench)
      if isHTTP2 == true { return Multiplexing.begin(self.downstream, self.arrival, &bench) }
      if isHTTP2 == false, !bench.scratch.inbound.isEmpty {
        do throws(HeadError) {
          let octets = try self.reader.receive(bench.scratch.inbound.octets)
          if case .head(let head, let consumed) = octets {
            bench.scratch.inbound.consume(consumed)
            return self.received(head, &bench)
          }
          bench.scratch.inbound.clear()
        } catch {
          return self.refuse(.head(error), &bench)
        }
      }
      guard self.downstream.isReadable else {
        self.held = bench.scratch.inbound.takeAll()
        return .readingHead(Owned(self))
      }
      switch self.downstream.receive(&bench.scratch) {
      case .octets, .nothing: continue
      case .ended where bench.scratch.inbound.isEmpty || isHTTP2 == nil:
        return self.leave("closed", &bench)
      case .ended: continue
      case .failed(let fault): return self.end(fault.reason, &bench)
      }
    }
  }

  /// The first octets of a further request are there.
  private mutating func begin(_ bench: inout Workbench) {
    self.isIdle = false
    self.arrival.acceptedAt = bench.now
    bench.arm(self.arrival.token, after: bench.snapshot.limits.handshakeTimeout)
  }

  /// Whether the client speaks HTTP/2 from its first octet on (RFC 9113 §3.3); `nil` where that cannot
  /// be told yet.
  private borrowing func isHTTP2(_ bench: borrowing Workbench) -> Bool? {
    guard self.isFirst, self.arrival.listener.speaksHTTP2First, !self.reader.hasReceivedOctets
    else {
      return false
    }
    let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    let count = min(preface.count, bench.scratch.inbound.count)
    for index in 0..<count where bench.scratch.inbound.octets[index] != preface[index] {
      return false
    }
    return count == preface.count ? true : nil
  }

  private mutating func takeHeld(_ bench: inout Workbench) {
    self.held += bench.scratch.inbound.takeAll()
    bench.scratch.inbound.append(self.held.span)
    self.held = []
  }

  private consuming func received(_ head: RequestHead, _ bench: inout Workbench) -> Connection {
    let pipelined = bench.scratch.inbound.takeAll()
    let exchange = Exchange(self.arrival, head, &bench)
    return Reception(exchange, head).decide(self.downstream, pipelined, &bench)
  }

  consuming func deadlinePassed(_ bench: inout Workbench) -> Connection {
    // What it has asked meanwhile waits until it has taken the last answer.
    if !self.held.isEmpty, self.isTaking() {
      bench.arm(self.arrival.token, after: bench.snapshot.limits.keepAliveTimeout)
      return .readingHead(Owned(self))
    }
    if self.isIdle || bench.departure.refusesRequests, !self.reader.hasReceivedOctets {
      return self.leave("shutdown", &bench)
    }
    return self.refuse(.headTimedOut, &bench)
  }

  /// A client that has asked, or has begun to, is heard, and told that the edge is draining. One
  /// that has not is let go.
  consuming func drain(_ bench: inout Workbench) -> Connection {
    guard self.isIdle || bench.departure.refusesRequests else { return .readingHead(Owned(self)) }
    bench.arm(self.arrival.token, after: Limits.lastRequestTimeout)
    self.downstream.note(.readable)
    switch self.read(&bench) {
    case .readingHead(let phase):
      let head = phase.take()
      return head.reader.hasReceivedOctets || !head.held.isEmpty
        ? .readingHead(Owned(head)) : head.leave("shutdown", &bench)
    case let next: return next
    }
  }

  consuming func cut(_ bench: inout Workbench) -> Connection { self.end("shutdown", &bench) }

  private consuming func refuse(
    _ refusal: Refusal, _ bench: inout Workbench
  ) -> Connection {
    let exchange = Exchange(unreadable: self.arrival, &bench)
    return exchange.refuse(refusal, self.downstream, &bench)
  }

  /// Whether the client has taken some of earlier answers since this was asked last.
  private mutating func isTaking() -> Bool {
    let untaken = self.downstream.untakenByteCount()
    defer { self.untakenByteCount = untaken }
    return untaken > 0 && untaken < self.untakenByteCount
  }

  /// Ends in good order: what the client has asked before is still on its way, or it is told that
  /// nothing more comes (RFC 8446 §6.1).
  private consuming func leave(_ reason: String, _ bench: inout Workbench) -> Connection {
    guard self.downstream.queuedByteCount == 0 else {
      return Closing(self.downstream, self.arrival.token).begin(&bench)
    }
    _ = self.downstream.end(&bench.scratch)
    return self.end(reason, &bench)
  }

  /// Nothing was asked, so nothing is recorded beyond a debugging line.
  private consuming func end(_ reason: String, _ bench: inout Workbench) -> Connection {
    bench.snapshot.log.debug(
      "connection ended before a request",
      metadata: ["client": "\(self.arrival.peerText)", "reason": "\(reason)"])
    return bench.close(self.downstream)
  }
}
