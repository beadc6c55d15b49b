import CNGHTTP2
import HTTP2

/// A frame of RFC 9113 §4.1, made by hand.
struct Frame {
  var type: UInt8
  var flags: UInt8 = 0
  var stream: UInt32 = 0
  var payload: [UInt8] = []

  /// The length that the header tells, where it is not the payload's.
  var toldByteCount: Int?

  static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

  var octets: [UInt8] {
    let length = self.toldByteCount ?? self.payload.count
    let head = [UInt8(truncatingIfNeeded: length >> 16), UInt8(truncatingIfNeeded: length >> 8)]
    return head + [UInt8(truncatingIfNeeded: length), self.type, self.flags]
      + self.stream.octets + self.payload
  }

  static func data(
    _ stream: UInt32, _ content: [UInt8], ends: Bool = false, padding: UInt8? = nil
  ) -> Frame {
    let payload = padding.map { [$0] + content + [UInt8](repeating: 0, count: Int($0)) }
    return Frame(
      type: 0, flags: (ends ? 1 : 0) | (padding == nil ? 0 : 8), stream: stream,
      payload: payload ?? content)
  }

  static func data(_ stream: UInt32, _ content: String, ends: Bool = false) -> Frame {
    .data(stream, Array(content.utf8), ends: ends)
  }

  static func headers(
    _ stream: UInt32, _ lines: [(String, String)], ends: Bool = false, isWhole: Bool = true
  ) -> Frame {
    Frame(
      type: 1, flags: (ends ? 1 : 0) | (isWhole ? 4 : 0), stream: stream,
      payload: lines.flatMap { Self.literal($0.0, $0.1) })
  }

  static func get(_ stream: UInt32, _ path: String = "/", ends: Bool = true) -> Frame {
    .headers(stream, Self.head("GET", path), ends: ends)
  }

  static func post(_ stream: UInt32, _ path: String = "/", length: Int? = nil) -> Frame {
    let length = length.map { [("content-length", "\($0)")] } ?? []
    return .headers(stream, Self.head("POST", path) + length)
  }

  static func head(_ method: String, _ path: String) -> [(String, String)] {
    [(":method", method), (":scheme", "https"), (":path", path), (":authority", "example.org")]
  }

  static func continuation(_ stream: UInt32, _ payload: [UInt8], isLast: Bool) -> Frame {
    Frame(type: 9, flags: isLast ? 4 : 0, stream: stream, payload: payload)
  }

  static func reset(_ stream: UInt32, _ code: ErrorCode) -> Frame {
    Frame(type: 3, stream: stream, payload: code.rawValue.octets)
  }

  static func settings(_ entries: [(UInt16, UInt32)] = []) -> Frame {
    let octets = entries.map {
      [UInt8($0.0 >> 8), UInt8(truncatingIfNeeded: $0.0)] + $0.1.octets
    }
    return Frame(type: 4, payload: Array(octets.joined()))
  }

  static let settingsAck = Frame(type: 4, flags: 1)

  static func ping(_ payload: UInt8, isAck: Bool = false) -> Frame {
    Frame(type: 6, flags: isAck ? 1 : 0, payload: [0, 0, 0, 0, 0, 0, 0, payload])
  }

  static func goAway(_ code: ErrorCode) -> Frame {
    Frame(type: 7, payload: UInt32(0).octets + code.rawValue.octets)
  }

  static func windowUpdate(_ stream: UInt32, _ increment: UInt32) -> Frame {
    Frame(type: 8, stream: stream, payload: increment.octets)
  }

  /// A field line without indexing and Huffman (RFC 7541 §6.2.2).
  static func literal(_ name: String, _ value: String) -> [UInt8] {
    [0] + Self.text(name) + Self.text(value)
  }

  private static func text(_ text: String) -> [UInt8] {
    let octets = Array(text.utf8)
    var length: [UInt8] = [UInt8(min(octets.count, 127))]
    if octets.count >= 127 {
      var rest = octets.count - 127
      while rest >= 128 {
        length.append(UInt8(rest & 127 | 128))
        rest >>= 7
      }
      length.append(UInt8(rest))
    }
    return length + octets
  }
}

extension UInt32 {
  var octets: [UInt8] { [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: self >> UInt32($0)) } }

  init(_ octets: some Collection<UInt8>) {
    self = octets.reduce(0) { $0 << 8 | UInt32($1) }
  }
}

/// Reads what a server sends into one line for each frame.
@safe final class FrameReader {
  private let inflater: OpaquePointer?
  private var octets: [UInt8] = []

  init() {
    var inflater: OpaquePointer?
    let code = unsafe nghttp2_hd_inflate_new(&inflater)
    precondition(code == 0)
    unsafe self.inflater = inflater
  }

  deinit { unsafe nghttp2_hd_inflate_del(self.inflater) }

  func read(_ octets: [UInt8]) -> [String] {
    self.octets += octets
    var lines: [String] = []
    while self.octets.count >= 9 {
      let length = Int(UInt32(self.octets[0..<3]))
      guard self.octets.count >= 9 + length else { break }
      let frame = Frame(
        type: self.octets[3], flags: self.octets[4], stream: UInt32(self.octets[5..<9]),
        payload: Array(self.octets[9..<9 + length]))
      self.octets.removeFirst(9 + length)
      lines.append(self.line(frame))
    }
    return lines
  }

  private func line(_ frame: Frame) -> String {
    let end = frame.flags & 1 != 0 ? " end" : ""
    let ack = frame.flags & 1 != 0 ? " ack" : ""
    switch frame.type {
    case 0: return "DATA \(frame.stream)\(end) \(String(decoding: frame.payload, as: UTF8.self))"
    case 1: return "HEADERS \(frame.stream)\(end) \(self.fields(frame.payload))"
    case 3: return "RST_STREAM \(frame.stream) \(Self.code(frame.payload[...]))"
    case 4: return "SETTINGS\(ack)\(Self.entries(frame.payload))"
    case 6: return "PING\(ack) \(frame.payload.last ?? 0)"
    case 7: return "GOAWAY \(UInt32(frame.payload[0..<4])) \(Self.code(frame.payload[4..<8]))"
    case 8: return "WINDOW_UPDATE \(frame.stream) \(UInt32(frame.payload))"
    default: return "type \(frame.type)"
    }
  }

  private static func code(_ octets: ArraySlice<UInt8>) -> ErrorCode {
    ErrorCode(rawValue: UInt32(octets))
  }

  private static func entries(_ payload: [UInt8]) -> String {
    stride(from: 0, to: payload.count, by: 6).map { at in
      " \(UInt32(payload[at..<at + 2]))=\(UInt32(payload[at + 2..<at + 6]))"
    }.joined()
  }

  private func fields(_ block: [UInt8]) -> String {
    var lines: [String] = []
    unsafe block.withUnsafeBufferPointer { block in
      var start = 0
      while true {
        var line = unsafe nghttp2_nv()
        var flags: CInt = 0
        let taken = unsafe nghttp2_hd_inflate_hd2(
          self.inflater, &line, &flags, block.baseAddress.map { unsafe $0 + start },
          block.count - start, 1)
        guard taken >= 0 else { return lines.append("undecodable") }
        start += taken
        if UInt32(flags) & NGHTTP2_HD_INFLATE_EMIT.rawValue != 0 {
          let name = unsafe UnsafeBufferPointer(start: line.name, count: line.namelen)
          let value = unsafe UnsafeBufferPointer(start: line.value, count: line.valuelen)
          lines.append(
            unsafe String(decoding: name, as: UTF8.self) + "="
              + String(decoding: value, as: UTF8.self))
        }
        if UInt32(flags) & NGHTTP2_HD_INFLATE_FINAL.rawValue != 0 { break }
      }
      unsafe nghttp2_hd_inflate_end_headers(self.inflater)
    }
    return lines.joined(separator: " ")
  }
}
