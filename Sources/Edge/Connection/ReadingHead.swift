internal import Admission
internal import Configuration
internal import HTTP
internal import Logging
internal import Net
internal import Transport

/// The request head is coming in, all at once as a rule. Its deadline has run since the acceptance.
struct ReadingHead: ~Copyable {
  private var downstream: ByteStream
  private let arrival: Arrival
  private var reader: RequestReader

  init(_ downstream: consuming ByteStream, _ arrival: Arrival, _ bench: inout Workbench) {
    self.downstream = downstream
    self.arrival = arrival
    self.reader = RequestReader(
      headByteCountMax: bench.snapshot.limits.headByteCountMax,
      targetByteCountMax: Limits.targetByteCountMax)
  }

  consuming func handle(_ event: Event, _ bench: inout Workbench) -> Connection {
    self.downstream.note(event.readiness)
    if event.readiness.contains(.writable), self.downstream.flush(&bench.scratch) != nil {
      return self.end("reset", &bench)
    }
    return self.read(&bench)
  }

  /// Takes what stands in the scratch, then what the socket has.
  consuming func read(_ bench: inout Workbench) -> Connection {
    while true {
      if !bench.scratch.inbound.isEmpty {
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
      guard self.downstream.isReadable else { return .readingHead(Owned(self)) }
      switch self.downstream.receive(&bench.scratch) {
      case .octets, .nothing: continue
      case .ended where bench.scratch.inbound.isEmpty: return self.end("closed", &bench)
      case .ended: continue
      case .failed(let fault): return self.end(fault.reason, &bench)
      }
    }
  }

  private consuming func received(_ head: RequestHead, _ bench: inout Workbench) -> Connection {
    let pipelined = bench.scratch.inbound.takeAll()
    let exchange = Exchange(self.arrival, head, &bench)
    return Reception(exchange, head).decide(self.downstream, pipelined, &bench)
  }

  consuming func deadlinePassed(_ bench: inout Workbench) -> Connection {
    if bench.departure.refusesRequests, !self.reader.hasReceivedOctets {
      return self.end("shutdown", &bench)
    }
    return self.refuse(.headTimedOut, &bench)
  }

  /// A client that has asked, or has begun to, is heard, and told that the edge is draining. One
  /// that has not is let go.
  consuming func drain(_ bench: inout Workbench) -> Connection {
    bench.arm(self.arrival.token, after: Limits.lastRequestTimeout)
    self.downstream.note(.readable)
    switch self.read(&bench) {
    case .readingHead(let phase):
      let head = phase.take()
      return head.reader.hasReceivedOctets
        ? .readingHead(Owned(head)) : head.end("shutdown", &bench)
    case let next: return next
    }
  }

  consuming func cut(_ bench: inout Workbench) -> Connection { self.end("shutdown", &bench) }

  private consuming func refuse(
    _ refusal: Refusal, _ bench: inout Workbench
  ) -> Connection {
    let exchange = Exchange(self.arrival, nil, &bench)
    return exchange.refuse(refusal, self.downstream, &bench)
  }

  /// Nothing was asked, so nothing is recorded beyond a debugging line.
  private consuming func end(_ reason: String, _ bench: inout Workbench) -> Connection {
    bench.snapshot.log.debug(
      "connection ended before a request",
      metadata: ["client": "\(peerText(self.arrival.peer))", "reason": "\(reason)"])
    self.downstream.close(&bench.scratch)
    return bench.closeConnection()
  }
}
