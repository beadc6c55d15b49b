internal import CNGHTTP2
internal import Net

/// What becomes of what nghttp2 has to send: one value for the length of a callback.
@unsafe struct Departure {
  /// Octets of the header that each frame has (RFC 9113 §4.1).
  static let headerByteCount = 9

  let engine: UnsafeMutablePointer<Engine>

  /// How much of the content that is offered goes into the next frame, at most `byteCountMax`.
  func content(
    of stream: StreamID, byteCountMax: Int, _ flags: UnsafeMutablePointer<UInt32>
  ) -> Int {
    if let offer = unsafe self.engine.pointee.offer, unsafe offer.number == stream.number,
      unsafe offer.leftByteCount > 0
    {
      let count = unsafe min(offer.leftByteCount, byteCountMax)
      unsafe flags.pointee |= NGHTTP2_DATA_FLAG_NO_COPY.rawValue
      if unsafe offer.ends && count == offer.leftByteCount {
        unsafe flags.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue
      }
      return count
    }
    guard unsafe self.engine.pointee.streams[stream].facts.contains(.owesEnd) else {
      return Int(NGHTTP2_ERR_DEFERRED.rawValue)
    }
    unsafe self.engine.pointee.streams[stream].facts.remove(.owesEnd)
    unsafe flags.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue
    return 0
  }

  /// Writes a DATA frame: the header that nghttp2 made, and content where it lies.
  func frame(_ header: UnsafePointer<UInt8>, contentByteCount count: Int) -> CInt {
    guard let offer = unsafe self.engine.pointee.offer,
      let outlet = unsafe self.engine.pointee.outlet, unsafe count <= offer.leftByteCount
    else { return NGHTTP2_ERR_CALLBACK_FAILURE.rawValue }
    // SAFETY: nghttp2's header has so many octets, and the offer's octets are borrowed while it stands.
    let start = unsafe offer.octets + offer.takenByteCount
    unsafe outlet.queue.pointee.append(
      UnsafeRawBufferPointer(start: header, count: Self.headerByteCount), from: &outlet.pool.pointee
    )
    unsafe outlet.queue.pointee.append(
      UnsafeRawBufferPointer(start: start, count: count), from: &outlet.pool.pointee)
    unsafe self.engine.pointee.offer?.takenByteCount &+= count
    unsafe self.engine.pointee.restraints.earnByFrame(byteCount: count)
    return 0
  }

  /// Notes why nghttp2 ends the connection, where it was nghttp2 that found the reason.
  func note(_ frame: UnsafePointer<nghttp2_frame>) {
    guard unsafe frame.pointee.hd.type == FrameType.goAway else { return }
    let goAway = unsafe frame.pointee.goaway
    let code = unsafe ErrorCode(rawValue: goAway.error_code)
    guard code != .noError else { return }
    unsafe self.engine.pointee.isTerminated = true
    guard unsafe self.engine.pointee.fault == nil else { return }
    let reason = unsafe String(
      decoding: UnsafeBufferPointer(start: goAway.opaque_data, count: goAway.opaque_data_len),
      as: UTF8.self)
    unsafe self.engine.pointee.fault = SessionFault(
      .server, code, reason: reason.isEmpty ? "\(code)" : reason)
  }
}
