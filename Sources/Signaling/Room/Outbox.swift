internal import DequeModule

/// What one peer was sent and may have missed: kept until it is known to have arrived.
struct Outbox: Sendable {
  /// The most messages that are kept.
  static let messageCountMax = 256
  /// The most octets that are kept, counted without their numbers.
  static let byteCountMax = 256 * 1024

  private var messages: Deque<(head: [UInt8], tail: [UInt8])> = []
  private(set) var byteCount = 0
  /// The number of the last message; 0 before the first.
  private(set) var sequence: UInt64 = 0

  /// The number before that of the oldest message which is kept.
  var forgotten: UInt64 { self.sequence - UInt64(self.messages.count) }

  /// Messages that are kept.
  var count: Int { self.messages.count }

  /// Takes a message; its number. The oldest ones make room for it.
  mutating func append(head: [UInt8], tail: [UInt8]) -> UInt64 {
    self.sequence += 1
    self.messages.append((head, tail))
    self.byteCount += head.count + tail.count
    while self.byteCount > Self.byteCountMax || self.messages.count > Self.messageCountMax {
      self.forgetFirst()
    }
    return self.sequence
  }

  /// All messages up to this number have arrived.
  mutating func confirm(_ sequence: UInt64) {
    while self.forgotten < min(sequence, self.sequence) { self.forgetFirst() }
    // A deque keeps the room that it once had.
    if self.messages.isEmpty { self.messages = [] }
  }

  /// Whether everything behind this number is still there.
  func reaches(back sequence: UInt64) -> Bool {
    sequence >= self.forgotten && sequence <= self.sequence
  }

  /// What came behind this number, in order.
  func messages(after sequence: UInt64) -> [Outgoing] {
    guard self.reaches(back: sequence) else { return [] }
    return self.messages.enumerated().dropFirst(Int(sequence - self.forgotten)).map {
      place, message in
      Outgoing(
        sequence: self.forgotten + UInt64(place) + 1, head: message.head, tail: message.tail)
    }
  }

  private mutating func forgetFirst() {
    guard let first = self.messages.popFirst() else { return }
    self.byteCount -= first.head.count + first.tail.count
  }
}

/// A message for one peer: an object whose members stand in two parts, of which each may be shared
/// with other peers' messages, and perhaps a number before them.
///
///     {"seq":17,"type":"signal","from":"ada","kind":"offer", … }
///      └─ number └─ head                     └─ tail
public struct Outgoing: Equatable, Sendable {
  /// Its number; 0 for a message that is not replayed.
  public let sequence: UInt64
  let head: [UInt8]
  let tail: [UInt8]

  /// A message; without a number, it is not replayed.
  init(sequence: UInt64 = 0, head: [UInt8], tail: [UInt8] = []) {
    self.sequence = sequence
    self.head = head
    self.tail = tail
  }

  /// Whether another peer said it.
  public var isRelayed: Bool { !self.tail.isEmpty }

  /// The octets of the JSON text.
  public var byteCount: Int {
    1 + self.head.count + self.tail.count + (self.sequence == 0 ? 0 : 7 + self.digitCount)
  }

  private var digitCount: Int {
    var (rest, count) = (self.sequence, 1)
    while rest >= 10 {
      rest /= 10
      count += 1
    }
    return count
  }

  /// Appends the JSON text.
  public func write(into octets: inout [UInt8]) {
    octets.append(UInt8(ascii: "{"))
    if self.sequence > 0 {
      octets.write("\"seq\":")
      octets.write(number: self.sequence)
      octets.append(UInt8(ascii: ","))
    }
    octets.append(contentsOf: self.head)
    octets.append(contentsOf: self.tail)
  }
}
