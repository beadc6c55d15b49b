internal import CNGHTTP2
internal import Net

/// nghttp2 as it is set up here.
enum Library {
  static let noFlags = UInt8(NGHTTP2_FLAG_NONE.rawValue)
  /// What every connection begins with, and no setting changes (RFC 9113 §6.9.2).
  private static let connectionWindowByteCountMin: Int32 = 65_535

  /// A server's session whose user data is `engine`; `nil` without memory.
  static func makeSession(
    _ engine: UnsafeMutablePointer<Engine>, _ rules: SessionRules
  ) -> OpaquePointer? {
    var (callbacks, options, session): (OpaquePointer?, OpaquePointer?, OpaquePointer?)
    defer {
      unsafe nghttp2_session_callbacks_del(callbacks)
      unsafe nghttp2_option_del(options)
    }
    guard unsafe nghttp2_session_callbacks_new(&callbacks) == 0, let table = unsafe callbacks,
      unsafe nghttp2_option_new(&options) == 0, let chosen = unsafe options
    else { return nil }
    unsafe Callbacks.register(on: table)
    unsafe Self.choose(chosen, rules)
    guard unsafe nghttp2_session_server_new2(&session, table, engine, chosen) == 0,
      let made = unsafe session
    else { return nil }
    if unsafe Self.announce(rules, made) { return unsafe made }
    unsafe nghttp2_session_del(made)
    return nil
  }

  private static func choose(_ options: OpaquePointer, _ rules: SessionRules) {
    // Windows open when the application has taken content, not before.
    unsafe nghttp2_option_set_no_auto_window_update(options, 1)
    unsafe nghttp2_option_set_no_closed_streams(options, 1)
    unsafe nghttp2_option_set_max_continuations(
      options, Restraints.continuationCountMax(rules))
    // Counted by Restraints, on the clock that is handed in; here the limit could not be told apart.
    unsafe nghttp2_option_set_stream_reset_rate_limit(options, .max, .max)
    for type in FrameType.extensions {
      unsafe nghttp2_option_set_user_recv_extension_type(options, type)
    }
  }

  /// The settings that a client reads first.
  private static func announce(_ rules: SessionRules, _ session: OpaquePointer) -> Bool {
    var settings = [
      Self.setting(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, rules.streamCountMax),
      Self.setting(
        NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, min(rules.streamWindowByteCount, Int(Int32.max))),
      Self.setting(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, rules.headByteCountMax),
      // Nothing is done with the priorities of RFC 7540 (RFC 9218 §2.1).
      Self.setting(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1),
    ]
    if rules.offersWebSocket {
      settings.append(Self.setting(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1))
    }
    let window = max(
      Int32(clamping: rules.connectionWindowByteCount), Self.connectionWindowByteCountMin)
    return unsafe nghttp2_submit_settings(session, Self.noFlags, settings, settings.count) == 0
      && nghttp2_session_set_local_window_size(session, Self.noFlags, 0, window) == 0
  }

  private static func setting(_ id: nghttp2_settings_id, _ value: Int) -> nghttp2_settings_entry {
    nghttp2_settings_entry(settings_id: Int32(id.rawValue), value: UInt32(clamping: value))
  }

  /// Moves what nghttp2 has to send into the queue; DATA frames go there past it.
  static func collect(
    _ session: OpaquePointer, into queue: UnsafeMutablePointer<ByteQueue>,
    _ pool: UnsafeMutablePointer<ChunkPool>
  ) -> CInt {
    while true {
      var octets: UnsafePointer<UInt8>?
      let count = unsafe nghttp2_session_mem_send(session, &octets)
      guard count > 0 else { return CInt(count) }
      // SAFETY: nghttp2 keeps them until the next call.
      let frame = unsafe UnsafeRawBufferPointer(start: octets, count: count)
      unsafe queue.pointee.append(frame, from: &pool.pointee)
    }
  }

  /// Reads how much of an answer's content goes into the next frame.
  static var content: nghttp2_data_provider {
    var provider = unsafe nghttp2_data_provider()
    unsafe provider.read_callback = { session, number, _, byteCountMax, flags, _, userData in
      guard let session = unsafe session, let flags = unsafe flags,
        let engine = unsafe userData?.assumingMemoryBound(to: Engine.self),
        let stream = unsafe Arrival(session: session, engine: engine).stream(number)
      else { return Int(NGHTTP2_ERR_DEFERRED.rawValue) }
      return unsafe Departure(engine: engine).content(
        of: stream, byteCountMax: byteCountMax, flags)
    }
    return unsafe provider
  }

  /// What an error of nghttp2 that ends it means.
  static func fault(_ code: CInt) -> SessionFault {
    switch code {
    case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS.rawValue: SessionFault(.continuationFlood)
    // A thousand acknowledgements in one receive: of what, nghttp2 does not say.
    case NGHTTP2_ERR_FLOODED.rawValue: SessionFault(.pingFlood)
    case NGHTTP2_ERR_BAD_CLIENT_MAGIC.rawValue:
      SessionFault(.server, .protocolError, reason: "The connection preface is not HTTP/2's.")
    default:
      SessionFault(
        .server, .internalError, reason: unsafe String(cString: nghttp2_strerror(code)))
    }
  }

  /// A GOAWAY frame that names no stream as taken (RFC 9113 §6.8).
  static func goAway(_ code: ErrorCode) -> [UInt8] {
    var frame: [UInt8] = [0, 0, 8, FrameType.goAway, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    for shift in [24, 16, 8, 0] {
      frame.append(UInt8(truncatingIfNeeded: code.rawValue >> UInt32(shift)))
    }
    return frame
  }
}
