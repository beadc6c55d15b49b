extension Incoming {
  /// Reads a message.
  ///
  /// - Parameter text: UTF-8, which the caller has looked at; at most 4 GiB.
  /// - Throws: what is wrong with it, with its id where that could be read.
  public static func parse(_ text: Span<UInt8>) throws(MessageFault) -> Incoming {
    let members = try Members(text)
    let id = try Self.id(members, text)
    do throws(MessageFault) {
      return Incoming(try MessageReading(members, text).message(), id: id)
    } catch {
      throw error.answering(id)
    }
  }

  /// The longest id, in octets of JSON.
  static let idByteCountMax = 66

  private static func id(_ members: Members, _ text: Span<UInt8>) throws(MessageFault) -> [UInt8] {
    guard let place = members[.id] else { return [] }
    let value = text.extracting(place)
    let isWhole = JSONValue.kind(value) == .string || JSONValue.integer(value) != nil
    guard isWhole, value.count <= Self.idByteCountMax else {
      throw MessageFault(
        .badMessage, "\"id\" is neither a string of at most 64 octets nor a whole number.")
    }
    return copy(value)
  }
}

/// The octets as an array of their own.
func copy(_ octets: Span<UInt8>) -> [UInt8] {
  unsafe octets.withUnsafeBufferPointer { unsafe Array($0) }
}

/// One message on its way from text to value.
private struct MessageReading: ~Escapable {
  private let members: Members
  private let text: Span<UInt8>

  @_lifetime(copy text)
  init(_ members: Members, _ text: Span<UInt8>) {
    self.members = members
    self.text = text
  }

  func message() throws(MessageFault) -> ClientMessage {
    // Nearly every message is one of these: no text is made of its type.
    if let type = self.members[.type], isString(self.text.extracting(type), "signal") {
      return try self.signal()
    }
    return switch try self.requiredText(.type) {
    case "signal": try self.signal()
    case "broadcast": .broadcast(payload: try self.broadcastPayload())
    case "update": .update(name: try self.nameChange(), meta: try self.metaChange())
    case "token": .token(try self.requiredText(.token))
    case "ping": try self.ping()
    case "leave": .leave
    case "join": .join(try self.greeting())
    case "kick": try self.kick()
    case "lock": .lock(try self.locked())
    case "room": .room(meta: try self.metaChange(), peerCountMax: try self.peerCountMax())
    case "role": .role(try self.peer(.peer), try self.role())
    default: throw MessageFault(.badMessage, "There are no messages of this type.")
    }
  }

  /// The id is all that a ping is about.
  private func ping() throws(MessageFault) -> ClientMessage {
    _ = try self.required(.id)
    return .ping
  }

  // MARK: What is relayed

  private func signal() throws(MessageFault) -> ClientMessage {
    let to = try self.peer(.to)
    guard let kind = try self.kind() else {
      throw MessageFault(
        .badMessage,
        "\"kind\" is not one of \(SignalKind.allCases.map(\.rawValue).joined(separator: ", ")).")
    }
    let place = try self.required(.data)
    let data = self.text.extracting(place)
    guard kind == .custom || JSONValue.kind(data).carriesDescription else {
      throw MessageFault(.badMessage, "\"data\" is not a string, an object or an array.")
    }
    let generation = try self.generation()
    var payload: [UInt8] = []
    payload.reserveCapacity(data.count + 64)
    payload.write("\"kind\":\"")
    payload.write(kind.word)
    payload.write("\",\"generation\":")
    payload.write(number: generation)
    payload.write(",\"data\":")
    payload.append(data)
    payload.append(UInt8(ascii: "}"))
    return .signal(to: to, kind, payload: payload)
  }

  private func kind() throws(MessageFault) -> SignalKind? {
    let value = self.text.extracting(try self.required(.kind))
    for kind in SignalKind.all where isString(value, kind.word) { return kind }
    return SignalKind(rawValue: try self.requiredText(.kind))
  }

  private func broadcastPayload() throws(MessageFault) -> [UInt8] {
    let data = self.text.extracting(try self.required(.data))
    var payload: [UInt8] = []
    payload.reserveCapacity(data.count + 9)
    payload.write("\"data\":")
    payload.append(data)
    payload.append(UInt8(ascii: "}"))
    return payload
  }

  private func generation() throws(MessageFault) -> Int {
    guard let place = self.members[.generation] else { return 0 }
    guard let generation = JSONValue.integer(self.text.extracting(place)),
      (0..<1 << 53).contains(generation)
    else { throw MessageFault(.badMessage, "\"generation\" is no whole number from 0 to 2^53-1.") }
    return generation
  }

  // MARK: What a peer is

  private func greeting() throws(MessageFault) -> Greeting {
    var greeting = Greeting()
    if case .set(let name) = try self.nameChange() { greeting.name = name }
    if case .set(let meta) = try self.metaChange() { greeting.meta = meta }
    greeting.password = try self.text(.password)
    greeting.resume = try self.text(.resume)
    if let place = self.members[.seq] {
      guard let number = JSONValue.integer(self.text.extracting(place)), number >= 0 else {
        throw MessageFault(.badMessage, "\"seq\" is no whole number from 0.")
      }
      greeting.sequence = UInt64(number)
    }
    return greeting
  }

  private func nameChange() throws(MessageFault) -> ClientMessage.Change<String> {
    guard let place = self.members[.name] else { return .keep }
    if JSONValue.kind(self.text.extracting(place)) == .null { return .clear }
    return .set(try PeerName.checked(try self.requiredText(.name)))
  }

  private func metaChange() throws(MessageFault) -> ClientMessage.Change<[UInt8]> {
    guard let place = self.members[.meta] else { return .keep }
    let value = self.text.extracting(place)
    switch JSONValue.kind(value) {
    case .null: return .clear
    case .object where value.count <= PeerName.metaByteCountMax: return .set(copy(value))
    case .object:
      throw MessageFault(.tooLarge, "\"meta\" has more than \(PeerName.metaByteCountMax) octets.")
    default: throw MessageFault(.badMessage, "\"meta\" is no object.")
    }
  }

  // MARK: Moderation

  private func kick() throws(MessageFault) -> ClientMessage {
    var ban: Duration?
    if let place = self.members[.banFor] {
      guard let seconds = JSONValue.integer(self.text.extracting(place)),
        (0...Room.banSecondsMax).contains(seconds)
      else {
        throw MessageFault(
          .badMessage, "\"ban_for\" is no whole number of seconds from 0 to \(Room.banSecondsMax).")
      }
      if seconds > 0 { ban = .seconds(seconds) }
    }
    let reason = try self.text(.reason) ?? ""
    guard reason.utf8.count <= PeerName.byteCountMax else {
      throw MessageFault(.tooLarge, "\"reason\" has more than \(PeerName.byteCountMax) octets.")
    }
    return .kick(try self.peer(.peer), reason: reason, ban: ban)
  }

  private func locked() throws(MessageFault) -> Bool {
    guard let flag = JSONValue.flag(self.text.extracting(try self.required(.locked))) else {
      throw MessageFault(.badMessage, "\"locked\" is neither true nor false.")
    }
    return flag
  }

  private func peerCountMax() throws(MessageFault) -> Int? {
    guard let place = self.members[.maxPeers] else { return nil }
    guard let count = JSONValue.integer(self.text.extracting(place)), count >= 1 else {
      throw MessageFault(.badMessage, "\"max_peers\" is no whole number from 1.")
    }
    return count
  }

  private func role() throws(MessageFault) -> Role {
    guard let role = Role(rawValue: try self.requiredText(.role)) else {
      throw MessageFault(.badMessage, "\"role\" is not one of guest, member and host.")
    }
    return role
  }

  // MARK: Single members

  private func required(_ name: Members.Name) throws(MessageFault) -> Range<Int> {
    guard let place = self.members[name] else {
      throw MessageFault(.badMessage, "The member \"\(name.text)\" is missing.")
    }
    return place
  }

  private func text(_ name: Members.Name) throws(MessageFault) -> String? {
    guard let place = self.members[name] else { return nil }
    guard let text = JSONValue.text(self.text.extracting(place)) else {
      throw MessageFault(.badMessage, "\"\(name.text)\" is no string.")
    }
    return text
  }

  private func requiredText(_ name: Members.Name) throws(MessageFault) -> String {
    guard let text = try self.text(name) else {
      throw MessageFault(.badMessage, "The member \"\(name.text)\" is missing.")
    }
    return text
  }

  private func peer(_ name: Members.Name) throws(MessageFault) -> PeerID {
    if let place = self.members[name], let id = PeerID(value: self.text.extracting(place)) {
      return id
    }
    // What is no id is nobody's.
    guard let id = PeerID(try self.requiredText(name)) else {
      throw MessageFault(.noSuchPeer, "Nobody in this room has this id.")
    }
    return id
  }
}

extension JSONValue.Kind {
  /// Whether SDP and candidates come as such a value.
  fileprivate var carriesDescription: Bool {
    switch self {
    case .string, .object, .array: true
    case .number, .flag, .null: false
    }
  }
}

/// Whether a JSON string is this word, written without escapes.
private func isString(_ value: Span<UInt8>, _ word: StaticString) -> Bool {
  JSONValue.kind(value) == .string && isSame(value.extracting(1..<value.count - 1), word)
}

extension PeerID {
  /// Reads a JSON string without escapes; `nil` for anything else, and for what is no id.
  fileprivate init?(value: Span<UInt8>) {
    guard value.count > 2, value.count <= Self.byteCountMax + 2, value[0] == UInt8(ascii: "\"")
    else { return nil }
    let octets = value.extracting(1..<value.count - 1)
    for index in octets.indices where !isUnreserved(octets[index]) { return nil }
    self.init(unreserved: octets)
  }
}

extension SignalKind {
  fileprivate static let all: [SignalKind] = Array(Self.allCases)

  /// As it stands in messages.
  fileprivate var word: StaticString {
    switch self {
    case .offer: "offer"
    case .answer: "answer"
    case .candidates: "candidates"
    case .description: "description"
    case .custom: "custom"
    }
  }
}

extension [UInt8] {
  fileprivate mutating func append(_ octets: Span<UInt8>) {
    unsafe octets.withUnsafeBufferPointer { unsafe self.append(contentsOf: $0) }
  }
}

/// What a peer may say of itself.
public enum PeerName {
  /// The longest name, in octets.
  public static let byteCountMax = 128
  /// The longest meta, in octets.
  public static let metaByteCountMax = 4096

  /// The name, where it is one.
  public static func checked(_ name: String) throws(MessageFault) -> String {
    guard name.utf8.count <= Self.byteCountMax else {
      throw MessageFault(.tooLarge, "\"name\" has more than \(Self.byteCountMax) octets.")
    }
    guard !name.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
      throw MessageFault(.badMessage, "\"name\" has control characters in it.")
    }
    return name
  }
}
