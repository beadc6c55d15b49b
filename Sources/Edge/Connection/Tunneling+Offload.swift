internal import Compression
internal import Net
internal import Transport
internal import Tunnel

/// Compression for the client that the server knows nothing of.
struct Offload: ~Copyable {
  private var inflation: ClientInflation
  private var deflation: ServerDeflation
  /// Octets that were judged and wait for room, and whether some wait, perhaps inside of zlib.
  fileprivate var waiting = Pair<[UInt8]>(both: [])
  fileprivate(set) var isPending = Pair(both: false)

  init(_ agreement: DeflateAgreement, _ rules: TunnelRules) {
    self.inflation = ClientInflation(
      agreement, messageByteCountMax: Self.messageByteCountMax(rules))
    self.deflation = ServerDeflation(agreement)
  }

  private static func messageByteCountMax(_ rules: TunnelRules) -> UInt64 {
    rules.messageByteCountMax ?? TunnelRules.offloadMessageByteCountMax
  }

  /// The route's rules have changed.
  mutating func adopt(_ rules: TunnelRules) {
    self.inflation.messageByteCountMax = Self.messageByteCountMax(rules)
  }

  fileprivate mutating func transform(
    from side: Side, _ scratch: inout Scratch
  ) throws(CompressionFault) -> Progress {
    switch side {
    case .downstream: try self.inflation.transform(&scratch.inbound, into: &scratch.outbound)
    case .upstream: try self.deflation.transform(&scratch.inbound, into: &scratch.outbound)
    }
  }
}

extension Tunneling {
  /// Whether octets of this side wait to be inflated or deflated.
  func isReframing(from side: Side) -> Bool {
    switch self.offload {
    case .some(let offload): offload.value.isPending[side]
    case .none: false
    }
  }

  /// Goes on with what waited for room; `false` where nothing did.
  mutating func goOnReframing(from side: Side, _ bench: inout Workbench) -> Bool {
    guard self.isReframing(from: side) else { return false }
    bench.scratch.inbound.clear()
    if let waiting = self.offload?.value.waiting[side] {
      bench.scratch.inbound.append(waiting.span)
    }
    self.offload?.value.waiting[side] = []
    self.offload?.value.isPending[side] = false
    self.reframe(from: side, &bench)
    return true
  }

  /// Inflates or deflates what stands in the scratch and sends it, as far as the other side has room.
  mutating func reframe(from side: Side, _ bench: inout Workbench) {
    while true {
      let progress: Progress?
      do throws(CompressionFault) {
        progress = try self.offload?.value.transform(from: side, &bench.scratch)
      } catch {
        // Whole frames were made before the fault: they are good.
        _ = self[side.other].sendOutbound(&bench.scratch)
        return self.failed(error, from: side, &bench)
      }
      if let fault = self[side.other].sendOutbound(&bench.scratch) {
        bench.scratch.inbound.clear()
        return self.failed(side.other, fault, &bench)
      }
      self.queued(towards: side.other, &bench)
      guard progress == .needsRoom else { return }
      guard self.tunnel.mayRead(side) else {
        self.offload?.value.waiting[side] = bench.scratch.inbound.takeAll()
        self.offload?.value.isPending[side] = true
        self.isHeldReady[side] = true
        return
      }
    }
  }

  private mutating func failed(
    _ fault: CompressionFault, from side: Side, _ bench: inout Workbench
  ) {
    bench.scratch.inbound.clear()
    switch fault {
    case .messageTooBig: self.tunnel.close(.messageTooBig(side), now: bench.now)
    case .corrupt: self.tunnel.close(.badCompression, now: bench.now)
    case .outOfMemory: self.tunnel.close(.shed(side), now: bench.now)
    }
  }
}
