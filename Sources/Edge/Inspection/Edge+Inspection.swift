internal import Configuration
internal import Net
internal import Synchronization
internal import Transport
internal import Tunnel
internal import Upstream
public import WebSocket

/// What an operator sees of an edge while it runs, and does to single tunnels.
extension Edge {
  /// A part of the tunnels.
  public struct Tunnels: Sendable {
    /// How many the filter lets pass.
    public let count: Int
    /// The first of them, in the order that was asked for.
    public let first: [TunnelListing]
  }

  /// Lists tunnels. Each worker looks through all of its own: some hundred nanoseconds for each.
  ///
  /// - Parameter limit: how many at most.
  public func tunnels(
    _ filter: TunnelFilter, by order: TunnelOrder, limit: Int
  ) async -> Tunnels {
    var (count, first) = (0, [TunnelListing]())
    for worker in self.workers {
      let part = await Reply<Tunnels>.asking {
        worker.mailbox.post(.list(filter, order, limit: limit, $0))
      }
      guard let part else { continue }
      count += part.count
      first += part.first
    }
    first.sort { order.places($0, before: $1) }
    return Tunnels(count: count, first: Array(first.prefix(limit)))
  }

  /// Closes one tunnel; whether it was there.
  public func closeTunnel(_ id: TunnelID, code: CloseCode, words: String) async -> Bool {
    guard self.workers.indices.contains(id.worker) else { return false }
    let token = Token(slot: id.slot, generation: id.generation)
    let wasThere = await Reply<Bool>.asking {
      self.workers[id.worker].mailbox.post(
        .closeOne(token, .operatorClose(code, words: words), $0))
    }
    return wasThere ?? false
  }

  /// Closes all tunnels that the filter lets pass, at once; how many there were.
  public func closeTunnels(_ filter: TunnelFilter, code: CloseCode, words: String) async -> Int {
    var count = 0
    for worker in self.workers {
      let part = await Reply<Int>.asking {
        worker.mailbox.post(.closeAll(filter, .operatorClose(code, words: words), $0))
      }
      count += part ?? 0
    }
    return count
  }
}

/// The workers' part of it.
extension Worker {
  mutating func list(
    _ filter: TunnelFilter, _ order: TunnelOrder, limit: Int
  ) -> Edge.Tunnels {
    var (count, first) = (0, [TunnelListing]())
    for slot in 0..<self.connections.slotCount where self.connections.isLive(slot) {
      guard self.connections[slot].passes(filter),
        let listing = self.connections[slot].listing(self.bench)
      else { continue }
      count += 1
      first.append(listing)
      // Twice as many as are asked for are kept, so that sorting is rare.
      if first.count >= 2 * max(limit, 64) { Self.cut(&first, order, limit) }
    }
    Self.cut(&first, order, limit)
    return Edge.Tunnels(count: count, first: first)
  }

  private static func cut(_ listings: inout [TunnelListing], _ order: TunnelOrder, _ limit: Int) {
    listings.sort { order.places($0, before: $1) }
    listings.removeLast(max(0, listings.count - limit))
  }

  mutating func closeOne(_ token: Token, _ cause: Cause) -> Bool {
    guard let slot = self.connections.liveSlot(for: token), self.connections[slot].isUpgraded
    else { return false }
    self.connections[slot].close(at: self.bench.now, because: cause, &self.bench)
    return true
  }

  mutating func closeAll(_ filter: TunnelFilter, _ cause: Cause) -> Int {
    var count = 0
    for slot in 0..<self.connections.slotCount where self.connections.isLive(slot) {
      guard self.connections[slot].passes(filter) else { continue }
      self.connections[slot].close(at: self.bench.now, because: cause, &self.bench)
      count += 1
    }
    return count
  }
}

extension Connection {
  /// Whether it is a tunnel that the filter lets pass.
  func passes(_ filter: TunnelFilter) -> Bool {
    switch self {
    case .tunneling(let phase): filter.passes(phase.value.exchange)
    case .attending(let phase): filter.passes(phase.value.exchange)
    default: false
    }
  }

  /// The tunnel for a list; `nil` where it is none.
  func listing(_ bench: borrowing Workbench) -> TunnelListing? {
    switch self {
    case .tunneling(let phase): phase.value.listing(bench)
    case .attending(let phase): phase.value.listing(bench)
    default: nil
    }
  }
}

extension TunnelFilter {
  fileprivate func passes(_ exchange: Exchange) -> Bool {
    if let route = self.route, exchange.route?.rules.name != route { return false }
    if let subject = self.subject, exchange.subject != subject { return false }
    if let address = self.address, exchange.clientText != address { return false }
    return true
  }
}

extension Tunneling {
  fileprivate func listing(_ bench: borrowing Workbench) -> TunnelListing {
    TunnelListing(
      id: TunnelID(worker: bench.index, self.exchange.arrival.token),
      route: self.exchange.route?.rules.name ?? "", subject: self.exchange.subject,
      client: self.exchange.clientText, upstream: self.endpoint.label,
      requestID: self.exchange.requestID, tls: self[.downstream].tlsVersion,
      age: bench.now.duration(since: self.exchange.arrival.acceptedAt),
      inboundByteCount: self.tunnel.octetCount(from: .downstream),
      outboundByteCount: self.tunnel.octetCount(from: .upstream),
      inboundMessageCount: self.tunnel.messageCount(from: .downstream),
      outboundMessageCount: self.tunnel.messageCount(from: .upstream))
  }
}
