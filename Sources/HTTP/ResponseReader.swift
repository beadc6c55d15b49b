/// Reads response heads from the octets of a connection to a server, as strictly as
/// ``RequestReader`` reads requests.
///
/// Interim responses (1xx) come out as heads too, and the reader then waits for the next head.
public struct ResponseReader: ~Copyable {
  private let headByteCountMax: Int
  private var scanner: HeadScanner
  private var pending: [UInt8] = []
  private var failure: HeadError?

  /// What is added to a head on its way, as a rule: more costs another allocation.
  private static let addedByteCount = 192

  /// - Parameter headByteCountMax: the octets that a head may have, empty line included.
  public init(headByteCountMax: Int) {
    self.headByteCountMax = headByteCountMax
    self.scanner = HeadScanner(.response, headByteCountMax: headByteCountMax)
  }

  /// What comes of the octets that were received.
  public enum OnOctets: Sendable, Equatable {
    /// They are a part of a head, all of them.
    case needMore
    /// The head is complete. Of the octets of this call `consumed` belong to it; those behind are
    /// the body, or what the server sent on behind a 101, and the caller still has them.
    case head(ResponseHead, consumed: Int)
  }

  /// Whether a part of a head has been received.
  public var hasReceivedOctets: Bool { self.failure != nil || self.scanner.byteCount > 0 }

  /// Takes the next octets of the connection.
  ///
  /// - Throws: ``HeadError`` as soon as an octet shows that the head is not one. Its status speaks
  ///   of requests; a server's fault is a 502 to the client.
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
    if self.pending.isEmpty { self.pending.reserveCapacity(consumed + Self.addedByteCount) }
    self.pending.append(first: consumed, of: octets)
    var storage: [UInt8] = []
    swap(&storage, &self.pending)
    let head = try ResponseHead(storage: storage, scanner: &self.scanner)
    self.scanner = HeadScanner(.response, headByteCountMax: self.headByteCountMax)
    return .head(head, consumed: consumed)
  }
}
