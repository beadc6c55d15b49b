internal import Crypto
internal import Net

/// Makes and reads what a peer names its place by: `ID.NONCE.TAG`. Whoever shows it once had the id, in
/// this process or in one that had the same secret.
public struct ResumeSigner: Sendable {
  /// Octets of a tag that are kept.
  private static let tagByteCount = 16

  private let key: SymmetricKey
  private let route: String

  /// - Parameters:
  ///   - secret: shared by processes that follow each other.
  ///   - route: a name on one route is not good on another.
  public init(secret: [UInt8], route: String) {
    self.key = SymmetricKey(data: secret)
    self.route = route
  }

  /// What the peer's place is named by.
  func seal(_ peer: PeerID, nonce: UInt64, room: RoomName) -> String {
    let number = String(nonce, radix: 36)
    return "\(peer).\(number).\(self.tag(peer.description, number, room))"
  }

  /// The peer and the number; `nil` for anything that ``seal(_:nonce:room:)`` did not write for this room.
  func open(_ text: String, room: RoomName) -> (peer: PeerID, nonce: UInt64)? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count >= 3, let tag = parts.last, text.utf8.count <= 256 else { return nil }
    let number = parts[parts.count - 2]
    let id = parts[..<(parts.count - 2)].joined(separator: ".")
    guard let nonce = UInt64(number, radix: 36), let peer = PeerID(id),
      Self.isSame(self.tag(id, String(number), room), tag)
    else { return nil }
    return (peer, nonce)
  }

  private func tag(_ peer: String, _ number: String, _ room: RoomName) -> String {
    // None of the parts can have a line feed in it.
    let text = "resume\n\(self.route)\n\(room)\n\(peer)\n\(number)"
    let code = HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: self.key)
    return Base64URL.encode(code.prefix(Self.tagByteCount))
  }

  /// In the same time wherever they differ.
  private static func isSame(_ one: String, _ two: Substring) -> Bool {
    guard one.utf8.count == two.utf8.count else { return false }
    return zip(one.utf8, two.utf8).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
  }
}
