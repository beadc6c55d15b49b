/// What a close frame carries (RFC 6455 §5.5.1): nothing, or a code and perhaps a reason.
public struct ClosePayload: Sendable, Hashable {
  /// The code, `nil` where the frame was empty.
  public let code: CloseCode?
  /// The reason, which may be empty.
  public let reason: String

  /// The most octets of a reason: what a control frame can hold behind the code.
  public static let reasonByteCountMax = FrameHeader.controlPayloadByteCountMax - 2

  /// A payload of our own. A reason over ``reasonByteCountMax`` octets is cut between characters.
  public init(code: CloseCode, reason: String = "") {
    self.code = code
    var reason = reason[...]
    while reason.utf8.count > Self.reasonByteCountMax { reason.removeLast() }
    self.reason = String(reason)
  }

  private init(received code: CloseCode?, reason: String) {
    self.code = code
    self.reason = reason
  }

  /// Reads the whole payload of a close frame, the mask taken off.
  public static func parse(_ payload: Span<UInt8>) throws(FrameViolation) -> ClosePayload {
    guard payload.count > 0 else { return ClosePayload(received: nil, reason: "") }
    guard payload.count > 1 else { throw .badCloseCode }
    let code = CloseCode(rawValue: UInt16(payload[0]) << 8 | UInt16(payload[1]))
    guard code.mayAppearOnWire else { throw .badCloseCode }
    var octets: [UInt8] = []
    for index in 2..<payload.count { octets.append(payload[index]) }
    guard let reason = String(validating: octets, as: UTF8.self) else { throw .badCloseReason }
    return ClosePayload(received: code, reason: reason)
  }

  /// Appends the whole close frame: masked with `maskKey` where it goes to a server, without a mask
  /// where it goes to a client.
  public func writeFrame(into octets: inout [UInt8], maskKey: UInt32? = nil) {
    var payload: [UInt8] = []
    if let code = self.code {
      payload.append(UInt8(code.rawValue >> 8))
      payload.append(UInt8(truncatingIfNeeded: code.rawValue))
      payload.append(contentsOf: self.reason.utf8)
    }
    let header = FrameHeader(
      opcode: .close, payloadByteCount: UInt64(payload.count), maskKey: maskKey)
    header.write(into: &octets)
    if let maskKey {
      var span = payload.mutableSpan
      Mask(key: maskKey).apply(to: &span, at: 0)
    }
    octets.append(contentsOf: payload)
  }
}
