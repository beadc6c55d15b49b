import Net

@testable import Signaling

extension SplitMix {
  /// Once in so many times.
  mutating func once(in count: Int) -> Bool { Int.random(in: 0..<count, using: &self) == 0 }

  mutating func one<Elements: Collection>(of elements: Elements) -> Elements.Element? {
    elements.randomElement(using: &self)
  }
}

/// What is known of a peer.
struct PeerFacts: Equatable {
  var name: String?
  var role: String
  var meta: JSON?

  init(name: String?, role: String, meta: JSON?) {
    self.name = name
    self.role = role
    self.meta = meta
  }

  init(_ json: JSON) {
    self.init(name: json["name"]?.text, role: json["role"]?.text ?? "?", meta: json["meta"])
  }
}

/// What is known of a room itself.
struct RoomFacts: Equatable {
  var isLocked: Bool
  var peerCountMax: Int
  var meta: JSON?

  init(isLocked: Bool, peerCountMax: Int, meta: JSON?) {
    self.isLocked = isLocked
    self.peerCountMax = peerCountMax
    self.meta = meta
  }

  init?(_ json: JSON?) {
    guard let json, let count = json["max_peers"]?.integer else { return nil }
    self.init(isLocked: json["locked"] == true, peerCountMax: count, meta: json["meta"])
  }
}

/// What a page in a browser knows of a room: it does what the document tells clients to do, and
/// complains of whatever the document does not allow.
struct Page {
  let id: String
  let resume: String
  let isResumed: Bool
  /// Up to this number, what comes is replayed.
  let replayedTo: Int
  private(set) var roster: [String: PeerFacts] = [:]
  private(set) var own: PeerFacts
  private(set) var room: RoomFacts?
  private(set) var version: Int
  /// The number of the last message that was seen.
  private(set) var seen: Int
  /// What should not have happened; `nil` where all is well.
  private(set) var fault: String?

  /// - Parameter seen: the number that the client has told, if it took its place again.
  init(_ welcome: JSON, seen: Int, own: PeerFacts) {
    self.id = welcome["peer"]?.text ?? ""
    self.resume = welcome["resume"]?.text ?? ""
    self.isResumed = welcome["resumed"] == true
    self.replayedTo = welcome["seq"]?.integer ?? -1
    self.version = welcome["room"]?["version"]?.integer ?? -1
    self.room = RoomFacts(welcome["room"])
    self.own = own
    self.seen = self.isResumed ? seen : 0
    if welcome["role"]?.text != own.role { self.fault = "a role that is not its own" }
    for peer in welcome["peers"]?.list ?? [] { self.join(peer) }
  }

  /// A message comes. What it says, where it is one that is kept.
  mutating func apply(_ message: JSON) -> String? {
    let type = message["type"]?.text ?? "?"
    if let version = message["version"]?.integer {
      if version < self.version { self.fault = "version \(version) behind \(self.version)" }
      self.version = version
    }
    switch type {
    case "joined": self.join(message)
    case "left": self.leave(message)
    case "updated": self.update(message)
    case "presence":
      for peer in message["left"]?.list ?? [] { self.leave(peer) }
      for peer in message["joined"]?.list ?? [] { self.join(peer) }
      for peer in message["updated"]?.list ?? [] { self.update(peer) }
    case "room": self.room = RoomFacts(message)
    case "ice": break
    case "signal", "broadcast", "ack", "error": return self.takeKept(message, type)
    default: self.fault = "a \(type)"
    }
    return nil
  }

  private mutating func takeKept(_ message: JSON, _ type: String) -> String? {
    guard let sequence = message["seq"]?.integer else {
      if type != "error" || message["id"] != nil { self.fault = "a \(type) without a number" }
      return nil
    }
    if sequence != self.seen + 1 { self.fault = "number \(sequence) behind \(self.seen)" }
    self.seen = sequence
    let from = message["from"]?.text ?? ""
    switch type {
    case "ack": return "ack \(message["id"]?.integer ?? -1) \(message["delivered"] == true)"
    case "error":
      return "error \(message["id"]?.integer ?? -1) \(message["code"]?.text ?? "")"
    default:
      // What is replayed may be from somebody who has gone meanwhile.
      if sequence > self.replayedTo, self.roster[from] == nil {
        self.fault = "a stranger's \(type)"
      }
      let kind = message["kind"]?.text ?? ""
      let data = message["data"]?.integer ?? Int(message["data"]?.text ?? "") ?? -1
      return "\(type) \(from) \(kind) \(data)"
    }
  }

  private mutating func join(_ peer: JSON) {
    let id = peer["peer"]?.text ?? ""
    if self.roster[id] != nil || id == self.id { self.fault = "\(id) joins twice" }
    let isPolite = Array(self.id.utf8).lexicographicallyPrecedes(Array(id.utf8))
    if peer["polite"] != .flag(isPolite) { self.fault = "both, or none, are polite: \(id)" }
    self.roster[id] = PeerFacts(peer)
  }

  private mutating func leave(_ peer: JSON) {
    let id = peer["peer"]?.text ?? ""
    if self.roster.removeValue(forKey: id) == nil { self.fault = "\(id) leaves twice" }
    if PeerDeparture(rawValue: peer["reason"]?.text ?? "") == nil { self.fault = "no reason" }
  }

  private mutating func update(_ peer: JSON) {
    let id = peer["peer"]?.text ?? ""
    if id == self.id { return self.own = PeerFacts(peer) }
    if self.roster[id] == nil { self.fault = "\(id) is updated and not there" }
    self.roster[id] = PeerFacts(peer)
  }
}
