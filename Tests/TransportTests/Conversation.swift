import Foundation
import Net
import TLS
import Testing

@testable import Transport

/// What a test waits for did not happen within ten seconds.
struct NothingCame: Error {}

/// A stream with a loop and a scratch of its own, as a worker has. Closes when it goes.
final class Conversation {
  private var stream: ByteStream?
  private var scratch: Scratch
  private var loop: EventLoop
  private var heard: [UInt8] = []
  private(set) var hasEnded = false
  private(set) var lastFault: StreamFault?

  init(_ socket: consuming Socket, tls: consuming TLSConnection?, _ scratch: consuming Scratch) {
    let stream = ByteStream(socket, tls: tls)
    // A test without an event loop has nothing to say.
    guard let loop = try? EventLoop() else { preconditionFailure("no event loop") }
    try? stream.register(with: loop, as: Token(slot: 1, generation: 1))
    self.stream = consume stream
    self.scratch = scratch
    self.loop = loop
  }

  deinit { self.close() }

  func close() { self.stream.take()?.close(&self.scratch) }

  func abort() {
    self.stream?.resetOnClose()
    self.close()
  }

  var queuedByteCount: Int { self.stream?.queuedByteCount ?? 0 }
  var isReadable: Bool { self.stream?.isReadable ?? false }
  var tlsVersion: String? { self.stream?.tlsVersion }
  var spareMemoryIsBounded: Bool { self.scratch.pool.spareCount <= ChunkPool.spareCountMax }
  var scratchIsEmpty: Bool { self.scratch.outbound.isEmpty && self.scratch.sealed.isEmpty }

  func send(_ octets: [UInt8]) -> StreamFault? { self.stream?.send(octets, &self.scratch) }
  func end() -> StreamFault? { self.stream?.end(&self.scratch) }
  func discardQueue() { self.stream?.discardQueue(&self.scratch) }

  /// Takes what the loop has to say, and sends what waits.
  @discardableResult
  func turn(timeout: Duration) -> Readiness {
    let count = self.loop.wait(timeout: timeout)
    var readiness = Readiness()
    for index in 0..<count { readiness.formUnion(self.loop[index].readiness) }
    self.stream?.note(readiness)
    if readiness.contains(.writable), let fault = self.stream?.flush(&self.scratch) {
      self.lastFault = fault
    }
    return readiness
  }

  func waitUntil(_ condition: (Readiness) -> Bool) throws {
    var seen = Readiness()
    while !condition(seen) {
      let readiness = self.turn(timeout: .seconds(10))
      guard !readiness.isEmpty else { throw NothingCame() }
      seen.formUnion(readiness)
    }
  }

  func waitUntilReadable() throws { try self.waitUntil { $0.contains(.readable) } }

  func receiveOnce() -> ByteStream.OnReceive {
    self.scratch.inbound.clear()
    let outcome = self.stream?.receive(&self.scratch) ?? .ended
    self.heard += self.scratch.inbound.takeAll()
    return outcome
  }

  func takeHeard() -> [UInt8] {
    defer { self.heard = [] }
    return self.heard
  }

  /// The next `count` octets, or all until the end where that comes first.
  func hear(_ count: Int, while other: Conversation? = nil) throws -> [UInt8] {
    while self.heard.count < count, !self.hasEnded {
      other?.turn(timeout: .zero)
      guard self.isReadable else {
        if self.turn(timeout: other == nil ? .seconds(10) : .milliseconds(10)).isEmpty,
          other?.queuedByteCount ?? 0 == 0, self.turn(timeout: .seconds(10)).isEmpty
        {
          throw NothingCame()
        }
        continue
      }
      switch self.receiveOnce() {
      case .octets, .nothing: continue
      case .ended: self.hasEnded = true
      case .failed(let fault):
        self.lastFault = fault
        throw fault
      }
    }
    return self.takeHeard()
  }

  func hearAll(while other: Conversation? = nil) throws -> [UInt8] {
    try self.hear(.max, while: other)
  }

  /// Takes the handshake on until it is done, in turns with `other`.
  func shakeHands(with other: Conversation?) throws {
    var isDone = false
    var isOtherDone = other == nil
    var turns = 0
    while !isDone || !isOtherDone {
      if !isDone { isDone = try self.step() }
      if !isOtherDone { isOtherDone = try other?.step() ?? true }
      turns += 1
      guard turns < 1000 else { throw NothingCame() }
      self.turn(timeout: .milliseconds(10))
      other?.turn(timeout: .milliseconds(10))
    }
  }

  private func step() throws -> Bool {
    self.scratch.inbound.clear()
    switch self.stream?.handshake(&self.scratch) ?? .ended {
    case .pending: return false
    case .done:
      self.heard += self.scratch.inbound.takeAll()
      return true
    case .ended: throw NothingCame()
    case .failed(let fault): throw fault
    }
  }

  /// One step of the handshake, and `octets` behind it where it is done with that.
  func finish(with other: Conversation, sending octets: [UInt8]) throws {
    var isDone = false
    var turns = 0
    while !isDone {
      isDone = try self.step()
      if isDone, !octets.isEmpty, let fault = self.send(octets) { throw fault }
      guard !isDone else { break }
      other.turn(timeout: .milliseconds(10))
      _ = try other.step()
      self.turn(timeout: .milliseconds(10))
      turns += 1
      guard turns < 1000 else { throw NothingCame() }
    }
    try other.shakeHands(with: nil)
  }
}

/// Two conversations over the loopback interface.
struct Line {
  let client: Conversation
  let server: Conversation

  init(_ cover: Cover, sending early: [UInt8] = []) throws {
    let one = try Scratch()
    let two = try Scratch()
    let connecting: TLSConnection? =
      cover == .plain
      ? nil
      : try TLSConnection(connecting: Certificate.client, host: "one.test", over: one.wire)
    let accepting: TLSConnection? =
      cover == .plain ? nil : try TLSConnection(accepting: Certificate.server, over: two.wire)
    let sockets = try Self.sockets()
    self.client = Conversation(sockets.client, tls: connecting, one)
    self.server = Conversation(sockets.server, tls: accepting, two)
    guard cover == .tls else { return }
    if early.isEmpty {
      try self.client.shakeHands(with: self.server)
    } else {
      try self.client.finish(with: self.server, sending: early)
    }
  }

  struct Sockets: ~Copyable {
    let client: Socket
    let server: Socket
  }

  static func sockets() throws -> Sockets {
    let listener = try ListeningSocket(binding: .ip(.v4(0x7F00_0001), port: 0))
    var loop = try EventLoop()
    try loop.add(listener, as: Token(slot: 0, generation: 0))
    let client = try Socket.connecting(to: listener.address)
    while loop.wait(timeout: .seconds(10)) > 0 {
      guard case .connection(let server, _) = listener.accept() else { continue }
      return Sockets(client: client, server: server)
    }
    client.close()
    throw NothingCame()
  }
}

/// A certificate that signs itself, made once for a run of the tests.
enum Certificate {
  private static let folder: String = {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("sluice-transport-tests-\(UUID().uuidString)").path
    try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [
      "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
      "-subj", "/CN=one.test", "-addext", "subjectAltName=DNS:one.test", "-days", "2", "-keyout",
      "\(folder)/one.key", "-out", "\(folder)/one.pem",
    ]
    process.standardError = FileHandle.nullDevice
    do {
      try process.run()
      process.waitUntilExit()
    } catch {
      Issue.record("openssl, which makes the certificate of these tests, does not run: \(error)")
    }
    return folder
  }()

  static var server: ServerContext {
    get throws {
      try ServerContext(
        certificates: [
          CertificateFiles(certificate: "\(self.folder)/one.pem", key: "\(self.folder)/one.key")
        ], minimumVersion: .tls12, clientCA: nil)
    }
  }

  static var client: ClientContext {
    get throws { try ClientContext(ca: "\(self.folder)/one.pem", serverName: nil) }
  }
}
