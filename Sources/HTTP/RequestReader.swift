/// Reads request heads from the octets of a connection, strictly (RFC 9112 §2 to §6, RFC 9110 §5).
///
/// A value without descriptor or clock: octets go in, a head comes out. A head that lies in one
/// span is copied once, into its own storage; one that arrives in pieces is collected first.
/// After a head the reader waits for the next one; after an error it repeats the error.
public struct RequestReader: ~Copyable {
  /// The largest number of field lines that a head may have. Behind it stands 431.
  public static let fieldCountMax = 100

  private let headByteCountMax: Int
  private let targetByteCountMax: Int
  private var scanner: HeadScanner
  private var pending: [UInt8] = []
  private var failure: HeadError?

  /// - Parameters:
  ///   - headByteCountMax: the octets that a head may have, empty line included.
  ///   - targetByteCountMax: the octets that a target may have, as it is sent.
  public init(headByteCountMax: Int, targetByteCountMax: Int) {
    self.headByteCountMax = headByteCountMax
    self.targetByteCountMax = targetByteCountMax
    self.scanner = HeadScanner(
      .request, headByteCountMax: headByteCountMax, targetByteCountMax: targetByteCountMax)
  }

  /// What comes of the octets that were received.
  public enum OnOctets: Sendable, Equatable {
    /// They are a part of a head, all of them.
    case needMore
    /// The head is complete. Of the octets of this call `consumed` belong to it; those behind are
    /// what the client has sent on, and the caller still has them.
    case head(RequestHead, consumed: Int)
  }

  /// Whether a part of a head has been received: what tells a client that is slow from one that
  /// has not begun.
  public var hasReceivedOctets: Bool { self.failure != nil || self.scanner.byteCount > 0 }

  /// Takes the next octets of the connection.
  ///
  /// - Throws: ``HeadError`` as soon as an octet shows that the head is not one. The connection
  ///   has no second head then, since nobody knows where it would begin.
  public mutating func receive(_ octets: Span<UInt8>) throws(HeadError) -> OnOctets {
    if let failure = self.failure { throw failure }
    do throws(HeadError) {
      return try self.read(octets)
    } catch {
      self.pending = []
      self.failure = error
      throw error
    }
  }

  private mutating func read(_ octets: Span<UInt8>) throws(HeadError) -> OnOctets {
    guard let consumed = try self.scanner.scan(octets) else {
      self.pending.append(first: octets.count, of: octets)
      return .needMore
    }
    self.pending.append(first: consumed, of: octets)
    var storage: [UInt8] = []
    swap(&storage, &self.pending)
    let head = try RequestHead(storage: storage, scanner: &self.scanner)
    self.scanner = HeadScanner(
      .request, headByteCountMax: self.headByteCountMax,
      targetByteCountMax: self.targetByteCountMax)
    return .head(head, consumed: consumed)
  }
}
