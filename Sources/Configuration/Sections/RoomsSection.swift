import Signaling

/// `routes[].rooms`
struct RoomsSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable {
    case create, list, password, limits, stun, turn, webhooks, demo
    case maxPeers = "max_peers"
    case resumeWindow = "resume_window"
    case emptyRoomTTL = "empty_room_ttl"
  }

  let rules: RoomRules
  let webhook: WebhookRules?

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    var rules = RoomRules()
    if let count = section[.maxPeers]?.roomPeerCount() { rules.peerCountMax = count }
    if let window = section[.resumeWindow]?.duration(in: .zero ... .seconds(3600)) {
      rules.resumeWindow = window
    }
    if let creation = section[.create]?.choice(RoomRules.Creation.self) {
      rules.creation = creation
    }
    rules.listed = Self.listed(section, rules.creation)
    if let ttl = section[.emptyRoomTTL]?.duration(in: .zero ... .seconds(86_400)) {
      rules.emptyRoomTTL = ttl
    }
    rules.password = section[.password]?.secret()
    if let limits = section[.limits]?.part(RoomLimitsSection.self)?.limits { rules.limits = limits }
    rules.stunURLs = section[.stun]?.iceURLs(.stun) ?? []
    rules.turn = section[.turn]?.part(TURNSection.self)?.rules
    if let demo = section[.demo]?.flag() { rules.demo = demo }
    self.rules = rules
    self.webhook = section[.webhooks]?.part(WebhookSection.self)?.rules
  }

  private static func listed(
    _ section: Section<Keys>, _ creation: RoomRules.Creation
  ) -> [RoomRules.Listed] {
    guard let list = section[.list] else {
      if creation == .listed { _ = section.required(.list, "with create: listed these are all") }
      return []
    }
    var places: [RoomName: Place] = [:]
    return (list.list() ?? []).compactMap { entry in
      let room =
        entry.writtenScalar == nil
        ? entry.part(ListedRoomSection.self)?.room
        : entry.roomName().map { RoomRules.Listed(name: $0) }
      guard let room else { return nil }
      if let earlier = places.updateValue(entry.place, forKey: room.name) {
        entry.refuse("duplicate: \"\(room.name)\" is also \(earlier)")
      }
      return room
    }
  }
}

/// `routes[].rooms.list[]`, where it is more than a name.
struct ListedRoomSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable {
    case name, password
    case maxPeers = "max_peers"
  }

  let room: RoomRules.Listed

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    let name = section.required(.name)?.roomName()
    let count = section[.maxPeers]?.roomPeerCount()
    let password = section[.password]?.secret()
    guard let name else { throw Refused() }
    self.room = RoomRules.Listed(name: name, peerCountMax: count, password: password)
  }
}

/// `routes[].rooms.limits`
struct RoomLimitsSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable {
    case rooms, peers, outbox
    case roomsPerClient = "rooms_per_client"
  }

  let limits: RoomRules.Limits

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    var limits = RoomRules.Limits()
    if let count = section[.rooms]?.integer(in: 1...1_000_000) { limits.roomCountMax = count }
    if let count = section[.peers]?.integer(in: 1...10_000_000) { limits.peerCountMax = count }
    limits.roomsPerClientMax = section[.roomsPerClient]?.integer(in: 1...1_000_000)
    if let count = section[.outbox]?.byteCount(in: 64 << 10...64 << 20) {
      limits.outboxByteCountMax = count
    }
    self.limits = limits
  }
}

/// `routes[].rooms.turn`
struct TURNSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable { case urls, secrets, ttl }

  let rules: TURNRules

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    let urls = section.required(.urls, "where the servers are")?.iceURLs(.turn)
    let secrets = section.required(.secrets, "what credentials are signed with")
      .map(Self.secrets)
    let ttl = section[.ttl]?.duration(in: .seconds(60) ... .seconds(7 * 86_400))
    guard let urls, let secrets else { throw Refused() }
    var rules = TURNRules(urls: urls, secrets: secrets)
    if let ttl { rules.ttl = ttl }
    self.rules = rules
  }

  private static func secrets(_ entry: Entry) -> [String] {
    let entries = entry.secretly.list() ?? []
    if entries.count > 2 {
      entry.refuse("one secret or two are expected, \(entries.count) are given")
    }
    return entries.compactMap { $0.secret() }
  }
}

/// `routes[].rooms.webhooks`
struct WebhookSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable { case url, secret, timeout, queue }

  let rules: WebhookRules

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    let url = section.required(.url, "where it is told what happens")?.webURL()
    let secret = section.required(.secret, "what requests are signed with")?.secret()
    let timeout = section[.timeout]?.duration(in: .milliseconds(100) ... .seconds(30))
    let count = section[.queue]?.integer(in: 100...1_000_000)
    if let secret, secret.utf8.count < WebhookRules.secretByteCountMin {
      section[.secret]?.refuse("it is short: \(WebhookRules.secretByteCountMin) octets at least")
    }
    guard let url, let secret else { throw Refused() }
    var rules = WebhookRules(url: url, secret: secret)
    if let timeout { rules.timeout = timeout }
    if let count { rules.queueCountMax = count }
    self.rules = rules
  }
}

extension Entry {
  /// How many peers a room may have.
  fileprivate func roomPeerCount() -> Int? { self.integer(in: 1...RoomRules.peerCountLimit) }

  /// The name of a room that a request can ask for.
  fileprivate func roomName() -> RoomName? {
    guard let text = self.text("the name of a room") else { return nil }
    guard let name = RoomName(text) else {
      self.refuse(
        "\"\(text)\" is not the name of a room: 1 to \(RoomName.byteCountMax) letters, digits, "
          + "\".\", \"_\", \"~\" and \"-\" are")
      return nil
    }
    guard ![".", ".."].contains(text) else {
      self.refuse("\"\(text)\" is a dot segment: a path that has one matches no route")
      return nil
    }
    return name
  }

  /// URLs of STUN or TURN servers.
  fileprivate func iceURLs(_ kind: ICEURL.Kind) -> [String]? {
    self.list()?.compactMap { entry in
      entry.parsed("the URL of a server") { text throws(ICEURLError) in
        try ICEURL(parsing: text, as: kind).text
      }
    }
  }
}
