internal import Configuration
internal import Logging
internal import Net
internal import Telemetry
internal import Transport

/// A proxy in front is about to say for whom it speaks: the connection begins with a header of the PROXY
/// protocol, before everything else. Who may send one has to, so that nobody is taken for the proxy.
struct Introducing: ~Copyable {
  private var downstream: ByteStream
  private let arrival: Arrival

  init(_ downstream: consuming ByteStream, _ arrival: Arrival) {
    self.downstream = downstream
    self.arrival = arrival
  }

  consuming func handle(_ event: Event, _ bench: inout Workbench) -> Connection {
    self.downstream.note(event.readiness)
    return self.read(&bench)
  }

  /// Looks at what is there, and takes the header alone: what follows may be a TLS handshake.
  private consuming func read(_ bench: inout Workbench) -> Connection {
    guard self.downstream.isReadable else { return .introducing(Owned(self)) }
    bench.scratch.inbound.clear()
    let count = self.downstream.peekBeforeTLS(&bench.scratch, upTo: ProxyHeader.byteCountMax)
    guard count > 0 else { return self.wait(&bench) }
    do throws(ProxyHeaderFault) {
      switch try ProxyHeader.parse(bench.scratch.inbound.octets) {
      case .needMore: return self.wait(&bench)
      case .header(let header, let byteCount):
        guard self.downstream.dropBeforeTLS(byteCount, &bench.scratch) else {
          return self.end("reset", &bench)
        }
        return self.introduced(header, &bench)
      }
    } catch {
      return self.end("no PROXY header: \(error)", &bench)
    }
  }

  /// More has to come, unless this is the end.
  private consuming func wait(_ bench: inout Workbench) -> Connection {
    guard !self.downstream.isEndNear else { return self.end("closed", &bench) }
    return .introducing(Owned(self))
  }

  private consuming func introduced(
    _ header: ProxyHeader, _ bench: inout Workbench
  ) -> Connection {
    var arrival = self.arrival
    if let source = header.source {
      arrival.peer = source
      arrival.destination = header.destination
    }
    bench.scratch.clear()
    // What follows the header may be in the kernel already, and no event will tell of it again.
    let next = Event(token: arrival.token, readiness: .readable)
    switch bench.greet(self.downstream, arrival) {
    case .readingHead(let phase): return phase.take().handle(next, &bench)
    case .handshaking(let phase): return phase.take().handle(next, &bench)
    case let other: return other
    }
  }

  consuming func deadlinePassed(_ bench: inout Workbench) -> Connection {
    self.end("timed out", &bench)
  }

  consuming func drain(_ bench: inout Workbench) -> Connection {
    guard bench.departure.refusesRequests else { return .introducing(Owned(self)) }
    return self.end("shutdown", &bench)
  }

  consuming func cut(_ bench: inout Workbench) -> Connection { self.end("shutdown", &bench) }

  private consuming func end(_ reason: String, _ bench: inout Workbench) -> Connection {
    bench.meter.refusedProxyHeaders.raise()
    let peer = self.arrival.peerText
    bench.snapshot.log.info(
      "connection without a PROXY header",
      metadata: ["peer": "\(peer)", "reason": "\(reason)"])
    return bench.close(self.downstream)
  }
}

extension Arrival {
  /// Whether the connection has to begin with a PROXY header: its peer is one of those whose do.
  var isIntroduced: Bool {
    guard !self.listener.rules.proxyProtocol.isEmpty else { return false }
    // A unix socket's peer is on this machine, and allowed to by whoever lets it open the file.
    guard let address = self.peer?.ipAddress else { return true }
    return self.listener.rules.proxyProtocol.contains { $0.contains(address) }
  }
}
