import Net

@testable import TLS

/// How octets reach the other party.
enum Delivery: Sendable, CaseIterable {
  case whole
  case oneByOne
  case thirds

  func pieces(of octets: [UInt8]) -> [ArraySlice<UInt8>] {
    let length =
      switch self {
      case .whole: max(octets.count, 1)
      case .oneByOne: 1
      case .thirds: octets.count / 3 + 1
      }
    return stride(from: 0, to: octets.count, by: length).map {
      octets[$0..<min($0 + length, octets.count)]
    }
  }
}

/// One end of a TLS connection and its buffers, without a socket.
struct Party: ~Copyable {
  let wire: RecordWire
  var tls: TLSConnection
  var incoming = Buffer(capacity: 512 * 1024)
  var outgoing = Buffer(capacity: 512 * 1024)
  var plaintext = Buffer(capacity: 512 * 1024)
  private(set) var isDone = false
  private(set) var hasEnded = false
  private(set) var fault: TLSFault?
  /// All that came in clear.
  private(set) var heard: [UInt8] = []

  init(accepting context: ServerContext) throws {
    let wire = try RecordWire()
    let tls = try TLSConnection(accepting: context, over: wire)
    self.init(wire, tls)
  }

  init(connecting context: ClientContext, host: String) throws {
    let wire = try RecordWire()
    let tls = try TLSConnection(connecting: context, host: host, over: wire)
    self.init(wire, tls)
  }

  private init(_ wire: consuming RecordWire, _ tls: consuming TLSConnection) {
    self.wire = wire
    self.tls = tls
  }

  /// Takes octets as a connection does: the handshake first, then what came behind it.
  mutating func receive(_ octets: ArraySlice<UInt8>) {
    self.incoming.append(octets.span)
    if !self.isDone {
      switch self.tls.handshake(&self.incoming, replies: &self.outgoing, over: self.wire) {
      case .needsOctets: return
      case .failed(let fault):
        self.fault = fault
        return
      case .done: self.isDone = true
      }
    }
    if !self.incoming.isEmpty { self.open() }
  }

  mutating func open() {
    let opened = self.tls.open(
      &self.incoming, into: &self.plaintext, replies: &self.outgoing, over: self.wire)
    self.heard += self.plaintext.takeAll()
    switch opened {
    case .open: break
    case .ended: self.hasEnded = true
    case .failed(let fault): self.fault = fault
    }
  }

  /// The records for `octets`, which must fit.
  mutating func seal(_ octets: [UInt8]) -> TLSFault? {
    var buffer = Buffer(capacity: max(octets.count, 1))
    buffer.append(octets.span)
    return self.tls.seal(&buffer, into: &self.outgoing, over: self.wire)
  }

  mutating func end() { self.tls.end(into: &self.outgoing, over: self.wire) }
}

/// Two parties and the line between them.
struct Talk: ~Copyable {
  var client: Party
  var server: Party
  let delivery: Delivery

  init(
    _ clientContext: ClientContext, _ serverContext: ServerContext, host: String = "one.test",
    delivery: Delivery = .whole
  ) throws {
    let client = try Party(connecting: clientContext, host: host)
    let server = try Party(accepting: serverContext)
    self.init(client, server, delivery)
  }

  private init(_ client: consuming Party, _ server: consuming Party, _ delivery: Delivery) {
    self.client = client
    self.server = server
    self.delivery = delivery
  }

  /// Shakes hands as far as it goes.
  mutating func begin() {
    self.client.receive([])
    self.exchange()
  }

  /// Carries what either side has to say, until both are silent.
  mutating func exchange() {
    while !self.client.outgoing.isEmpty || !self.server.outgoing.isEmpty {
      for piece in self.delivery.pieces(of: self.client.outgoing.takeAll()) {
        if self.server.fault == nil { self.server.receive(piece) }
      }
      for piece in self.delivery.pieces(of: self.server.outgoing.takeAll()) {
        if self.client.fault == nil { self.client.receive(piece) }
      }
    }
  }
}
