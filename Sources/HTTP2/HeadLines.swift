internal import CNGHTTP2
internal import HTTP

/// The lines of a head or of trailers as nghttp2 takes them. Fields that belong to a connection of HTTP/1
/// are left out (RFC 9113 §8.2.2).
struct HeadLines {
  private let fields: Fields
  /// The value of `:status`, `nil` for trailers.
  private let status: InlineArray<3, UInt8>?

  /// The lines of a head. To "101 Switching Protocols" corresponds 200, and the handshake's proof is
  /// that the server speaks HTTP/2 at all (RFC 8441 §5.1).
  init(_ head: ResponseHead) {
    var fields = head.fields.withoutConnectionFields()
    if head.status == 101 { fields.remove("Sec-WebSocket-Accept") }
    self.fields = fields
    self.status = Self.digits(of: head.status == 101 ? 200 : head.status)
  }

  /// The lines of trailers.
  init(_ trailers: Fields) {
    self.fields = trailers.withoutConnectionFields()
    self.status = nil
  }

  /// Those of a status, which has three (RFC 9110 §15).
  private static func digits(of status: Int) -> InlineArray<3, UInt8> {
    let digit = { (unit: Int) in UInt8(ascii: "0") + UInt8(truncatingIfNeeded: status / unit % 10) }
    return [digit(100), digit(10), digit(1)]
  }

  var isEmpty: Bool { self.fields.isEmpty && self.status == nil }

  /// Lends the lines to a function of nghttp2, which copies them, names in lower case (RFC 9113 §8.2.1).
  func withLines(_ body: (UnsafeMutableBufferPointer<nghttp2_nv>) -> CInt) -> CInt {
    let count = self.fields.count + (self.status == nil ? 0 : 1)
    return unsafe withUnsafeTemporaryAllocation(of: nghttp2_nv.self, capacity: count) { lines in
      guard let status = self.status else { return unsafe self.lend(lines, from: 0, body) }
      let name: StaticString = ":status"
      return unsafe status.span.withUnsafeBufferPointer { value in
        // SAFETY: nghttp2 only reads what a line points to, while the octets are lent.
        unsafe lines.initializeElement(
          at: 0,
          to: Self.line(
            UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount), value))
        return unsafe self.lend(lines, from: 1, body)
      }
    }
  }

  /// Fills `lines` up with the fields.
  private func lend(
    _ lines: UnsafeMutableBufferPointer<nghttp2_nv>, from start: Int,
    _ body: (UnsafeMutableBufferPointer<nghttp2_nv>) -> CInt
  ) -> CInt {
    unsafe self.fields.octets.withUnsafeBufferPointer { octets in
      for index in 0..<self.fields.count {
        let place = self.fields.place(of: index)
        // SAFETY: as above; places lie within the octets.
        let name = unsafe UnsafeBufferPointer(rebasing: octets[place.name])
        let value = unsafe UnsafeBufferPointer(rebasing: octets[place.value])
        unsafe lines.initializeElement(at: start + index, to: Self.line(name, value))
        if self.fields.isUnique(index) {
          unsafe lines[start + index].flags = UInt8(NGHTTP2_NV_FLAG_NO_INDEX.rawValue)
        }
      }
      return unsafe body(lines)
    }
  }

  private static func line(
    _ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>
  ) -> nghttp2_nv {
    unsafe nghttp2_nv(
      name: UnsafeMutablePointer(mutating: name.baseAddress),
      value: UnsafeMutablePointer(mutating: value.baseAddress), namelen: name.count,
      valuelen: value.count, flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue))
  }
}
