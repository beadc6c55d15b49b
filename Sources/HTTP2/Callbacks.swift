internal import CNGHTTP2
internal import Net

/// The types of frames that are looked at here (RFC 9113 §6).
enum FrameType {
  static let data: UInt8 = 0x0
  static let headers: UInt8 = 0x1
  static let priority: UInt8 = 0x2
  static let resetStream: UInt8 = 0x3
  static let settings: UInt8 = 0x4
  static let ping: UInt8 = 0x6
  static let goAway: UInt8 = 0x7
  static let windowUpdate: UInt8 = 0x8
  /// Types from here up are extensions (nghttp2 hands on none below).
  static let extensions: ClosedRange<UInt8> = 0xA...0xFF
}

/// nghttp2's callbacks: C to Swift, and nothing more. Each finds the ``Engine`` behind its user data.
enum Callbacks {
  private static let failure = NGHTTP2_ERR_CALLBACK_FAILURE.rawValue

  /// The engine of a session.
  ///
  /// SAFETY: ``Session`` gave nghttp2 the address, which is valid for as long as nghttp2 has it.
  private static func engine(_ userData: UnsafeMutableRawPointer?) -> UnsafeMutablePointer<Engine>?
  {
    unsafe userData?.assumingMemoryBound(to: Engine.self)
  }

  static func register(on callbacks: OpaquePointer) {
    unsafe Self.registerFields(on: callbacks)
    unsafe Self.registerFrames(on: callbacks)
    unsafe Self.registerStreams(on: callbacks)
    unsafe Self.registerContent(on: callbacks)
    unsafe Self.registerSending(on: callbacks)
  }

  private static func registerFields(on callbacks: OpaquePointer) {
    unsafe nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) {
      _, frame, userData in
      guard let frame = unsafe frame, let engine = unsafe Callbacks.engine(userData) else {
        return Callbacks.failure
      }
      unsafe engine.pointee.beginBlock(frame.pointee.hd.stream_id)
      return 0
    }
    unsafe nghttp2_session_callbacks_set_on_header_callback(callbacks) {
      session, _, name, nameCount, value, valueCount, _, userData in
      unsafe Callbacks.appendField(session, (name, nameCount), (value, valueCount), userData)
    }
    // What nghttp2 would leave out as no field at all is malformed (RFC 9113 §8.2.1): the block says so.
    unsafe nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks) {
      session, _, name, nameCount, value, valueCount, _, userData in
      unsafe Callbacks.appendField(session, (name, nameCount), (value, valueCount), userData)
    }
  }

  private static func registerFrames(on callbacks: OpaquePointer) {
    unsafe nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks) {
      session, header, userData in
      guard let session = unsafe session, let header = unsafe header,
        let engine = unsafe Callbacks.engine(userData)
      else { return Callbacks.failure }
      unsafe Arrival(session: session, engine: engine).begin(header.pointee)
      return 0
    }
    unsafe nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) {
      session, frame, userData in
      guard let session = unsafe session, let frame = unsafe frame,
        let engine = unsafe Callbacks.engine(userData)
      else { return Callbacks.failure }
      unsafe Arrival(session: session, engine: engine).take(frame)
      return 0
    }
    // Registered so that frames of unknown types are counted, and read no further.
    unsafe nghttp2_session_callbacks_set_unpack_extension_callback(callbacks) { _, _, _, _ in 0 }
  }

  private static func registerStreams(on callbacks: OpaquePointer) {
    unsafe nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks) {
      session, _, fault, userData in
      // The others are told by the end of their stream; one that was refused was never opened.
      guard fault == NGHTTP2_ERR_REFUSED_STREAM.rawValue, let session = unsafe session,
        let engine = unsafe Callbacks.engine(userData)
      else { return 0 }
      unsafe Arrival(session: session, engine: engine).count(.rapidReset)
      return 0
    }
    unsafe nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) {
      session, number, code, userData in
      guard let session = unsafe session, let engine = unsafe Callbacks.engine(userData) else {
        return Callbacks.failure
      }
      unsafe Arrival(session: session, engine: engine)
        .close(number, ErrorCode(rawValue: code))
      return 0
    }
  }

  private static func registerContent(on callbacks: OpaquePointer) {
    unsafe nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) {
      session, _, number, octets, count, userData in
      guard let session = unsafe session, let octets = unsafe octets,
        let engine = unsafe Callbacks.engine(userData)
      else { return Callbacks.failure }
      return unsafe Arrival(session: session, engine: engine).take(octets, count, of: number)
    }
  }

  private static func registerSending(on callbacks: OpaquePointer) {
    unsafe nghttp2_session_callbacks_set_send_data_callback(callbacks) {
      _, _, header, count, _, userData in
      guard let header = unsafe header, let engine = unsafe Callbacks.engine(userData) else {
        return Callbacks.failure
      }
      return unsafe Departure(engine: engine).frame(header, contentByteCount: count)
    }
    // Called for all frames but DATA, so that it costs no message anything.
    unsafe nghttp2_session_callbacks_set_before_frame_send_callback(callbacks) {
      _, frame, userData in
      guard let frame = unsafe frame, let engine = unsafe Callbacks.engine(userData) else {
        return Callbacks.failure
      }
      unsafe Departure(engine: engine).note(frame)
      return 0
    }
    unsafe nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks) {
      session, frame, _, userData in
      guard let session = unsafe session, let frame = unsafe frame else { return 0 }
      // A head that nghttp2 does not take, for its size as a rule, leaves a stream without an answer.
      if unsafe frame.pointee.hd.type == FrameType.headers {
        unsafe nghttp2_submit_rst_stream(
          session, UInt8(NGHTTP2_FLAG_NONE.rawValue), frame.pointee.hd.stream_id,
          ErrorCode.internalError.rawValue)
      }
      return 0
    }
  }

  private static func appendField(
    _ session: OpaquePointer?, _ name: (UnsafePointer<UInt8>?, Int),
    _ value: (UnsafePointer<UInt8>?, Int), _ userData: UnsafeMutableRawPointer?
  ) -> CInt {
    guard let session = unsafe session, let engine = unsafe Callbacks.engine(userData) else {
      return Callbacks.failure
    }
    // SAFETY: nghttp2 keeps both for as long as the callback runs.
    let nameOctets = unsafe UnsafeBufferPointer(start: name.0, count: name.1)
    let valueOctets = unsafe UnsafeBufferPointer(start: value.0, count: value.1)
    let isTaken = unsafe engine.pointee.appendField(
      name: nameOctets.span, value: valueOctets.span)
    if !isTaken { unsafe Arrival(session: session, engine: engine).end(SessionFault(.headerBomb)) }
    return 0
  }
}
