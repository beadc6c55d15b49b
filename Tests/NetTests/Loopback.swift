@testable import Net

/// What a test waits for did not happen within ten seconds.
struct NothingCame: Error {}

/// One end of a connection. Closes its socket when it goes, whatever became of the test.
final class End {
  private var socket: Socket?

  init(_ socket: consuming Socket) { self.socket = consume socket }

  deinit { self.close() }

  func close() { self.socket.take()?.close() }

  func receive(into buffer: inout Buffer) -> Received {
    self.socket?.receive(into: &buffer) ?? .endOfStream
  }

  func peek(into buffer: inout Buffer, upTo limit: Int) -> Int {
    self.socket?.peek(into: &buffer, upTo: limit) ?? 0
  }

  func send(_ octets: [UInt8]) -> Sent {
    var buffer = Buffer(capacity: max(octets.count, 1))
    buffer.append(octets.span)
    return self.socket?.send(buffer) ?? .octets(0)
  }

  func send(_ queue: inout ByteQueue, sparing pool: inout ChunkPool) -> Sent {
    guard let socket = self.socket.take() else { return .octets(0) }
    let sent = queue.send(to: socket, sparing: &pool)
    self.socket = consume socket
    return sent
  }

  func shutdownWrite() { self.socket?.shutdownWrite() }
  func resetOnClose() { self.socket?.resetOnClose() }
  func connectFault() -> Errno? { self.socket?.connectFault() }

  func register(with loop: borrowing EventLoop, as token: Token) throws {
    guard let socket = self.socket.take() else { return }
    var fault: Errno?
    do throws(Errno) { try loop.add(socket, as: token) } catch { fault = error }
    self.socket = consume socket
    if let fault { throw fault }
  }

  /// All that comes until the end of the stream, or until `count` octets are there.
  func receiveAll(upTo count: Int = .max) throws -> [UInt8] {
    var loop = try EventLoop()
    try self.register(with: loop, as: Token(slot: 1, generation: 1))
    var buffer = Buffer(capacity: 64 * 1024)
    var octets: [UInt8] = []
    while octets.count < count {
      switch self.receive(into: &buffer) {
      case .octets: octets += buffer.takeAll()
      case .endOfStream: return octets
      case .failed(let fault): throw fault
      case .wouldBlock: guard loop.wait(timeout: .seconds(10)) > 0 else { throw NothingCame() }
      }
    }
    return octets
  }
}

/// The two ends of a connection over the loopback interface.
struct Loopback {
  static let anyPort = SocketAddress.ip(.v4(0x7F00_0001), port: 0)

  let client: End
  let server: End

  init(_ address: SocketAddress = Self.anyPort) throws {
    let listener = try ListeningSocket(binding: address)
    self.client = End(try Socket.connecting(to: listener.address))
    self.server = try Self.accept(from: listener)
  }

  static func accept(from listener: ListeningSocket) throws -> End {
    var loop = try EventLoop()
    try loop.add(listener, as: Token(slot: 0, generation: 0))
    while loop.wait(timeout: .seconds(10)) > 0 {
      switch listener.accept() {
      case .connection(let socket, _): return End(socket)
      case .wouldBlock: continue
      case .aborted: continue
      case .exhausted(let fault): throw fault
      }
    }
    throw NothingCame()
  }
}

/// A path for a unix socket that no other test has.
func temporarySocketPath() -> String {
  "/tmp/sluice-net-tests-\(UInt64.random(in: .min ... .max)).sock"
}
