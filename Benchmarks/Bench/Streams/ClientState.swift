import CNGHTTP2
import HTTP2

/// What nghttp2's callbacks of a client work on, behind the one address that they are given.
///
/// Nothing here calls nghttp2: a callback runs while ``ClientSession`` is within a call to it.
@safe struct ClientState: ~Copyable {
  /// Octets of one stream that are to be sent, and how many of them were.
  struct Outgoing {
    /// The stream identifier of RFC 9113 §5.1.1.
    let number: Int32
    var octets: [UInt8] = []
    var sentByteCount = 0
  }

  /// The first of the octets that are being received.
  var received: UnsafeRawPointer?
  /// Streams by their indices.
  var outgoing: [Outgoing] = []
  private var events: [ClientSession.Event] = []
  private var takenEventCount = 0
  /// The status in the header block that is being received; 0 before there is one.
  private var status = 0

  mutating func append(_ event: ClientSession.Event) { self.events.append(event) }

  mutating func nextEvent() -> ClientSession.Event? {
    guard self.takenEventCount < self.events.count else {
      self.events.removeAll(keepingCapacity: true)
      self.takenEventCount = 0
      return nil
    }
    defer { self.takenEventCount += 1 }
    return self.events[self.takenEventCount]
  }

  // MARK: What nghttp2 tells

  mutating func beginBlock() { self.status = 0 }

  /// Takes a field of the block: of an answer only the status matters.
  mutating func take(name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>) {
    guard unsafe name.elementsEqual(":status".utf8) else { return }
    // nghttp2 lets through three digits only (RFC 9113 §8.3.2).
    self.status = Int(unsafe String(decoding: value, as: UTF8.self)) ?? 0
  }

  mutating func endBlock(of index: Int) {
    // An interim answer changes nothing, trailers have no status.
    if self.status >= 200 { self.append(.answered(index, status: self.status)) }
  }

  mutating func takeContent(_ octets: UnsafePointer<UInt8>, _ count: Int, of index: Int) {
    guard let received = unsafe self.received else { return }
    // SAFETY: nghttp2 hands on where content lies in what it was given, and copies nothing.
    let start = unsafe UnsafeRawPointer(octets) - received
    self.append(.content(index, start..<start + count))
  }

  // MARK: What nghttp2 asks

  /// Copies what comes next on a stream, and gives the count; 0 where nothing waits.
  mutating func copyNext(of index: Int, to room: UnsafeMutableBufferPointer<UInt8>) -> Int {
    let stream = self.outgoing[index]
    let count = min(room.count, stream.octets.count - stream.sentByteCount)
    guard count > 0 else { return 0 }
    let octets = stream.octets[stream.sentByteCount..<stream.sentByteCount + count]
    _ = unsafe room.update(fromContentsOf: octets)
    self.outgoing[index].sentByteCount += count
    return count
  }

  /// Puts octets behind those that wait on a stream.
  mutating func queue(_ octets: Span<UInt8>, on index: Int) {
    if self.outgoing[index].sentByteCount == self.outgoing[index].octets.count {
      self.outgoing[index].octets.removeAll(keepingCapacity: true)
      self.outgoing[index].sentByteCount = 0
    }
    unsafe octets.withUnsafeBufferPointer {
      unsafe self.outgoing[index].octets.append(contentsOf: $0)
    }
  }
}
