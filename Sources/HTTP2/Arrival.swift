internal import CNGHTTP2

/// What becomes of what nghttp2 has read: one value for the length of a callback.
@unsafe struct Arrival {
  let session: OpaquePointer
  let engine: UnsafeMutablePointer<Engine>

  /// The header of a frame: of those that nghttp2 may ignore it is all that is told.
  func begin(_ header: nghttp2_frame_hd) {
    switch header.type {
    case FrameType.priority:
      unsafe self.count(.priorityFlood)
      // Not looked at by nghttp2, which has been told that priorities mean nothing.
      if header.stream_id == 0 { unsafe self.end(Self.priorityOfConnection) }
    case FrameType.windowUpdate: unsafe self.count(.windowUpdateFlood)
    default: break
    }
  }

  /// RFC 9113 §6.3.
  private static let priorityOfConnection = SessionFault(
    .server, .protocolError, reason: "PRIORITY: stream_id == 0")

  /// A whole frame; of DATA the header only, content has come before.
  func take(_ frame: UnsafePointer<nghttp2_frame>) {
    let header = unsafe frame.pointee.hd
    switch header.type {
    case FrameType.data: unsafe self.takeData(frame)
    case FrameType.headers: unsafe self.takeHeaders(frame)
    case FrameType.windowUpdate: unsafe self.engine.pointee.windowsGrew = true
    case FrameType.settings where !header.has(NGHTTP2_FLAG_ACK):
      // A larger initial window opens all streams (RFC 9113 §6.9.2).
      unsafe self.engine.pointee.windowsGrew = true
      unsafe self.count(.settingsFlood)
    case FrameType.ping: unsafe self.takePing(frame)
    case FrameType.resetStream: unsafe self.takeReset(header.stream_id)
    case FrameType.goAway:
      unsafe self.takeGoAway(ErrorCode(rawValue: frame.pointee.goaway.error_code))
    case FrameType.extensions: unsafe self.count(.priorityFlood)
    default: break
    }
  }

  private func takeData(_ frame: UnsafePointer<nghttp2_frame>) {
    let header = unsafe frame.pointee.hd
    if header.has(NGHTTP2_FLAG_END_STREAM) {
      guard let stream = unsafe self.stream(header.stream_id) else { return }
      unsafe self.engine.pointee.endThere(stream)
    } else if unsafe header.length == frame.pointee.data.padlen {
      // Padding alone is as empty as nothing; nghttp2 counts its length octet as padding.
      unsafe self.count(.emptyData)
    }
  }

  private func takeHeaders(_ frame: UnsafePointer<nghttp2_frame>) {
    let header = unsafe frame.pointee.hd
    guard unsafe !self.engine.pointee.isTerminated else { return }
    guard unsafe frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST else {
      guard let stream = unsafe self.stream(header.stream_id) else { return }
      guard unsafe self.engine.pointee.takeTrailers(of: stream) else {
        return unsafe self.reset(header.stream_id, .protocolError)
      }
      if header.has(NGHTTP2_FLAG_END_STREAM) { unsafe self.engine.pointee.endThere(stream) }
      return
    }
    let stream = unsafe self.engine.pointee.openStream(
      header.stream_id, endsStream: header.has(NGHTTP2_FLAG_END_STREAM))
    guard let stream else { return }
    // A slot is told from "none" by counting from 1.
    unsafe nghttp2_session_set_stream_user_data(
      self.session, header.stream_id, UnsafeMutableRawPointer(bitPattern: stream.slot + 1))
  }

  private func takePing(_ frame: UnsafePointer<nghttp2_frame>) {
    guard unsafe frame.pointee.hd.has(NGHTTP2_FLAG_ACK) else {
      return unsafe self.count(.pingFlood)
    }
    let octets = unsafe frame.pointee.ping.opaque_data
    let payload = unsafe withUnsafeBytes(of: octets) { unsafe $0.loadUnaligned(as: UInt64.self) }
    unsafe self.engine.pointee.events.append(.pong(UInt64(bigEndian: payload)))
  }

  /// nghttp2 closes the stream behind this.
  private func takeReset(_ number: Int32) {
    unsafe self.engine.pointee.resetByClient = number
    guard let stream = unsafe self.stream(number) else {
      // It was closed already: a frame that means nothing.
      return unsafe self.count(.priorityFlood)
    }
    if unsafe !self.engine.pointee.streams[stream].facts.contains(.endsHere) {
      unsafe self.count(.rapidReset)
    }
  }

  private func takeGoAway(_ code: ErrorCode) {
    if code != .noError, unsafe self.engine.pointee.fault == nil {
      unsafe self.engine.pointee.fault = SessionFault(
        .client, code, reason: "The client ended the connection with \(code).")
    }
    unsafe self.engine.pointee.events.append(.goingAway)
  }

  /// A part of the content of a stream.
  func take(_ octets: UnsafePointer<UInt8>, _ count: Int, of number: Int32) -> CInt {
    // The connection's window opens at once, so that no stream that is slow can stop another.
    let code = unsafe nghttp2_session_consume_connection(self.session, count)
    guard code == 0 else { return NGHTTP2_ERR_CALLBACK_FAILURE.rawValue }
    if let stream = unsafe self.stream(number),
      unsafe self.engine.pointee.takeContent(octets, count, of: stream)
    {
      return 0
    }
    // Nobody is there to take it.
    unsafe nghttp2_session_consume_stream(self.session, number, count)
    return 0
  }

  /// nghttp2 has closed a stream.
  func close(_ number: Int32, _ code: ErrorCode) {
    let isByClient = unsafe self.engine.pointee.resetByClient == number
    unsafe self.engine.pointee.resetByClient = 0
    unsafe self.engine.pointee.forgetBlock(of: number)
    let stream = unsafe self.stream(number)
    let isByApplication = stream.map { unsafe self.engine.pointee.isReset($0) } ?? false
    if let stream { unsafe self.engine.pointee.closeStream(stream, code) }
    // What is left is an error that was found here. One of our own making is not the client's.
    let isInError = code != .noError && code != .refusedStream && code != .internalError
    if isInError, !isByClient, !isByApplication { unsafe self.count(.malformedRequests) }
  }

  private func reset(_ number: Int32, _ code: ErrorCode) {
    unsafe nghttp2_submit_rst_stream(
      self.session, UInt8(NGHTTP2_FLAG_NONE.rawValue), number, code.rawValue)
  }

  func count(_ abuse: Abuse) {
    if unsafe !self.engine.pointee.allows(abuse) {
      unsafe self.terminate(.enhanceYourCalm)
    }
  }

  /// Ends the session for what is not counted.
  func end(_ fault: SessionFault) {
    guard unsafe !self.engine.pointee.isTerminated else { return }
    unsafe self.engine.pointee.fault = fault
    unsafe self.terminate(fault.code)
  }

  private func terminate(_ code: ErrorCode) {
    unsafe self.engine.pointee.isTerminated = true
    unsafe nghttp2_session_terminate_session(self.session, code.rawValue)
  }

  /// The stream in whose user data nghttp2 keeps the slot.
  func stream(_ number: Int32) -> StreamID? {
    let slot = unsafe Int(
      bitPattern: nghttp2_session_get_stream_user_data(self.session, number))
    return unsafe self.engine.pointee.streams.stream(inSlot: slot - 1)
  }
}

extension nghttp2_frame_hd {
  func has(_ flag: nghttp2_flag) -> Bool { UInt32(self.flags) & flag.rawValue != 0 }
}
