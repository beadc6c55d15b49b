import Compression
import Net
import Testing
import WebSocket

/// One frame, its payload without a mask.
struct Frame: Equatable {
  var opcode: Opcode
  var payload: [UInt8]
  var isFinal = true
  var rsv: FrameHeader.ReservedBits = []

  /// The frame on the wire.
  func wire(from sender: FrameHeader.Sender, key: UInt32 = 0x12F4_56E8) -> [UInt8] {
    let header = FrameHeader(
      opcode: self.opcode, payloadByteCount: UInt64(self.payload.count), isFinal: self.isFinal,
      rsv: self.rsv, maskKey: sender == .client ? key : nil)
    var octets: [UInt8] = []
    header.write(into: &octets)
    var payload = self.payload
    if sender == .client {
      var span = payload.mutableSpan
      Mask(key: key).apply(to: &span, at: 0)
    }
    return octets + payload
  }

  /// The fragments of a message, `sizes` saying where it is cut.
  static func fragments(
    _ opcode: Opcode, _ payload: [UInt8], sizes: [Int] = [], rsv: FrameHeader.ReservedBits = []
  ) -> [Frame] {
    var frames: [Frame] = []
    var rest = payload[...]
    for size in sizes + [payload.count] {
      frames.append(
        Frame(
          opcode: frames.isEmpty ? opcode : .continuation, payload: Array(rest.prefix(size)),
          isFinal: false, rsv: frames.isEmpty ? rsv : []))
      rest = rest.dropFirst(size)
    }
    frames[frames.count - 1].isFinal = true
    return frames
  }
}

/// A stretch of a stream, and where it may be cut: neither in a header nor in a control frame.
struct Octets {
  private(set) var octets: [UInt8] = []
  /// In ascending order, without the beginning.
  private(set) var cuts: [Int] = []

  init(_ frames: [Frame], from sender: FrameHeader.Sender) {
    for (index, frame) in frames.enumerated() {
      let wire = frame.wire(from: sender, key: 0x9E37_79B9 &* UInt32(index + 1))
      let end = self.octets.count + wire.count
      self.cuts += frame.opcode.isControl ? end...end : end - frame.payload.count...end
      self.octets += wire
    }
  }

  /// The stretch in pieces, cut wherever `isCut` says so and it may be.
  func pieces(where isCut: (Int) -> Bool) -> [ArraySlice<UInt8>] {
    let ends = self.cuts.filter { $0 < self.octets.count && isCut($0) }
    return zip([0] + ends, ends + [self.octets.count]).map { self.octets[$0..<$1] }
  }
}

/// Frames as they were read from a stream, and the messages that they make.
struct Reading {
  var frames: [Frame] = []

  /// Reads a whole stream, and records whatever is against RFC 6455 §5.
  init(
    _ octets: [UInt8], from sender: FrameHeader.Sender,
    allowing bits: FrameHeader.ReservedBits? = nil
  ) throws {
    let allowed = bits ?? (sender == .server ? .rsv1 : [])
    var rest = octets[...]
    var sequence = FrameSequence()
    while !rest.isEmpty {
      let header = try #require(try FrameHeader.parse(Array(rest.prefix(14)).span))
      try header.check(from: sender, allowing: allowed)
      try sequence.received(header)
      rest = rest.dropFirst(header.headerByteCount)
      var payload = Array(rest.prefix(Int(header.payloadByteCount)))
      try #require(payload.count == Int(header.payloadByteCount))
      if let key = header.maskKey {
        var span = payload.mutableSpan
        Mask(key: key).apply(to: &span, at: 0)
      }
      rest = rest.dropFirst(payload.count)
      self.frames.append(
        Frame(
          opcode: header.opcode, payload: payload, isFinal: header.isFinal, rsv: header.rsv))
    }
    try #require(!sequence.isInsideMessage)
  }

  /// The data messages, fragments joined.
  var messages: [Frame] {
    self.frames.filter { !$0.opcode.isControl }.reduce(into: []) { messages, frame in
      if frame.opcode == .continuation {
        messages[messages.count - 1].payload += frame.payload
      } else {
        var message = frame
        message.isFinal = true
        messages.append(message)
      }
    }
  }

  var controls: [Frame] { self.frames.filter { $0.opcode.isControl } }
}

/// Both directions.
protocol Transforming: ~Copyable {
  mutating func transform(
    _ input: inout Buffer, into output: inout Buffer
  ) throws(CompressionFault) -> Progress
}
extension ClientInflation: Transforming {}
extension ServerDeflation: Transforming {}

extension Transforming where Self: ~Copyable {
  /// Has the pieces transformed one after the other. `sent` has what went out before a fault.
  mutating func deliver(
    _ pieces: [ArraySlice<UInt8>], roomByteCount: Int = 1 << 16, sent: inout [UInt8]
  ) throws {
    var input = Buffer(capacity: max(pieces.map(\.count).max() ?? 1, 1))
    var output = Buffer(capacity: roomByteCount)
    for piece in pieces {
      input.append(piece.span)
      var progress = Progress.needsRoom
      while progress == .needsRoom {
        do {
          progress = try self.transform(&input, into: &output)
        } catch {
          sent += output.takeAll()
          throw error
        }
        try #require(progress == .needsInput || output.count > 0, "no progress")
        sent += output.takeAll()
      }
      try #require(input.count == 0)
    }
  }

  mutating func deliver(
    _ pieces: [ArraySlice<UInt8>], roomByteCount: Int = 1 << 16
  ) throws -> [UInt8] {
    var sent: [UInt8] = []
    try self.deliver(pieces, roomByteCount: roomByteCount, sent: &sent)
    return sent
  }
}

extension DeflateAgreement {
  /// The answer to an offer of these parameters.
  static func offered(_ parameters: (String, String?)...) throws -> DeflateAgreement {
    let offer = Extension(
      name: "permessage-deflate", parameters: parameters.map { .init(name: $0.0, value: $0.1) })
    return try #require(DeflateAgreement.negotiate(offers: [offer]))
  }

  /// What the two ends may or may not do, all of it.
  static func all() throws -> [DeflateAgreement] {
    var agreements: [DeflateAgreement] = []
    for keeps in [true, false] {
      for bits in [nil, 8, 9, 10, 11, 12, 15] {
        var parameters: [Extension.Parameter] = []
        if let bits {
          parameters.append(.init(name: "client_max_window_bits", value: String(bits)))
          parameters.append(.init(name: "server_max_window_bits", value: String(max(bits, 9))))
        }
        if !keeps {
          parameters.append(.init(name: "client_no_context_takeover"))
          parameters.append(.init(name: "server_no_context_takeover"))
        }
        let offer = Extension(name: "permessage-deflate", parameters: parameters)
        agreements.append(try #require(DeflateAgreement.negotiate(offers: [offer])))
      }
    }
    return agreements
  }
}
