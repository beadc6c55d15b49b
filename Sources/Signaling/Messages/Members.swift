/// The members of a message that have a meaning, and where their values stand in its text.
struct Members {
  /// A member's name.
  enum Name: Int, CaseIterable {
    case type, to, kind, generation, data, id, name, meta, password, resume, seq, token, peer
    case reason, locked, role
    case banFor, maxPeers

    /// As it stands in messages.
    var text: StaticString {
      switch self {
      case .type: "type"
      case .to: "to"
      case .kind: "kind"
      case .generation: "generation"
      case .data: "data"
      case .id: "id"
      case .name: "name"
      case .meta: "meta"
      case .password: "password"
      case .resume: "resume"
      case .seq: "seq"
      case .token: "token"
      case .peer: "peer"
      case .reason: "reason"
      case .locked: "locked"
      case .role: "role"
      case .banFor: "ban_for"
      case .maxPeers: "max_peers"
      }
    }
  }

  /// Where each value begins and ends; an empty place stands for a member that is not there.
  private var places = InlineArray<18, (start: UInt32, end: UInt32)>(repeating: (0, 0))

  /// Reads the one object that a message is.
  init(_ text: Span<UInt8>) throws(MessageFault) {
    var scanner = JSONScanner()
    do throws(JSONScanner.Fault) {
      guard scanner.take(UInt8(ascii: "{"), text) else { throw .unexpected(at: scanner.index) }
      if !scanner.take(UInt8(ascii: "}"), text) {
        repeat { try self.takeMember(text, &scanner) } while scanner.take(UInt8(ascii: ","), text)
        guard scanner.take(UInt8(ascii: "}"), text) else { throw .unexpected(at: scanner.index) }
      }
      guard scanner.peek(text) == nil else { throw .unexpected(at: scanner.index) }
    } catch {
      throw MessageFault(.badMessage, Self.words(error))
    }
    if let twice = self.twice {
      throw MessageFault(.badMessage, "The member \"\(twice.text)\" is there twice.")
    }
  }

  private var twice: Name?

  private mutating func takeMember(
    _ text: Span<UInt8>, _ scanner: inout JSONScanner
  ) throws(JSONScanner.Fault) {
    _ = scanner.peek(text)
    let start = scanner.index
    try scanner.string(text)
    let name = Self.name(text.extracting(start..<scanner.index))
    guard scanner.take(UInt8(ascii: ":"), text) else { throw .unexpected(at: scanner.index) }
    let value = try scanner.value(text, depth: 1)
    guard let name else { return }
    // `null` says of most members what leaving them out says; of these it says more.
    let isNull = JSONValue.kind(text.extracting(value)) == .null
    guard !isNull || name == .name || name == .meta || name == .data else { return }
    if self.places[name.rawValue].end > 0 { self.twice = name }
    self.places[name.rawValue] = (UInt32(value.lowerBound), UInt32(value.upperBound))
  }

  /// - Parameter string: the name with its quotation marks. One with escapes means what it stands for.
  private static func name(_ string: Span<UInt8>) -> Name? {
    let octets = string.extracting(1..<string.count - 1)
    for name in Name.allCases where isSame(octets, name.text) { return name }
    for index in octets.indices where octets[index] == UInt8(ascii: "\\") {
      let text = JSONValue.text(string)
      return Name.allCases.first { "\($0.text)" == text }
    }
    return nil
  }

  private static func words(_ fault: JSONScanner.Fault) -> String {
    switch fault {
    case .unexpected(let index): "The message is no JSON object: see octet \(index)."
    case .tooDeep: "Values stand in each other too deep: \(JSONScanner.depthMax) are allowed."
    }
  }

  /// Where the value stands; `nil` where the member is not there.
  subscript(name: Name) -> Range<Int>? {
    let place = self.places[name.rawValue]
    return place.end == 0 ? nil : Int(place.start)..<Int(place.end)
  }
}

/// Whether octets are this text.
func isSame(_ octets: Span<UInt8>, _ text: StaticString) -> Bool {
  guard octets.count == text.utf8CodeUnitCount else { return false }
  for index in octets.indices where unsafe octets[index] != text.utf8Start[index] { return false }
  return true
}
