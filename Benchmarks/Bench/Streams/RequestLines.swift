import CNGHTTP2

/// The lines of a request as nghttp2 takes them: the same for all streams of a run.
struct RequestLines {
  private var octets: [UInt8] = []
  /// Where each name and each value ends, in turn.
  private var ends: [Int] = []

  /// An extended CONNECT for a WebSocket (RFC 8441 §4).
  init(webSocketAt target: String, authority: String, isSecure: Bool) {
    self.append(":method", "CONNECT")
    self.append(":protocol", "websocket")
    self.append(":scheme", isSecure ? "https" : "http")
    self.append(":authority", authority)
    self.append(":path", target)
    self.append("sec-websocket-version", "13")
  }

  private mutating func append(_ name: String, _ value: String) {
    self.octets += Array(name.utf8)
    self.ends.append(self.octets.count)
    self.octets += Array(value.utf8)
    self.ends.append(self.octets.count)
  }

  /// Lends the lines to a function of nghttp2, which copies them.
  func withLines(_ body: (UnsafeMutableBufferPointer<nghttp2_nv>) -> Int32) -> Int32 {
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
