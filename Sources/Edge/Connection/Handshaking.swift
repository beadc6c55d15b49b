internal import Logging
internal import Net
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
        return ReadingHead(self.downstream, self.arrival, &bench).read(&bench)
      case .ended: return self.end("closed", &bench)
      case .failed(let fault): return self.end(fault.reason, &bench)
      }
    }
    return .handshaking(self)
  }

  consuming func deadlinePassed(_ bench: inout Workbench) -> Connection {
    self.end("timed out", &bench)
  }

  consuming func drain(_ bench: inout Workbench) -> Connection {
    self.end("shutdown", &bench)
  }

  private consuming func end(_ reason: String, _ bench: inout Workbench) -> Connection {
    let peer = self.arrival.peer
    bench.commons.log.debug(
      "TLS handshake failed", metadata: ["client": "\(peerText(peer))", "reason": "\(reason)"])
    self.downstream.close(&bench.scratch)
    return bench.closeConnection()
  }
}

/// A peer's address for records.
func peerText(_ peer: SocketAddress?) -> String {
  switch peer {
  case .ip(let address, _): address.description
  case .unix: "unix"
  case nil: "unknown"
  }
}

extension Readiness {
  /// The client has ended its side, or all of it: before there is a tunnel, it waits for nothing.
  var isGone: Bool { !self.isDisjoint(with: [.peerEnded, .failed]) }
}

extension Workbench {
  /// Counts a client's connection as ended; the last step of every phase.
  mutating func closeConnection() -> Connection {
    self.commons.occupancy.connectionEnded()
    return .closed
  }
}
