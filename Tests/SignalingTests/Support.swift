import Foundation
import Net
import Testing
import WebSocket

@testable import Signaling

/// A JSON text as Foundation reads it: somebody else than who wrote it.
enum JSON: Hashable, Sendable {
  case null
  case flag(Bool)
  case number(Double)
  case string(String)
  case list([JSON])
  case object([String: JSON])

  /// Fails the test where the octets are no JSON.
  init(parsing octets: [UInt8]) throws {
    let value = try JSONSerialization.jsonObject(with: Data(octets), options: .fragmentsAllowed)
    self.init(value)
  }

  private init(_ value: Any) {
    switch value {
    case let text as String: self = .string(text)
    case let list as [Any]: self = .list(list.map { JSON($0) })
    case let object as [String: Any]: self = .object(object.mapValues { JSON($0) })
    case let number as NSNumber:
      // A truth value is a number, too, but of another class.
      let isFlag = type(of: number) == type(of: NSNumber(value: true))
      self = isFlag ? .flag(number.boolValue) : .number(number.doubleValue)
    default: self = .null
    }
  }

  subscript(name: String) -> JSON? {
    guard case .object(let members) = self else { return nil }
    return members[name]
  }

  /// The names of an object's members, in order.
  var names: [String] {
    guard case .object(let members) = self else { return [] }
    return members.keys.sorted()
  }

  var text: String? {
    guard case .string(let text) = self else { return nil }
    return text
  }

  var integer: Int? {
    guard case .number(let number) = self else { return nil }
    return Int(exactly: number)
  }

  var list: [JSON] {
    guard case .list(let list) = self else { return [] }
    return list
  }
}

extension JSON: CustomTestStringConvertible {
  var testDescription: String {
    switch self {
    case .null: "null"
    case .flag(let flag): "\(flag)"
    case .number(let number): "\(number)"
    case .string(let text): "\"\(text)\""
    case .list(let list): "[\(list.map(\.testDescription).joined(separator: ","))]"
    case .object(let members):
      "{\(members.keys.sorted().map { "\($0):\(members[$0]?.testDescription ?? "")" }.joined(separator: ","))}"
    }
  }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByBooleanLiteral,
  ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  init(stringLiteral text: String) { self = .string(text) }
  init(integerLiteral number: Int) { self = .number(Double(number)) }
  init(booleanLiteral flag: Bool) { self = .flag(flag) }
  init(arrayLiteral elements: JSON...) { self = .list(elements) }
  init(dictionaryLiteral members: (String, JSON)...) {
    self = .object(Dictionary(members) { first, _ in first })
  }
}

extension [JSON] {
  /// The kinds of messages, in order.
  var types: [String] { self.map { $0["type"]?.text ?? "?" } }
  /// The messages of a kind.
  func of(_ type: String) -> [JSON] { self.filter { $0["type"]?.text == type } }
}

extension Deadline {
  /// So long after the start of a test's own clock.
  static func at(_ duration: Duration) -> Deadline {
    Deadline(nanoseconds: 1_000_000_000_000).advanced(by: duration)
  }
}

extension PeerSocket {
  /// A test's connections have numbers.
  init(_ number: Int) {
    self.init(worker: 0, token: Token(slot: UInt32(number), generation: 1))
  }

  var number: Int { Int(self.token.slot) }
}

extension Outgoing {
  /// The JSON text.
  var octets: [UInt8] {
    var octets: [UInt8] = []
    self.write(into: &octets)
    return octets
  }
}

extension Pass {
  /// Somebody who may do everything.
  static let moderator = Pass(rights: Rights.everybody.union(.moderate))

  /// The same pass with another id.
  func fixed(to peer: String) -> Pass {
    var pass = self
    pass.peer = PeerID(peer)
    return pass
  }
}

/// How a connection was ended.
struct End: Equatable {
  var code: Int
  var words: String
  /// The `error` before the close frame.
  var error: JSON?
}

/// The rooms of a route, a clock, and what went to each connection. A class, so that an expectation may
/// ask it.
final class Stage {
  private var rooms: Rooms
  private(set) var now = Deadline.at(.zero)
  private(set) var notices: [RoomNotice] = []
  private var inboxes: [Int: [JSON]] = [:]
  private(set) var ends: [Int: End] = [:]
  private var freshEnds: [Int: Int] = [:]
  /// Who each connection was admitted as.
  private(set) var admitted: [Int: String] = [:]
  private var chance = SplitMix(seed: 7)

  /// What a secret is in tests, if they do not say otherwise.
  static let secret = [UInt8](0..<32)
  static let unixStart: Int64 = 1_700_000_000
  static let limits = PeerLimits(
    messageByteCountMax: 65_536, messagesPerSecond: 20, heartbeat: .seconds(25))

  init(
    _ rules: RoomRules = RoomRules(), limits: PeerLimits = Stage.limits,
    secret: [UInt8] = Stage.secret, route: String = "rooms"
  ) {
    self.rooms = Rooms(route: route, rules, limits, secret: secret, now: .at(.zero))
  }

  var moment: Moment {
    let seconds = self.now.duration(since: .at(.zero)).components.seconds
    return Moment(now: self.now, unixSeconds: Self.unixStart + seconds)
  }

  // MARK: What peers do

  /// Somebody comes in; its `welcome`, or `nil` where it was refused.
  @discardableResult
  func enter(
    _ socket: Int, in room: String = "hall", as peer: String? = nil, _ pass: Pass = Pass(),
    name: String? = nil, meta: String = "", password: String? = nil, resume: String? = nil,
    seq: UInt64? = nil, mayOpenRoom: Bool = true, mayAddPeer: Bool = true
  ) -> JSON? {
    guard let roomName = RoomName(room) else { return nil }
    let greeting = Greeting(
      name: name, meta: Array(meta.utf8), password: password, resume: resume, sequence: seq)
    let newcomer = Newcomer(
      socket: PeerSocket(socket), greeting: greeting, pass: peer.map { pass.fixed(to: $0) } ?? pass,
      chance: self.chance.next(), mayOpenRoom: mayOpenRoom, mayAddPeer: mayAddPeer)
    self.inboxes[socket] = []
    self.ends[socket] = nil
    self.admitted[socket] = nil
    let isIn = self.rooms.join(newcomer, roomName, self.moment)
    self.drain()
    let first = self.inboxes[socket]?.first
    #expect(first?["type"] == (isIn ? "welcome" : nil))
    #expect(first?["peer"]?.text == self.admitted[socket])
    guard isIn else { return nil }
    if first != nil { self.inboxes[socket]?.removeFirst() }
    return first
  }

  /// Somebody says something.
  func say(_ socket: Int, _ text: String) {
    do throws(MessageFault) {
      let incoming = try Incoming.parse(Array(text.utf8).span)
      self.feed(.message(incoming), from: socket)
    } catch {
      self.feed(.fault(error), from: socket)
    }
  }

  /// Something happens to a peer.
  func feed(_ event: PeerEvent, from socket: Int) {
    self.rooms.handle(event, from: PeerSocket(socket), self.moment)
    self.drain()
  }

  func lose(_ sockets: Int...) {
    for socket in sockets { self.feed(.lost, from: socket) }
  }

  func leave(_ socket: Int) { self.feed(.left, from: socket) }

  // MARK: Time

  /// Time goes by, and what is due is done at its time. If nothing else is said it is so much that all
  /// have been told everything, and are told what is next at once.
  func pass(_ duration: Duration = .milliseconds(200)) {
    let end = self.now.advanced(by: duration)
    while let wake = self.rooms.nextWake, wake <= end {
      #expect(wake >= self.now)
      self.jump(to: max(wake, self.now))
      guard let next = self.rooms.nextWake, next <= wake else { continue }
      Issue.record("nothing was done at \(wake)")
      break
    }
    self.jump(to: end)
  }

  /// Time goes by, and nobody is awake before its end.
  func jump(to deadline: Deadline) {
    self.now = deadline
    self.rooms.passDeadlines(self.moment)
    self.drain()
  }

  var nextWake: Deadline? { self.rooms.nextWake }

  // MARK: What came of it

  /// What went to a connection since this was asked the last time.
  func heard(_ socket: Int) -> [JSON] {
    defer { self.inboxes[socket] = [] }
    return self.inboxes[socket] ?? []
  }

  /// What went to all connections, which of them were ended, and what was noted, since this was asked
  /// the last time.
  func takeAll() -> (heard: [Int: [JSON]], ends: [Int: Int], notices: [RoomNotice]) {
    defer { (self.inboxes, self.freshEnds, self.notices) = ([:], [:], []) }
    return (self.inboxes, self.freshEnds, self.notices)
  }

  /// All have heard everything.
  func forgetAll() {
    self.pass()
    self.inboxes = [:]
    self.notices = []
  }

  var counts: RoomCounts { self.rooms.counts }
  var roomCount: Int { self.rooms.roomCount }
  var peerCount: Int { self.rooms.peerCount }
  var listing: [RoomListing] { self.rooms.listing(now: self.now) }

  func peers(_ room: String = "hall") -> [PeerListing]? {
    RoomName(room).flatMap { self.rooms.peers(of: $0, now: self.now) }
  }

  /// The ids of a room's peers, in order.
  func ids(_ room: String = "hall") -> [String] {
    (self.peers(room) ?? []).map(\.peer.id.description).sorted()
  }

  private func drain() {
    var actions: [RoomAction] = []
    self.rooms.takeActions(&actions)
    for action in actions {
      switch action {
      case .admitted(let socket, let peer): self.admitted[socket.number] = peer.description
      case .send(let socket, let message): self.take(message, socket.number)
      case .close(let socket, let code, let words, let error):
        #expect(self.ends[socket.number] == nil, "\(socket.number) was closed twice")
        self.freshEnds[socket.number] = Int(code.rawValue)
        self.ends[socket.number] = End(
          code: Int(code.rawValue), words: words, error: error.flatMap { Self.json($0) })
      case .notice(let notice): self.notices.append(notice)
      }
    }
  }

  private func take(_ message: Outgoing, _ socket: Int) {
    #expect(self.ends[socket] == nil, "\(socket) was closed and is told something")
    guard let json = Self.json(message) else { return }
    self.inboxes[socket, default: []].append(json)
  }

  static func json(_ message: Outgoing) -> JSON? {
    let octets = message.octets
    #expect(octets.count == message.byteCount)
    // Foundation does not mind a member that stands twice, or a comma too many.
    let isStrict = (try? Members(octets.span)) != nil
    #expect(isStrict, "\(String(decoding: octets, as: UTF8.self))")
    let json = try? JSON(parsing: octets)
    #expect(json != nil, "no JSON: \(String(decoding: octets, as: UTF8.self))")
    if message.sequence > 0 { #expect(json?["seq"]?.integer == Int(message.sequence)) }
    return json
  }

  // MARK: Operators

  func adopt(_ rules: RoomRules, limits: PeerLimits = Stage.limits) {
    self.rooms.adopt(rules, limits)
  }

  func keepPlaces(for span: Duration) { self.rooms.keepPlaces(for: span, now: self.now) }

  func kick(_ peer: String, _ room: String = "hall", reason: String = "", ban: Duration? = nil)
    -> Bool
  {
    guard let peer = PeerID(peer), let name = RoomName(room) else { return false }
    defer { self.drain() }
    return self.rooms.kick(peer, from: name, reason: reason, ban: ban, self.moment)
  }

  func close(_ room: String = "hall", words: String = "closed") -> Int? {
    guard let name = RoomName(room) else { return nil }
    defer { self.drain() }
    return self.rooms.closeRoom(name, words: words, self.moment)
  }
}
