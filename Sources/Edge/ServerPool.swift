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
  /// The endpoints to which there are connections; a shelf without any is used again.
  private var shelves: [Shelf] = []
  private var shelfByEndpoint: [ObjectIdentifier: Int] = [:]
  private var idleCount = 0
  /// Whether any waits for a request.
  var hasIdle: Bool { self.idleCount > 0 }
  /// When to look for those that have been idle for too long.
  private(set) var nextWake = Deadline.never

  /// A place for a connection to be made; `nil` where there are too many. Its token is for the loop.
  mutating func open(to endpoint: Endpoint, for borrower: Token) -> Token? {
    guard let token = self.places.nextToken() else { return nil }
    let shelf = self.shelf(of: endpoint)
    self.shelves[shelf].placeCount += 1
    self.places.insert(ServerPlace(shelf: shelf, borrower: borrower), as: token)
    return token.registered(as: Self.registration)
  }

  /// The connection to an endpoint that was used last.
  mutating func take(to endpoint: Endpoint, for borrower: Token) -> IdleServer? {
    guard let shelf = self.shelfByEndpoint[ObjectIdentifier(endpoint)],
      let slot = self.shelves[shelf].idle.popLast()
    else { return nil }
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
    let shelf = self.places[slot].shelf
    var stream = stream
    // The turn was its borrower's: nobody would tell the next one of it.
    stream.waitsForTurn = false
    self.places[slot].stream = consume stream
    self.places[slot].borrower = nil
    self.places[slot].idleUntil = deadline
    self.shelves[shelf].idle.append(slot)
    self.idleCount += 1
    if self.nextWake == .never { self.nextWake = deadline }
    self.nextWake = min(self.nextWake, deadline)
    guard self.shelves[shelf].idle.count > countMax else { return 0 }
    self.close(idle: self.shelves[shelf].idle[0], &scratch)
    return 1
  }

  /// The place of a connection that was closed is free.
  mutating func closed(_ token: Token) { self.free(Int(token.slot)) }

  private mutating func shelf(of endpoint: Endpoint) -> Int {
    let key = ObjectIdentifier(endpoint)
    if let shelf = self.shelfByEndpoint[key] { return shelf }
    let new = Shelf(endpoint: endpoint)
    let unused = self.shelves.firstIndex { $0.placeCount == 0 }
    if let unused { self.shelves[unused] = new } else { self.shelves.append(new) }
    let shelf = unused ?? self.shelves.count - 1
    self.shelfByEndpoint[key] = shelf
    return shelf
  }

  private mutating func free(_ slot: Int) {
    let shelf = self.places.remove(slot).shelf
    self.shelves[shelf].placeCount -= 1
    guard self.shelves[shelf].placeCount == 0 else { return }
    self.shelfByEndpoint[ObjectIdentifier(self.shelves[shelf].endpoint)] = nil
  }

  private func token(of slot: Int) -> Token {
    self.places.token(of: slot).registered(as: Self.registration)
  }
}

/// A connection that is used again.
struct IdleServer: ~Copyable {
  let stream: ByteStream
  let token: Token
}

/// The connections to one endpoint.
private struct Shelf {
  let endpoint: Endpoint
  /// How many there are, used or idle.
  var placeCount = 0
  /// The places of those that are idle, the one that was used last at the end.
  var idle: [Int] = []
}

/// The place of one connection to a server.
struct ServerPlace: ~Copyable {
  /// Where the other connections to the endpoint are.
  let shelf: Int
  /// Whose request it carries; `nil` while it is idle.
  var borrower: Token?
  /// The connection, while it is idle.
  var stream: ByteStream?
  var idleUntil = Deadline.never

  init(shelf: Int, borrower: Token) {
    self.shelf = shelf
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
    for slot in self.shelves.flatMap(\.idle) {
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
      self.shelves.filter { endpoint == nil || $0.endpoint === endpoint }.flatMap(\.idle)
    for slot in slots { self.close(idle: slot, &scratch) }
    return slots.count
  }

  private mutating func close(idle slot: Int, _ scratch: inout Scratch) {
    self.shelves[self.places[slot].shelf].idle.removeAll { $0 == slot }
    self.idleCount -= 1
    if let stream = self.places[slot].stream.take() { stream.close(&scratch) }
    self.free(slot)
  }
}
