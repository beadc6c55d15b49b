internal import CNGHTTP2
internal import HTTP

/// The lines of a head or of trailers as nghttp2 takes them.
struct HeadLines {
  /// Fields that belong to a connection of HTTP/1 (RFC 9113 §8.2.2).
  private static let connectionNames = [
    "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade",
  ]

  private var octets: [UInt8] = []
  /// Where each name and each value ends, in turn.
  private var ends: [Int] = []

  /// The lines of a head. To "101 Switching Protocols" corresponds 200, and the handshake's proof is
  /// that the server speaks HTTP/2 at all (RFC 8441 §5.1).
  init(_ head: ResponseHead) {
    let isSwitching = head.status == 101
    self.append(":status".utf8, String(isSwitching ? 200 : head.status).utf8)
    for field in head.fields {
      if isSwitching && field.isNamed("sec-websocket-accept") { continue }
      self.append(field)
    }
  }

  /// The lines of trailers.
  init(_ trailers: Fields) {
    for field in trailers { self.append(field) }
  }

  var isEmpty: Bool { self.ends.isEmpty }

  private mutating func append(_ field: Fields.Field) {
    if Self.connectionNames.contains(where: field.isNamed) { return }
    self.append(field.nameOctets, field.valueOctets)
  }

  private mutating func append(_ name: some Sequence<UInt8>, _ value: some Sequence<UInt8>) {
    // Names are sent in lower case (RFC 9113 §8.2.1).
    for octet in name { self.octets.append((0x41...0x5A).contains(octet) ? octet | 0x20 : octet) }
    self.ends.append(self.octets.count)
    self.octets.append(contentsOf: value)
    self.ends.append(self.octets.count)
  }

  /// Lends the lines to a function of nghttp2, which copies them.
  func withLines(_ body: (UnsafeMutableBufferPointer<nghttp2_nv>) -> CInt) -> CInt {
    unsafe self.octets.withUnsafeBufferPointer { octets in
      unsafe withUnsafeTemporaryAllocation(of: nghttp2_nv.self, capacity: self.ends.count / 2) {
        lines in
        guard let base = octets.baseAddress else { return unsafe body(lines) }
        // SAFETY: nghttp2 only reads what the lines point to. The ends lie within the octets.
        let first = unsafe UnsafeMutablePointer(mutating: base)
        var start = 0
        for index in 0..<lines.count {
          let (nameEnd, valueEnd) = (self.ends[2 * index], self.ends[2 * index + 1])
          unsafe lines.initializeElement(
            at: index,
            to: nghttp2_nv(
              name: first + start, value: first + nameEnd, namelen: nameEnd - start,
              valuelen: valueEnd - nameEnd, flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue)))
          start = valueEnd
        }
        return unsafe body(lines)
      }
    }
  }
}
