/// What peers of the load say to each other in the words of `sluice.rooms.v1`, and how the server's
/// answers are read: by a look at the few members that matter, so that the load costs less than
/// what it measures.
struct RoomsWords {
  /// What the `data` of a signal begins with.
  struct Stamp: Equatable {
    /// When it was to be sent, by the monotonic clock.
    var due: UInt64
    /// The number of the peer that it is for.
    var receiver: UInt32
  }

  /// What the server said.
  enum Answer: Equatable {
    case welcome(peer: [UInt8])
    case signal(Stamp)
    /// A signal whose data is not what a peer has sent.
    case changed
    case ack
    case error(String)
    /// Presence, and whatever else means nothing to the load.
    case other
  }

  /// The stamp in hexadecimal digits, and the quotes around it.
  static let dataByteCountMin = 16 + 8 + 2

  /// What stands behind the stamp, up to the end of the data: as a browser would trickle it.
  private let filler: [UInt8]

  /// - Parameter dataByteCount: octets of the JSON string that a signal carries, with its quotes.
  init(dataByteCount: Int) {
    let line = Array(
      " candidate:842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 0.0.0.0".utf8)
    let count = dataByteCount - Self.dataByteCountMin
    self.filler = (0..<count).map { line[$0 % line.count] } + [UInt8(ascii: "\"")]
  }

  // MARK: Writing

  private static let head = Array(#"{"type":"signal","to":""#.utf8)
  private static let kind = Array(#"","kind":"candidates","#.utf8)
  private static let data = Array(#""data":""#.utf8)
  private static let id = Array(#","id":"#.utf8)

  /// Appends a signal to a peer.
  ///
  /// - Parameter id: what its `ack` is to repeat; without it there is none.
  func write(_ stamp: Stamp, to peer: [UInt8], id: UInt64?, into text: inout [UInt8]) {
    text += Self.head
    text += peer
    text += Self.kind
    text += Self.data
    Self.write(stamp.due, digitCount: 16, into: &text)
    Self.write(UInt64(stamp.receiver), digitCount: 8, into: &text)
    text += self.filler
    if let id {
      text += Self.id
      text += Array("\(id)".utf8)
    }
    text.append(UInt8(ascii: "}"))
  }

  private static func write(_ value: UInt64, digitCount: Int, into text: inout [UInt8]) {
    for place in (0..<digitCount).reversed() {
      let digit = UInt8(value >> UInt64(4 * place) & 0xF)
      text.append(digit < 10 ? 0x30 + digit : 0x57 + digit)
    }
  }

  // MARK: Reading

  private static let type = Array(#""type":""#.utf8)
  private static let peer = Array(#""peer":""#.utf8)
  private static let signalName = Array(#"signal""#.utf8)
  private static let ackName = Array(#"ack""#.utf8)
  private static let welcomeName = Array(#"welcome""#.utf8)
  private static let errorName = Array(#"error""#.utf8)

  /// What a message of the server says.
  func read(_ text: Span<UInt8>) -> Answer {
    guard let start = text.end(of: Self.type) else { return .other }
    if text.has(Self.signalName, at: start) {
      return self.stamp(text, from: start).map { .signal($0) } ?? .changed
    }
    if text.has(Self.ackName, at: start) { return .ack }
    if text.has(Self.errorName, at: start) { return .error(Self.words(text)) }
    guard text.has(Self.welcomeName, at: start) else { return .other }
    return Self.ownID(text).map { .welcome(peer: $0) } ?? .error("a welcome without a peer")
  }

  private func stamp(_ text: Span<UInt8>, from start: Int) -> Stamp? {
    guard let data = text.end(of: Self.data, from: start),
      let due = Self.number(text, at: data, digitCount: 16),
      let receiver = Self.number(text, at: data + 16, digitCount: 8),
      text.has(self.filler, at: data + 24)
    else { return nil }
    return Stamp(due: due, receiver: UInt32(truncatingIfNeeded: receiver))
  }

  private static func number(_ text: Span<UInt8>, at start: Int, digitCount: Int) -> UInt64? {
    guard start + digitCount <= text.count else { return nil }
    var value: UInt64 = 0
    for index in start..<start + digitCount {
      switch text[index] {
      case 0x30...0x39: value = value << 4 | UInt64(text[index] - 0x30)
      case 0x61...0x66: value = value << 4 | UInt64(text[index] - 0x57)
      default: return nil
      }
    }
    return value
  }

  private static func ownID(_ text: Span<UInt8>) -> [UInt8]? {
    guard let start = text.end(of: Self.peer) else { return nil }
    var id: [UInt8] = []
    for index in start..<text.count where text[index] == UInt8(ascii: "\"") {
      for place in start..<index { id.append(text[place]) }
      return id
    }
    return nil
  }

  private static func words(_ text: Span<UInt8>) -> String {
    var octets: [UInt8] = []
    for index in 0..<min(text.count, 200) { octets.append(text[index]) }
    return String(decoding: octets, as: UTF8.self)
  }
}

extension Span<UInt8> {
  /// The place behind the first `needle` from `start` on.
  fileprivate func end(of needle: [UInt8], from start: Int = 0) -> Int? {
    var index = start
    while index + needle.count <= self.count {
      if self.has(needle, at: index) { return index + needle.count }
      index += 1
    }
    return nil
  }

  /// Whether `octets` stand at `start`.
  fileprivate func has(_ octets: [UInt8], at start: Int) -> Bool {
    guard start + octets.count <= self.count else { return false }
    for index in octets.indices where self[start + index] != octets[index] { return false }
    return true
  }
}
