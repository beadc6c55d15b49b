internal import HTTP
internal import WebSocket

/// One client of the echo backend. Pure: octets in, octets out.
///
///     reading head ──upgrade──▶ echoing ──close frame, violation──▶ ended
///          └──anything else: an answer─────────────────────────────▶ ended
struct EchoSession: ~Copyable {
  private enum State: ~Copyable {
    case readingHead(RequestReader)
    case echoing(Echoing)
    case ended
  }

  private var state: State

  init() {
    self.state = .readingHead(
      RequestReader(headByteCountMax: 64 * 1024, targetByteCountMax: 16 * 1024))
  }

  private init(_ state: consuming State) { self.state = state }

  /// What received octets lead to.
  enum OnOctets: Equatable {
    case send([UInt8])
    /// Send these, then close.
    case sendAndClose([UInt8])
  }

  mutating func received(_ octets: [UInt8]) -> OnOctets {
    switch consume self.state {
    case .readingHead(var reader):
      let outcome = Self.readHead(&reader, octets)
      switch outcome {
      case .needMore:
        self = .init(.readingHead(reader))
        return .send([])
      case .refused(let answer):
        self = .init(.ended)
        return .sendAndClose(answer)
      case .upgraded(let answer, let rest):
        var echoing = Echoing()
        let echo = echoing.received(octets[rest...])
        self = .init(echoing.isOver ? .ended : .echoing(echoing))
        return echoing.isOver ? .sendAndClose(answer + echo) : .send(answer + echo)
      }
    case .echoing(var echoing):
      let echo = echoing.received(octets[...])
      let isOver = echoing.isOver
      self = .init(isOver ? .ended : .echoing(echoing))
      return isOver ? .sendAndClose(echo) : .send(echo)
    case .ended:
      self = .init(.ended)
      return .sendAndClose([])
    }
  }

  private enum OnHead {
    case needMore
    case refused([UInt8])
    case upgraded([UInt8], rest: Int)
  }

  private static func readHead(_ reader: inout RequestReader, _ octets: [UInt8]) -> OnHead {
    do throws(HeadError) {
      guard case .head(let head, let consumed) = try reader.receive(octets.span) else {
        return .needMore
      }
      do throws(UpgradeRequest.Rejection) {
        let request = try UpgradeRequest.parse(head)
        let answer = responseHead101(
          answering: request, subprotocol: request.subprotocols.first)
        return .upgraded(answer.serialized(), rest: consumed)
      } catch {
        return .refused(Self.answer(error.status, error.reason, error.fields))
      }
    } catch {
      return .refused(Self.answer(error.status, error.reason, []))
    }
  }

  private static func answer(
    _ status: Int, _ reason: String, _ more: [(name: String, value: String)]
  ) -> [UInt8] {
    let body = Array("\(reason)\n".utf8)
    var fields = Fields()
    for (name, value) in more { fields.append(name: name, value: value) }
    fields.append(name: "Content-Type", value: "text/plain; charset=utf-8")
    fields.append(name: "Content-Length", value: String(body.count))
    fields.append(name: "Connection", value: "close")
    return ResponseHead(status: status, fields: fields).serialized() + body
  }
}

/// The frames of an open session. Data frames are sent back as they come, piece by piece: a message
/// of any size needs no memory of its own.
struct Echoing {
  private(set) var isOver = false
  /// A header, or a control frame, of which only the beginning is here.
  private var pending: [UInt8] = []
  private var sequence = FrameSequence()
  /// The data frame whose payload is coming in.
  private var frame: (mask: Mask, left: UInt64, passed: Int)?

  mutating func received(_ octets: ArraySlice<UInt8>) -> [UInt8] {
    var output: [UInt8] = []
    var rest = self.pending[...] + octets
    self.pending = []
    do throws(FrameViolation) {
      while !rest.isEmpty, !self.isOver {
        if self.frame != nil {
          self.passPayload(&rest, into: &output)
        } else if try !self.beginFrame(&rest, into: &output) {
          self.pending = Array(rest)
          break
        }
      }
    } catch {
      self.isOver = true
      ClosePayload(code: error.closeCode, reason: error.reason).writeFrame(into: &output)
    }
    return output
  }

  private mutating func passPayload(_ rest: inout ArraySlice<UInt8>, into output: inout [UInt8]) {
    guard var frame = self.frame else { return }
    let count = Int(min(UInt64(rest.count), frame.left))
    var piece = Array(rest.prefix(count))
    var span = piece.mutableSpan
    frame.mask.apply(to: &span, at: frame.passed)
    output += piece
    rest = rest.dropFirst(count)
    frame.left -= UInt64(count)
    frame.passed += count
    self.frame = frame.left == 0 ? nil : frame
  }

  /// Takes a header, and all of a control frame; whether enough was there.
  private mutating func beginFrame(
    _ rest: inout ArraySlice<UInt8>, into output: inout [UInt8]
  ) throws(FrameViolation) -> Bool {
    guard let header = try FrameHeader.parse(rest.span) else { return false }
    try header.check(from: .client, allowing: [])
    if header.opcode.isControl {
      let end = header.headerByteCount + Int(header.payloadByteCount)
      guard rest.count >= end else { return false }
      try self.sequence.received(header)
      try self.answer(header, rest.prefix(end).dropFirst(header.headerByteCount), into: &output)
      rest = rest.dropFirst(end)
      return true
    }
    try self.sequence.received(header)
    FrameHeader(
      opcode: header.opcode, payloadByteCount: header.payloadByteCount, isFinal: header.isFinal
    ).write(into: &output)
    rest = rest.dropFirst(header.headerByteCount)
    if header.payloadByteCount > 0 {
      self.frame = (Mask(key: header.maskKey ?? 0), header.payloadByteCount, 0)
    }
    return true
  }

  private mutating func answer(
    _ header: FrameHeader, _ masked: ArraySlice<UInt8>, into output: inout [UInt8]
  ) throws(FrameViolation) {
    var payload = Array(masked)
    var span = payload.mutableSpan
    Mask(key: header.maskKey ?? 0).apply(to: &span, at: 0)
    switch header.opcode {
    case .ping:
      FrameHeader(opcode: .pong, payloadByteCount: header.payloadByteCount).write(into: &output)
      output += payload
    case .close:
      self.isOver = true
      _ = try ClosePayload.parse(payload.span)
      // RFC 6455 §5.5.1: the code that was received is sent back.
      FrameHeader(opcode: .close, payloadByteCount: UInt64(min(payload.count, 2)))
        .write(into: &output)
      output += payload.prefix(2)
    default: break
    }
  }
}
