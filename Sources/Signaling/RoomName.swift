/// The name of a room: 1 to 128 of the characters that a path has unencoded (RFC 3986 §2.3).
public struct RoomName: Hashable, Sendable, CustomStringConvertible {
  /// The longest name, in octets.
  public static let byteCountMax = 128

  /// The name as it stands in the path.
  public let description: String

  /// `nil` where `text` is no name of a room.
  public init?(_ text: some StringProtocol) {
    guard text.utf8.count <= Self.byteCountMax, isUnreserved(text.utf8) else { return nil }
    self.description = String(text)
  }
}

/// Names a peer within its room: 1 to 64 of the characters of a room's name. Compared octet by octet:
/// of two peers, the smaller one is the polite one.
public struct PeerID: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// The longest id, in octets.
  public static let byteCountMax = 64

  /// The id as it stands in messages.
  public let description: String

  /// `nil` where `text` is no id.
  public init?(_ text: some StringProtocol) {
    guard text.utf8.count <= Self.byteCountMax, isUnreserved(text.utf8) else { return nil }
    self.description = String(text)
  }

  /// An id whose octets were looked at.
  init(unreserved octets: Span<UInt8>) {
    self.description = unsafe octets.withUnsafeBufferPointer {
      unsafe String(decoding: $0, as: UTF8.self)
    }
  }

  /// An id made of chance: eleven characters, of which no two peers get the same.
  public init(chance: UInt64) {
    let alphabet = Array("0123456789abcdefghijkmnpqrstuvwxyz".utf8)
    var (rest, octets) = (chance, [UInt8]())
    for _ in 0..<11 {
      octets.append(alphabet[Int(rest % UInt64(alphabet.count))])
      rest /= UInt64(alphabet.count)
    }
    self.description = String(decoding: octets, as: UTF8.self)
  }

  /// Whether the octets of `one` come before those of `two`.
  public static func < (one: PeerID, two: PeerID) -> Bool {
    one.description.utf8.lexicographicallyPrecedes(two.description.utf8)
  }
}

/// Whether all of it is unreserved, and there is some of it.
private func isUnreserved(_ octets: some Collection<UInt8>) -> Bool {
  !octets.isEmpty && octets.allSatisfy { isUnreserved($0) }
}

/// Whether a path has this character unencoded.
func isUnreserved(_ octet: UInt8) -> Bool {
  switch octet {
  case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
    UInt8(ascii: "~"), UInt8(ascii: "-"):
    true
  default: false
  }
}
