internal import Logging
internal import Net
internal import TLS
internal import Telemetry
internal import Transport

/// The TLS handshake. Nothing is known of the client yet but its address.
struct Handshaking: ~Copyable {
  private var downstream: ByteStream
  private let arrival: Arrival

  init(_ downstream: consuming ByteStream, _ arrival: Arrival) {
    self.downstream = downstream
    self.arrival = arrival
  }

  consuming func handle(_ event: Event, _ bench: inout Workbench) -> Connection {
    self.downstream.note(event.readiness)
    if event.readiness.contains(.writable), self.downstream.flush(&bench.scratch) != nil {
      return self.end("reset", &bench)
    }
    while self.downstream.isReadable {
      bench.scratch.inbound.clear()
      switch self.downstream.handshake(&bench.scratch) {
      case .pending: continue
      case .done:
        self.note(bench)
        if self.downstream.applicationProtocol == .http2 {
          return Multiplexing.begin(self.downstream, self.arrival, &bench)
        }
        return ReadingHead(self.downstream, self.arrival, &bench).read(&bench)
      case .ended: return self.end("closed", &bench)
      case .failed(let fault): return self.end(fault.reason, &bench)
      }
    }
    return .handshaking(Owned(self))
  }

  consuming func deadlinePassed(_ bench: inout Workbench) -> Connection {
    self.end("timed out", &bench)
  }

  /// It may yet ask, and be told that the edge is draining.
  consuming func drain(_ bench: inout Workbench) -> Connection {
    guard bench.departure.refusesRequests else { return .handshaking(Owned(self)) }
    bench.arm(self.arrival.token, after: Limits.lastRequestTimeout)
    return .handshaking(Owned(self))
  }

  consuming func cut(_ bench: inout Workbench) -> Connection { self.end("shutdown", &bench) }

  private borrowing func note(_ bench: borrowing Workbench) {
    bench.meter.handshakes.raise(
      .init(version: self.downstream.tlsVersion, isResumed: self.downstream.isResumed))
    bench.meter.handshakeLatency.record(since: self.arrival.acceptedAt, at: .now())
  }

  private consuming func end(_ reason: String, _ bench: inout Workbench) -> Connection {
    bench.meter.handshakes.raise(.init(version: nil, isResumed: false))
    let client = self.arrival.peerText
    bench.snapshot.log.debug(
      "TLS handshake failed", metadata: ["client": "\(client)", "reason": "\(reason)"])
    return bench.close(self.downstream)
  }
}

extension Workbench {
  /// An event of a client that waits for its tunnel, or its answer. Its octets stay in the kernel, what is
  /// queued for it goes out; one that waits for nothing any more is told of with the reason.
  ///
  /// - Parameter isUpgrade: who has ended its side has no use for a tunnel, but for an answer it has.
  mutating func noteWaiting(
    _ downstream: inout ByteStream, _ event: Event, isUpgrade: Bool
  ) -> String? {
    downstream.note(event.readiness)
    if event.readiness.contains(.failed) { return "reset" }
    if isUpgrade, event.readiness.contains(.peerEnded) { return "closed" }
    return downstream.flush(&self.scratch)?.reason
  }

  /// Closes a client's connection; the last step of every phase.
  mutating func close(_ downstream: consuming ByteStream) -> Connection {
    let isStream = downstream.isCarried
    downstream.close(&self.scratch)
    return self.closedConnection(isStream: isStream)
  }

  /// Counts a client's connection, or stream, as ended.
  func closedConnection(isStream: Bool) -> Connection {
    if isStream {
      self.commons.occupancy.streamEnded()
    } else {
      self.commons.occupancy.connectionEnded()
    }
    return .closed
  }
}
