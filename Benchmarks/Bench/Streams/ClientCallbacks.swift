import CNGHTTP2
import HTTP2

/// nghttp2's callbacks of a client: C to Swift, and nothing more. Each finds the ``ClientState``
/// behind its user data.
enum ClientCallbacks {
  private static let failure = NGHTTP2_ERR_CALLBACK_FAILURE.rawValue

  /// The state of a session.
  ///
  /// SAFETY: ``ClientSession`` gave nghttp2 the address, which is valid as long as nghttp2 has it.
  private static func state(
    _ userData: UnsafeMutableRawPointer?
  ) -> UnsafeMutablePointer<ClientState>? {
    unsafe userData?.assumingMemoryBound(to: ClientState.self)
  }

  /// The index that nghttp2 keeps with a stream, counted from 1: 0 is none.
  private static func index(_ session: OpaquePointer?, _ number: Int32) -> Int? {
    let kept = unsafe Int(bitPattern: nghttp2_session_get_stream_user_data(session, number))
    return kept > 0 ? kept - 1 : nil
  }

  static func register(on callbacks: OpaquePointer) {
    unsafe Self.registerFields(on: callbacks)
    unsafe Self.registerFrames(on: callbacks)
    unsafe Self.registerContent(on: callbacks)
  }

  private static func registerFields(on callbacks: OpaquePointer) {
    unsafe nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, _, userData in
      guard let state = unsafe ClientCallbacks.state(userData) else {
        return ClientCallbacks.failure
      }
      unsafe state.pointee.beginBlock()
      return 0
    }
    unsafe nghttp2_session_callbacks_set_on_header_callback(callbacks) {
      _, _, name, nameCount, value, valueCount, _, userData in
      guard let state = unsafe ClientCallbacks.state(userData) else {
        return ClientCallbacks.failure
      }
      // SAFETY: nghttp2 keeps both for as long as the callback runs.
      unsafe state.pointee.take(
        name: UnsafeBufferPointer(start: name, count: nameCount),
        value: UnsafeBufferPointer(start: value, count: valueCount))
      return 0
    }
  }

  private static func registerFrames(on callbacks: OpaquePointer) {
    unsafe nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) {
      session, frame, userData in
      guard let frame = unsafe frame, let state = unsafe ClientCallbacks.state(userData) else {
        return ClientCallbacks.failure
      }
      let index = unsafe ClientCallbacks.index(session, frame.pointee.hd.stream_id)
      unsafe ClientCallbacks.take(frame, index, state)
      return 0
    }
    unsafe nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) {
      session, number, code, userData in
      guard let state = unsafe ClientCallbacks.state(userData) else {
        return ClientCallbacks.failure
      }
      guard let index = unsafe ClientCallbacks.index(session, number) else { return 0 }
      unsafe state.pointee.append(.closed(index, ErrorCode(rawValue: code)))
      return 0
    }
  }

  private static func take(
    _ frame: UnsafePointer<nghttp2_frame>, _ index: Int?,
    _ state: UnsafeMutablePointer<ClientState>
  ) {
    let header = unsafe frame.pointee.hd
    switch UInt32(header.type) {
    case NGHTTP2_SETTINGS.rawValue where !header.has(NGHTTP2_FLAG_ACK):
      unsafe state.pointee.append(.settings)
    case NGHTTP2_GOAWAY.rawValue:
      let code = unsafe ErrorCode(rawValue: frame.pointee.goaway.error_code)
      unsafe state.pointee.append(.goingAway(code))
    case NGHTTP2_HEADERS.rawValue:
      if let index { unsafe state.pointee.endBlock(of: index) }
    default: break
    }
    if let index, header.has(NGHTTP2_FLAG_END_STREAM) {
      unsafe state.pointee.append(.ended(index))
    }
  }

  private static func registerContent(on callbacks: OpaquePointer) {
    unsafe nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) {
      session, _, number, octets, count, userData in
      guard let octets = unsafe octets, let state = unsafe ClientCallbacks.state(userData) else {
        return ClientCallbacks.failure
      }
      if let index = unsafe ClientCallbacks.index(session, number) {
        unsafe state.pointee.takeContent(octets, count, of: index)
      }
      return 0
    }
  }

  /// Reads what comes next on a stream, where something waits.
  static var content: nghttp2_data_provider {
    var provider = unsafe nghttp2_data_provider()
    unsafe provider.read_callback = { session, number, octets, byteCountMax, _, _, userData in
      guard let state = unsafe ClientCallbacks.state(userData),
        let index = unsafe ClientCallbacks.index(session, number)
      else { return Int(NGHTTP2_ERR_DEFERRED.rawValue) }
      let count = unsafe state.pointee.copyNext(
        of: index, to: UnsafeMutableBufferPointer(start: octets, count: byteCountMax))
      return count > 0 ? count : Int(NGHTTP2_ERR_DEFERRED.rawValue)
    }
    return unsafe provider
  }
}

extension nghttp2_frame_hd {
  fileprivate func has(_ flag: nghttp2_flag) -> Bool { UInt32(self.flags) & flag.rawValue != 0 }
}
