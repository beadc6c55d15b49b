import Testing

@testable import Net

@Suite("pipes")
struct PipeTests {
  @Test("a pool lends no more than it may, and an empty pipe again")
  func pool() throws {
    var pool = PipePool(countMax: 2)
    let first = try Self.take(from: &pool)
    let second = try Self.take(from: &pool)
    #expect(throws: NothingCame.self) { try Self.take(from: &pool).close() }
    let numbers = first.numbers()
    pool.give(Pipe(numbers))
    let again = try Self.take(from: &pool).numbers()
    #expect(again.readEnd == numbers.readEnd)
    #expect(again.writeEnd == numbers.writeEnd)
    pool.give(Pipe(again))
    pool.give(second)
    // What was given back still exists.
    let count = pool.count
    #expect(count == 2)
  }

  @Test("a pipe that is given back with octets in it is lost, and makes room for another")
  func giveFull() throws {
    var pool = PipePool(countMax: 1)
    let link = try Link()
    var pipe = try Self.take(from: &pool)
    try link.hear([1, 2, 3])
    let received = try link.fill(&pipe, upTo: 3)
    #expect(received == .octets(3, isLast: false))
    pool.give(pipe)
    let count = pool.count
    #expect(count == 0)
    let other = try Self.take(from: &pool)
    let isEmpty = other.isEmpty
    #expect(isEmpty)
    pool.give(other)
  }

  @Test("octets go from socket to socket, no more than were asked for")
  func fillAndDrain() throws {
    var pool = PipePool(countMax: 1)
    let source = try Link()
    let sink = try Link()
    var pipe = try Self.take(from: &pool)
    let nothing = try source.fill(&pipe, upTo: 10)
    #expect(nothing == .wouldBlock)
    try source.hear([1, 2, 3, 4, 5])
    for part: [UInt8] in [[1, 2, 3], [4, 5]] {
      let received = try source.fill(&pipe, upTo: 3)
      let count = pipe.count
      #expect(received == .octets(part.count, isLast: false))
      #expect(count == part.count)
      let sent = try sink.drain(&pipe)
      #expect(sent == .octets(part.count))
      #expect(try sink.far.receiveAll(upTo: part.count) == part)
    }
    pool.give(pipe)
  }

  @Test("the end of a stream is seen behind its last octets")
  func endOfStream() throws {
    var pool = PipePool(countMax: 1)
    let (source, sink) = try (Link(), Link())
    var pipe = try Self.take(from: &pool)
    try source.hear([7])
    source.far.shutdownWrite()
    let received = try source.fill(&pipe, upTo: Pipe.capacity)
    let sent = try sink.drain(&pipe)
    #expect(received == .octets(1, isLast: false))
    #expect(sent == .octets(1))
    try source.wait()
    let end = try source.fill(&pipe, upTo: Pipe.capacity)
    #expect(end == .endOfStream)
    pool.give(pipe)
  }

  @Test("a sink that takes nothing more leaves the rest in the pipe")
  func fullSink() throws {
    var pool = PipePool(countMax: 1)
    let (source, sink) = try (Link(), Link())
    var pipe = try Self.take(from: &pool)
    let piece = [UInt8](repeating: 1, count: 32 * 1024)
    // No socket holds as much as this without anybody who receives.
    for _ in 0..<4096 where pipe.isEmpty {
      try source.hear(piece)
      _ = try source.fill(&pipe, upTo: Pipe.capacity)
      _ = try sink.drain(&pipe)
    }
    let left = pipe.count
    let again = try sink.drain(&pipe)
    #expect(left > 0)
    #expect(again == .wouldBlock)
    pool.give(pipe)
  }

  private static func take(from pool: inout PipePool) throws -> Pipe {
    guard let pipe = pool.take() else { throw NothingCame() }
    return pipe
  }
}

/// A connection of which the one end's octets go through pipes.
private final class Link {
  private var near: Socket?
  let far: End

  init() throws {
    let listener = try ListeningSocket(binding: Loopback.anyPort)
    self.near = try Socket.connecting(to: listener.address)
    self.far = try Loopback.accept(from: listener)
  }

  deinit { self.near.take()?.close() }

  func fill(_ pipe: inout Pipe, upTo byteCountMax: Int) throws -> Received {
    guard let socket = self.near.take() else { throw NothingCame() }
    let received = pipe.fill(from: socket, upTo: byteCountMax)
    self.near = consume socket
    return received
  }

  func drain(_ pipe: inout Pipe) throws -> Sent {
    guard let socket = self.near.take() else { throw NothingCame() }
    let sent = pipe.drain(into: socket)
    self.near = consume socket
    return sent
  }

  /// The far end says something, and some of it has arrived then.
  func hear(_ octets: [UInt8]) throws {
    _ = self.far.send(octets)
    try self.wait()
  }

  /// Waits until there is something to be received.
  func wait() throws {
    var loop = try EventLoop()
    guard let socket = self.near.take() else { throw NothingCame() }
    var fault: Errno?
    do throws(Errno) { try loop.add(socket, as: Token(slot: 1, generation: 1)) } catch {
      fault = error
    }
    self.near = consume socket
    if let fault { throw fault }
    while loop.wait(timeout: .seconds(10)) > 0 {
      if loop[0].readiness.contains(.readable) { return }
    }
    throw NothingCame()
  }
}
