internal import Net
internal import Transport
internal import Upstream

/// One worker's connections to servers that carry ordinary requests: those that a request has at present,
/// and those that wait for the next one.
///
/// They are registered with the loop once, under a token of their own, and not under that of the client
/// whose request they carry: who that is, ``borrower(of:)`` says.
struct ServerPool: ~Copyable {
  /// What sets their tokens apart from those of clients' connections.
  static let registration = UInt8.max

  private var places = Slab<ServerPlace>(slotCountMax: 1 << 16)
  /// Places with idle connections by endpoint, the one that was used last at the end.
  private var idle: [ObjectIdentifier: [Int]] = [:]
  private var idleCount = 0
  /// Whether any waits for a request.
  var hasIdle: Bool { self.idleCount > 0 }
  /// When to look for those that have been idle for too long.
  private(set) var nextWake = Deadline.never

  /// A place for a connection to be made; `nil` where there are too many. Its token is for the loop.
  mutating func open(to endpoint: Endpoint, for borrower: Token) -> Token? {
    guard let token = self.places.nextToken() else { return nil }
    self.places.insert(ServerPlace(endpoint: endpoint, borrower: borrower), as: token)
    return token.registered(as: Self.registration)
  }

  /// The connection to an endpoint that was used last.
  mutating func take(to endpoint: Endpoint, for borrower: Token) -> IdleServer? {
    let key = ObjectIdentifier(endpoint)
    guard let slot = self.idle[key]?.popLast() else { return nil }
    self.idleCount -= 1
    self.places[slot].borrower = borrower
    guard let stream = self.places[slot].stream.take() else { return nil }
    return IdleServer(stream: stream, token: self.token(of: slot))
  }

  /// Keeps a connection that nobody needs for now. The one that has been idle for longest goes where
  /// there are too many.
  mutating func give(
    _ stream: consuming ByteStream, as token: Token, until deadline: Deadline, countMax: Int,
    _ scratch: inout Scratch
  ) -> Int {
    let slot = Int(token.slot)
    let key = ObjectIdentifier(self.places[slot].endpoint)
    self.places[slot].stream = consume stream
    self.places[slot].borrower = nil
    self.places[slot].idleUntil = deadline
    self.idle[key, default: []].append(slot)
    self.idleCount += 1
    if self.nextWake == .never { self.nextWake = deadline }
    self.nextWake = min(self.nextWake, deadline)
    guard let slots = self.idle[key], slots.count > countMax, let oldest = slots.first else {
      return 0
    }
    self.close(idle: oldest, &scratch)
    return 1
  }

  /// The place of a connection that was closed is free.
  mutating func closed(_ token: Token) { _ = self.places.remove(Int(token.slot)) }

  private func token(of slot: Int) -> Token {
    self.places.token(of: slot).registered(as: Self.registration)
  }
}

/// A connection that is used again.
struct IdleServer: ~Copyable {
  let stream: ByteStream
  let token: Token
}

/// The place of one connection to a server.
struct ServerPlace: ~Copyable {
  let endpoint: Endpoint
  /// Whose request it carries; `nil` while it is idle.
  var borrower: Token?
  /// The connection, while it is idle.
  var stream: ByteStream?
  var idleUntil = Deadline.never

  init(endpoint: Endpoint, borrower: Token) {
    self.endpoint = endpoint
    self.borrower = borrower
  }
}

// MARK: - Events

extension ServerPool {
  /// Whose request a connection carries; `nil` where it is idle or gone.
  func borrower(of token: Token) -> Token? {
    guard let slot = self.places.liveSlot(for: token) else { return nil }
    return self.places[slot].borrower
  }

  /// Something came on a connection that is idle: its end, or what nobody has asked for. How many were
  /// closed.
  mutating func noteIdle(_ event: Event, _ scratch: inout Scratch) -> Int {
    guard let slot = self.places.liveSlot(for: event.token), self.places[slot].borrower == nil,
      !event.readiness.isDisjoint(with: [.readable, .peerEnded, .failed])
    else { return 0 }
    self.close(idle: slot, &scratch)
    return 1
  }

  /// Closes those that have been idle for too long; how many.
  mutating func passDeadlines(_ now: Deadline, _ scratch: inout Scratch) -> Int {
    guard self.nextWake <= now else { return 0 }
    self.nextWake = .never
    var closedCount = 0
    for slot in self.idle.values.flatMap(\.self) {
      if self.places[slot].idleUntil <= now {
        self.close(idle: slot, &scratch)
        closedCount += 1
      } else {
        self.nextWake = min(self.nextWake, self.places[slot].idleUntil)
      }
    }
    return closedCount
  }

  /// Closes all that are idle, or those to one endpoint; how many.
  mutating func closeIdle(to endpoint: Endpoint? = nil, _ scratch: inout Scratch) -> Int {
    let slots =
      endpoint.map { self.idle[ObjectIdentifier($0)] ?? [] } ?? self.idle.values.flatMap(\.self)
    for slot in slots { self.close(idle: slot, &scratch) }
    return slots.count
  }

  private mutating func close(idle slot: Int, _ scratch: inout Scratch) {
    let key = ObjectIdentifier(self.places[slot].endpoint)
    self.idle[key]?.removeAll { $0 == slot }
    if self.idle[key]?.isEmpty == true { self.idle[key] = nil }
    self.idleCount -= 1
    if let stream = self.places[slot].stream.take() { stream.close(&scratch) }
    _ = self.places.remove(slot)
  }
}
