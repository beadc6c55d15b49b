import Glibc
import Testing

@testable import Net

@Suite("sockets")
struct SocketTests {
  @Test("octets arrive, then the end of the stream")
  func transfer() throws {
    let pair = try Loopback()
    let sent = pair.client.send([1, 2, 3])
    pair.client.shutdownWrite()
    #expect(sent == .octets(3))
    #expect(try pair.server.receiveAll() == [1, 2, 3])
  }

  @Test("a receive that fills the buffer is not the last one")
  func fullReceive() throws {
    let pair = try Loopback()
    _ = pair.client.send([1, 2, 3, 4])
    var buffer = Buffer(capacity: 3)
    var loop = try EventLoop()
    try pair.server.register(with: loop, as: Token(slot: 1, generation: 1))
    _ = loop.wait(timeout: .seconds(10))
    let first = pair.server.receive(into: &buffer)
    buffer.clear()
    let second = pair.server.receive(into: &buffer)
    buffer.clear()
    let third = pair.server.receive(into: &buffer)
    #expect(first == .octets(3, isLast: false))
    #expect(second == .octets(1, isLast: true))
    #expect(third == .wouldBlock)
  }

  @Test("a peek leaves what it shows")
  func peek() throws {
    let pair = try Loopback()
    var buffer = Buffer(capacity: 8)
    let before = pair.server.peek(into: &buffer, upTo: 2)
    _ = pair.client.send([1, 2, 3])
    var loop = try EventLoop()
    try pair.server.register(with: loop, as: Token(slot: 1, generation: 1))
    _ = loop.wait(timeout: .seconds(10))
    let shown = pair.server.peek(into: &buffer, upTo: 2)
    let received = pair.server.receive(into: &buffer)
    #expect((before, shown) == (0, 2))
    #expect(received == .octets(3, isLast: true))
    #expect(buffer.takeAll() == [1, 2, 1, 2, 3])
    pair.client.shutdownWrite()
    #expect(try pair.server.receiveAll() == [])
    #expect(pair.server.peek(into: &buffer, upTo: 2) == 0)
  }

  @Test("a peer that does not read makes a send block, not the thread")
  func blockedSend() throws {
    let pair = try Loopback()
    let piece = [UInt8](repeating: 7, count: 1 << 20)
    var total = 0
    while case .octets(let count) = pair.client.send(piece) {
      total += count
      try #require(total < 1 << 28)
    }
    #expect(pair.client.send(piece) == .wouldBlock)
    pair.client.shutdownWrite()
    #expect(try pair.server.receiveAll().count == total)
  }

  @Test("an abort is seen as a reset")
  func reset() throws {
    let pair = try Loopback()
    pair.server.resetOnClose()
    pair.server.close()
    #expect(throws: Errno.self) { try pair.client.receiveAll() }
    let sent = pair.client.send([1])
    guard case .failed(let fault) = sent else {
      Issue.record("sent to a peer that is gone: \(sent)")
      return
    }
    #expect(fault.isReset)
  }

  @Test("a connect that nobody takes fails with the kernel's reason")
  func refused() throws {
    let port: SocketAddress
    do {
      let listener = try ListeningSocket(binding: Loopback.anyPort)
      port = listener.address
    }
    let client = End(try Socket.connecting(to: port))
    var loop = try EventLoop()
    try client.register(with: loop, as: Token(slot: 1, generation: 1))
    let count = loop.wait(timeout: .seconds(10))
    #expect(count == 1)
    #expect(client.connectFault() == .connectionRefused)
  }

  @Test("a unix socket that does not exist is known at once")
  func missingPath() {
    #expect(throws: Errno(rawValue: 2)) {
      try Socket.connecting(to: .unix(path: temporarySocketPath())).close()
    }
  }

  @Test("an errno says what it is in words")
  func errno() {
    #expect(Errno.connectionRefused.description == "Connection refused")
    #expect(Errno(rawValue: 104).isReset)
    #expect(Errno(rawValue: 32).isReset)
    #expect(!Errno.timedOut.isReset)
    #expect(Errno(rawValue: 24).isExhaustion)
    #expect(!Errno.connectionRefused.isExhaustion)
    #expect(Errno(rawValue: 4095).description.contains("4095"))
  }
}

@Suite("listening sockets")
struct ListeningSocketTests {
  @Test(
    "port 0 becomes a real one, IPv4 and IPv6", arguments: ["127.0.0.1:0", "[::1]:0", "[::]:0"])
  func portZero(text: String) throws {
    let address = try #require(SocketAddress(parsing: text))
    let listener = try ListeningSocket(binding: address)
    guard case .ip(let ip, let port) = listener.address else {
      Issue.record("not an IP address: \(listener.address)")
      return
    }
    #expect(ip == address.ipAddress)
    #expect(port > 0)
  }

  @Test("the peer's address comes with the connection, an IPv4 one as such on a dual listener")
  func peerAddress() throws {
    let listener = try ListeningSocket(binding: .ip(.v6(high: 0, low: 0), port: 0))
    guard case .ip(_, let port) = listener.address else { return }
    let client = End(try Socket.connecting(to: .ip(.v4(0x7F00_0001), port: port)))
    var loop = try EventLoop()
    try loop.add(listener, as: Token(slot: 0, generation: 0))
    _ = loop.wait(timeout: .seconds(10))
    guard case .connection(let socket, let peer) = listener.accept() else { throw NothingCame() }
    socket.close()
    client.close()
    #expect(peer?.ipAddress == .v4(0x7F00_0001))
  }

  @Test("nobody waits")
  func empty() throws {
    let listener = try ListeningSocket(binding: Loopback.anyPort)
    guard case .wouldBlock = listener.accept() else {
      Issue.record("somebody was accepted")
      return
    }
  }

  @Test("several listeners share an address, and each connection comes to one of them")
  func sharing() throws {
    let first = try ListeningSocket(binding: Loopback.anyPort)
    let second = try ListeningSocket(binding: first.address)
    #expect(second.address == first.address)
    var clients: [End] = []
    for _ in 0..<16 { clients.append(End(try Socket.connecting(to: first.address))) }
    var loop = try EventLoop()
    try loop.add(first, as: Token(slot: 0, generation: 0))
    try loop.add(second, as: Token(slot: 1, generation: 0))
    var accepted: [End] = []
    while accepted.count < clients.count {
      guard loop.wait(timeout: .seconds(10)) > 0 else { throw NothingCame() }
      for listener in [first, second] {
        if case .connection(let socket, _) = listener.accept() { accepted.append(End(socket)) }
      }
    }
    #expect(accepted.count == 16)
  }

  @Test("an address that somebody else listens on without sharing is in use")
  func inUse() throws {
    // A unix socket is never shared by binding it again.
    let path = temporarySocketPath()
    let listener = try ListeningSocket(binding: .unix(path: path))
    #expect(throws: Errno(rawValue: 98)) { _ = try ListeningSocket(binding: .unix(path: path)) }
    let client = End(try Socket.connecting(to: listener.address))
    client.close()
  }

  @Test("an address that is not this machine's cannot be bound")
  func foreign() {
    #expect(throws: Errno(rawValue: 99)) {
      _ = try ListeningSocket(binding: .ip(.v4(0xC000_0201), port: 0))
    }
  }

  @Test("a unix socket carries octets, and its file goes with it")
  func unixSocket() throws {
    let path = temporarySocketPath()
    do {
      let listener = try ListeningSocket(binding: .unix(path: path))
      let client = End(try Socket.connecting(to: .unix(path: path)))
      let server = try Loopback.accept(from: listener)
      _ = client.send([1, 2])
      client.close()
      #expect(try server.receiveAll() == [1, 2])
    }
    // ENOENT
    #expect(throws: Errno(rawValue: 2)) {
      try Socket.connecting(to: .unix(path: path)).close()
    }
  }

  @Test("a socket file that a killed process left is replaced")
  func staleFile() throws {
    let path = temporarySocketPath()
    let left = path + ".left"
    do {
      // Another name of the file outlives the listener, as the file does a process that is killed.
      let listener = try ListeningSocket(binding: .unix(path: path))
      let code = unsafe link(path, left)
      #expect(code == 0)
      withExtendedLifetime(listener) {}
    }
    let next = try ListeningSocket(binding: .unix(path: left))
    let client = End(try Socket.connecting(to: .unix(path: left)))
    let server = try Loopback.accept(from: next)
    _ = client.send([9])
    client.close()
    #expect(try server.receiveAll() == [9])
  }

  @Test("a file that is no socket is left alone")
  func otherFile() throws {
    #expect(throws: Errno(rawValue: 98)) {
      _ = try ListeningSocket(binding: .unix(path: "/etc/hostname"))
    }
  }

  @Test("the workers of a unix listener share one socket; the file goes with the first")
  func sharedUnixSocket() throws {
    let path = temporarySocketPath()
    let first = try ListeningSocket(binding: .unix(path: path))
    let second = try ListeningSocket(sharing: first)
    #expect(second.address == first.address)
    let client = End(try Socket.connecting(to: .unix(path: path)))
    let server = try Loopback.accept(from: second)
    _ = server.send([5])
    server.close()
    #expect(try client.receiveAll() == [5])
    guard case .wouldBlock = first.accept() else {
      Issue.record("accepted twice")
      return
    }
  }
}
