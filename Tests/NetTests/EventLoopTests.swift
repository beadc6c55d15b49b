import Testing

@testable import Net

@Suite("event loop")
struct EventLoopTests {
  private let token = Token(slot: 77, generation: 9, registration: 3)

  private static func events(_ loop: inout EventLoop, timeout: Duration) -> [Event] {
    let count = loop.wait(timeout: timeout)
    return (0..<count).map { loop[$0] }
  }

  @Test("a connection is writable at once, under its own token")
  func writable() throws {
    let pair = try Loopback()
    var loop = try EventLoop()
    try pair.client.register(with: loop, as: self.token)
    let events = Self.events(&loop, timeout: .seconds(10))
    #expect(events.count == 1)
    #expect(events.first?.token == self.token)
    #expect(events.first?.readiness == .writable)
  }

  @Test("readiness is reported once, until something changes")
  func edges() throws {
    let pair = try Loopback()
    var loop = try EventLoop()
    try pair.server.register(with: loop, as: self.token)
    _ = Self.events(&loop, timeout: .seconds(10))
    #expect(Self.events(&loop, timeout: .zero).isEmpty)

    _ = pair.client.send([1])
    let first = Self.events(&loop, timeout: .seconds(10))
    #expect(first.first?.readiness.contains(.readable) == true)
    #expect(first.first?.readiness.contains(.peerEnded) == false)
    // Not read, and yet not reported again.
    #expect(Self.events(&loop, timeout: .zero).isEmpty)

    _ = pair.client.send([2])
    #expect(Self.events(&loop, timeout: .seconds(10)).count == 1)
  }

  @Test("the peer's end is reported beside what can still be read")
  func peerEnded() throws {
    let pair = try Loopback()
    _ = pair.client.send([1])
    pair.client.shutdownWrite()
    var loop = try EventLoop()
    try pair.server.register(with: loop, as: self.token)
    var readiness = Readiness()
    while !readiness.contains(.peerEnded) {
      let events = Self.events(&loop, timeout: .seconds(10))
      try #require(!events.isEmpty)
      for event in events { readiness.formUnion(event.readiness) }
    }
    #expect(readiness.contains(.readable))
    #expect(readiness.contains(.writable))
    #expect(readiness.isDisjoint(with: .failed))
  }

  @Test("a reset is reported as a failure")
  func failed() throws {
    let pair = try Loopback()
    var loop = try EventLoop()
    try pair.client.register(with: loop, as: self.token)
    _ = Self.events(&loop, timeout: .seconds(10))
    pair.server.resetOnClose()
    pair.server.close()
    let events = Self.events(&loop, timeout: .seconds(10))
    #expect(events.first?.readiness.isDisjoint(with: .failed) == false)
  }

  @Test("a listener is reported for as long as somebody waits, and not once removed")
  func listener() throws {
    let listener = try ListeningSocket(binding: Loopback.anyPort)
    var loop = try EventLoop()
    try loop.add(listener, as: self.token)
    #expect(Self.events(&loop, timeout: .zero).isEmpty)
    let client = End(try Socket.connecting(to: listener.address))
    #expect(Self.events(&loop, timeout: .seconds(10)).first?.token == self.token)
    #expect(Self.events(&loop, timeout: .seconds(10)).first?.token == self.token)
    loop.remove(listener)
    #expect(Self.events(&loop, timeout: .zero).isEmpty)
    loop.remove(listener)
    client.close()
  }

  @Test("a closed socket is never reported")
  func closed() throws {
    let pair = try Loopback()
    var loop = try EventLoop()
    try pair.client.register(with: loop, as: self.token)
    pair.client.close()
    #expect(Self.events(&loop, timeout: .zero).isEmpty)
  }

  @Test("registering twice is an error of ours")
  func twice() throws {
    let pair = try Loopback()
    let loop = try EventLoop()
    try pair.client.register(with: loop, as: self.token)
    var fault: Errno?
    do { try pair.client.register(with: loop, as: self.token) } catch { fault = error as? Errno }
    #expect(fault == Errno(rawValue: 17))
  }
}
