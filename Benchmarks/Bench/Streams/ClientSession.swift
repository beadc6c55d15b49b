import CNGHTTP2
import Glibc
import HTTP2
import Net

/// One HTTP/2 connection, seen from the client: octets of the server go in, events come out;
/// WebSockets (RFC 8441) and their octets go in, frames for the server come out. No descriptor, no
/// clock.
///
/// WINDOW_UPDATE goes out when half of a window was used: nghttp2 does it itself, as browsers do.
@safe struct ClientSession: ~Copyable {
  /// What the octets of the server mean. Streams are named by their indices, from 0 up in the order
  /// in which they were opened.
  enum Event: Equatable {
    /// The server's settings have come; those that matter can be asked for.
    case settings
    case answered(Int, status: Int)
    /// Content: where it lies in the octets of the last ``ClientSession/receive(_:)``.
    case content(Int, Range<Int>)
    /// The server has sent all that it had for the stream.
    case ended(Int)
    case closed(Int, ErrorCode)
    case goingAway(ErrorCode)
  }

  /// How far ``collect(into:)`` came.
  enum OnCollect: Equatable {
    case all
    /// The buffer has no room for another frame.
    case full
    case failed(String)
  }

  /// The octets that a server may send ahead, on one stream and on all of them: Chromium's.
  static let streamWindowByteCount: UInt32 = 6 * 1024 * 1024
  static let connectionWindowByteCount: Int32 = 15 * 1024 * 1024
  /// The largest frame that is sent, with its header: nghttp2 makes no larger ones, even where the
  /// server allows them.
  static let frameByteCountMax = 9 + 16 * 1024

  private static let noFlags = UInt8(NGHTTP2_FLAG_NONE.rawValue)

  private let state: UnsafeMutablePointer<ClientState>
  private let raw: OpaquePointer
  private let request: RequestLines

  /// A session that begins with its preface and settings.
  ///
  /// - Parameter request: what each stream asks for.
  /// - Throws: without memory.
  init(_ request: RequestLines) throws(Errno) {
    // SAFETY: the address is this session's alone until `deinit`, and outlives nghttp2's session.
    let state = UnsafeMutablePointer<ClientState>.allocate(capacity: 1)
    unsafe state.initialize(to: ClientState())
    guard let raw = unsafe Self.make(state) else {
      unsafe state.deinitialize(count: 1)
      unsafe state.deallocate()
      throw Errno(rawValue: ENOMEM)
    }
    unsafe self.state = state
    unsafe self.raw = raw
    self.request = request
  }

  deinit {
    unsafe nghttp2_session_del(self.raw)
    unsafe self.state.deinitialize(count: 1)
    unsafe self.state.deallocate()
  }

  private static func make(_ state: UnsafeMutablePointer<ClientState>) -> OpaquePointer? {
    var (callbacks, session): (OpaquePointer?, OpaquePointer?)
    defer { unsafe nghttp2_session_callbacks_del(callbacks) }
    guard unsafe nghttp2_session_callbacks_new(&callbacks) == 0, let table = unsafe callbacks else {
      return nil
    }
    unsafe ClientCallbacks.register(on: table)
    guard unsafe nghttp2_session_client_new(&session, table, state) == 0,
      let made = unsafe session
    else { return nil }
    if unsafe Self.announce(made) { return unsafe made }
    unsafe nghttp2_session_del(made)
    return nil
  }

  private static func announce(_ session: OpaquePointer) -> Bool {
    let settings = [
      Self.setting(NGHTTP2_SETTINGS_ENABLE_PUSH, 0),
      Self.setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, Self.streamWindowByteCount),
    ]
    return unsafe nghttp2_submit_settings(session, Self.noFlags, settings, settings.count) == 0
      && nghttp2_session_set_local_window_size(
        session, Self.noFlags, 0, Self.connectionWindowByteCount) == 0
  }

  private static func setting(_ id: nghttp2_settings_id, _ value: UInt32) -> nghttp2_settings_entry
  {
    nghttp2_settings_entry(settings_id: Int32(id.rawValue), value: value)
  }

  /// Whether the server takes WebSockets (SETTINGS_ENABLE_CONNECT_PROTOCOL, RFC 8441 §3).
  var takesWebSockets: Bool {
    unsafe nghttp2_session_get_remote_settings(
      self.raw, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1
  }

  /// Streams that the server lets be open at once (SETTINGS_MAX_CONCURRENT_STREAMS).
  var streamCountMax: Int {
    unsafe Int(
      nghttp2_session_get_remote_settings(self.raw, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS))
  }

  /// Whether nothing more is sent or received: after an error of the server's, as a rule.
  var isOver: Bool {
    unsafe nghttp2_session_want_read(self.raw) == 0 && nghttp2_session_want_write(self.raw) == 0
  }

  /// Takes octets of the server, and gives a reason where nghttp2 cannot go on. What they mean is
  /// told by ``nextEvent()``; ranges refer to these octets. Where they break a rule, the session is
  /// over behind the GOAWAY that says so.
  mutating func receive(_ octets: Span<UInt8>) -> String? {
    let code = unsafe octets.withUnsafeBufferPointer { octets in
      // SAFETY: content is told by its distance from here, and the address forgotten behind it.
      unsafe self.state.pointee.received = UnsafeRawPointer(octets.baseAddress)
      return unsafe nghttp2_session_mem_recv(self.raw, octets.baseAddress, octets.count)
    }
    unsafe self.state.pointee.received = nil
    return code < 0 ? Self.reason(CInt(code)) : nil
  }

  /// The next event in the order in which octets came; `nil` when there is none left.
  mutating func nextEvent() -> Event? { unsafe self.state.pointee.nextEvent() }

  /// Opens the next stream, and gives a reason where that cannot be.
  mutating func open() -> String? {
    let (raw, place) = unsafe (self.raw, self.state.pointee.outgoing.count + 1)
    let number = unsafe self.request.withLines { lines in
      var content = unsafe ClientCallbacks.content
      return unsafe nghttp2_submit_request(
        raw, nil, lines.baseAddress, lines.count, &content,
        UnsafeMutableRawPointer(bitPattern: place))
    }
    guard number > 0 else { return Self.reason(number) }
    unsafe self.state.pointee.outgoing.append(ClientState.Outgoing(number: number))
    return nil
  }

  /// Queues octets on a stream: they go out as windows allow. On a closed one they stay for ever.
  mutating func send(_ octets: Span<UInt8>, on index: Int) {
    unsafe self.state.pointee.queue(octets, on: index)
    // An error says that the stream did not wait for content: it goes on by itself, or is closed.
    let number = unsafe self.state.pointee.outgoing[index].number
    _ = unsafe nghttp2_session_resume_data(self.raw, number)
  }

  /// Moves frames that are ready into the buffer, while it has room for a whole one.
  mutating func collect(into buffer: inout Buffer) -> OnCollect {
    while buffer.freeCount >= Self.frameByteCountMax {
      var octets: UnsafePointer<UInt8>?
      let count = unsafe nghttp2_session_mem_send(self.raw, &octets)
      guard count >= 0 else { return .failed(Self.reason(CInt(count))) }
      guard count > 0 else { return .all }
      // SAFETY: nghttp2 keeps them until the next call.
      buffer.append(unsafe UnsafeBufferPointer(start: octets, count: count).span)
    }
    return .full
  }

  private static func reason(_ code: CInt) -> String {
    unsafe "HTTP/2: \(String(cString: nghttp2_strerror(code)))"
  }
}
