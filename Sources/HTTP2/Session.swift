internal import CNGHTTP2
public import Net

/// One HTTP/2 connection, seen from the server (RFC 9113): octets of the client go in, events come
/// out; answers go in, octets for the client come out. No descriptor, no clock, no log.
///
///     receive ─▶ nghttp2 ─▶ nextEvent       answer, send, end ─▶ nghttp2 ─▶ output
///                  └──────── acknowledgements, window updates, resets ────────▶┘
///
/// Calls about a stream that is closed, or was never there, do nothing: a client may close one at
/// any time. An idle session holds about 26 KiB, 16 of which are the buffer in which nghttp2 makes
/// frames; a stream holds about 420 octets, and what a header block needed goes with its event.
@safe public struct Session: ~Copyable {
  /// Octets in ``output`` from which on ``send(_:on:endsStream:_:)`` takes nothing.
  public static let outputByteCountMax = 128 * 1024
  /// Octets in ``output`` up to which streams that wait for it are woken.
  public static let outputLowWatermarkByteCount = 64 * 1024

  let engine: UnsafeMutablePointer<Engine>
  let raw: OpaquePointer

  /// What goes to the client, in order. To be cleared into its pool before the session goes.
  public var output = ByteQueue()

  /// A session whose settings are the first of its ``output``.
  ///
  /// - Throws: ``SessionFault`` where there is no memory for it.
  public init(
    _ rules: SessionRules, now: Deadline, _ pool: inout ChunkPool
  ) throws(SessionFault) {
    // SAFETY: the address is this session's alone until `deinit`, and outlives nghttp2's session.
    unsafe self.engine = .allocate(capacity: 1)
    unsafe self.engine.initialize(to: Engine(rules, now: now))
    guard let raw = unsafe Library.makeSession(self.engine, rules) else {
      unsafe self.engine.deinitialize(count: 1)
      unsafe self.engine.deallocate()
      throw SessionFault(.server, .internalError, reason: "There is no memory for a session.")
    }
    unsafe self.raw = raw
    self.collect(&pool)
  }

  deinit {
    unsafe nghttp2_session_del(self.raw)
    unsafe self.engine.deinitialize(count: 1)
    unsafe self.engine.deallocate()
  }

  /// Streams in use: those that a client has open, and those that were not released.
  public var openStreamCount: Int { unsafe self.engine.pointee.streams.count }

  /// Why the session is over before its time, if it is.
  public var fault: SessionFault? { unsafe self.engine.pointee.fault }

  /// Whether nothing more is received or sent: the connection is closed when ``output`` is empty.
  /// Streams that are still in use are not told of it.
  public var isOver: Bool {
    if unsafe self.engine.pointee.hasFailed { return true }
    return unsafe nghttp2_session_want_read(self.raw) == 0
      && nghttp2_session_want_write(self.raw) == 0
  }
}

// MARK: - Receiving

extension Session {
  /// Takes octets of the client. What they mean is told by ``nextEvent()``, ranges in events refer
  /// to these octets, so that events of content are taken before the next call. What the octets make
  /// necessary by themselves (acknowledgements, resets, GOAWAY) goes to ``output``.
  public mutating func receive(
    _ octets: Span<UInt8>, now: Deadline, _ pool: inout ChunkPool
  ) {
    unsafe self.engine.pointee.now = now
    guard !octets.isEmpty, unsafe !self.engine.pointee.hasFailed else { return }
    let code = unsafe octets.withUnsafeBufferPointer { octets in
      // SAFETY: content is told by its distance from here, and the address forgotten behind it.
      unsafe self.engine.pointee.received = UnsafeRawPointer(octets.baseAddress)
      return unsafe nghttp2_session_mem_recv(self.raw, octets.baseAddress, octets.count)
    }
    unsafe self.engine.pointee.received = nil
    guard code >= 0 else { return self.fail(CInt(code), &pool) }
    self.collect(&pool)
    guard unsafe self.engine.pointee.windowsGrew else { return }
    unsafe self.engine.pointee.windowsGrew = false
    self.wake()
  }

  /// The next event, in the order in which octets came; `nil` when there is none left. Streams that
  /// were reset or released in the meantime have no more.
  public mutating func nextEvent() -> SessionEvent? {
    while let event = unsafe self.engine.pointee.events.popFirst() {
      guard let stream = event.stream else { return event }
      if unsafe self.engine.pointee.isListening(stream) { return event }
    }
    return nil
  }

  /// The application took so many octets of content: the stream's window opens by as many.
  /// WINDOW_UPDATE follows with ``collect(_:)`` when it is worth a frame.
  public mutating func consume(_ count: Int, of stream: StreamID) {
    let taken = unsafe self.engine.pointee.takeUnconsumed(count, of: stream)
    guard taken > 0 else { return }
    unsafe nghttp2_session_consume_stream(self.raw, stream.number, taken)
  }

  /// Makes the window in which the client may send on the stream larger, to at most 2³¹ − 1 octets.
  public mutating func widen(_ stream: StreamID, to byteCount: Int) {
    guard unsafe self.engine.pointee.isOpen(stream) else { return }
    let size = Int32(clamping: byteCount)
    guard unsafe size > nghttp2_session_get_stream_local_window_size(self.raw, stream.number)
    else { return }
    unsafe nghttp2_session_set_local_window_size(self.raw, Library.noFlags, stream.number, size)
  }

  /// The application has done with the stream: it hears no more of it, content is dropped, and the
  /// slot is used again when the stream is closed on the wire, too.
  public mutating func release(_ stream: StreamID) {
    self.consume(.max, of: stream)
    unsafe self.engine.pointee.release(stream)
  }
}

// MARK: - The connection

extension Session {
  /// Asks for a sign of life (PING, RFC 9113 §6.7): ``SessionEvent/pong(_:)`` brings the payload
  /// back. Goes out with ``collect(_:)``.
  public mutating func ping(_ payload: UInt64) {
    guard unsafe !self.engine.pointee.hasFailed else { return }
    unsafe withUnsafeBytes(of: payload.bigEndian) { octets in
      _ = unsafe nghttp2_submit_ping(
        self.raw, Library.noFlags, octets.baseAddress?.assumingMemoryBound(to: UInt8.self))
    }
  }

  /// Says that no further streams are taken (RFC 9113 §6.8): first as a notice, which leaves streams
  /// on their way their time, later finally, with the last one that was taken. The session is over
  /// when the streams are. Goes out with ``collect(_:)``.
  public mutating func goAway(isFinal: Bool) {
    guard unsafe !self.engine.pointee.hasFailed else { return }
    if isFinal {
      unsafe nghttp2_submit_goaway(
        self.raw, Library.noFlags, nghttp2_session_get_last_proc_stream_id(self.raw),
        ErrorCode.noError.rawValue, nil, 0)
    } else {
      unsafe nghttp2_submit_shutdown_notice(self.raw)
    }
  }

  /// Ends the connection with all its streams: it is over behind the GOAWAY that goes out with
  /// ``collect(_:)``.
  public mutating func terminate(_ code: ErrorCode) {
    guard unsafe !self.engine.pointee.hasFailed else { return }
    if unsafe self.engine.pointee.fault == nil, code != .noError {
      unsafe self.engine.pointee.fault = SessionFault(
        .server, code, reason: "The server ended the connection with \(code).")
    }
    unsafe self.engine.pointee.isTerminated = true
    unsafe nghttp2_session_terminate_session(self.raw, code.rawValue)
  }

  /// Moves the frames that are ready (window updates, pings …) into ``output``. Answers and receives
  /// do so by themselves; the edge does it once at the end of a turn.
  public mutating func collect(_ pool: inout ChunkPool) {
    guard unsafe !self.engine.pointee.hasFailed else { return }
    let (engine, raw) = unsafe (self.engine, self.raw)
    let code = unsafe withUnsafeMutablePointer(to: &self.output) { queue in
      unsafe withUnsafeMutablePointer(to: &pool) { pool in
        unsafe engine.pointee.outlet = Engine.Outlet(queue: queue, pool: pool)
        let code = unsafe Library.collect(raw, into: queue, pool)
        unsafe engine.pointee.outlet = nil
        return code
      }
    }
    if code < 0 { self.fail(code, &pool) }
  }

  /// nghttp2 gave up, and may be asked nothing more: what is to be said is written here.
  private mutating func fail(_ code: CInt, _ pool: inout ChunkPool) {
    unsafe self.engine.pointee.hasFailed = true
    unsafe self.engine.pointee.isTerminated = true
    let fault = unsafe self.engine.pointee.fault ?? Library.fault(code)
    unsafe self.engine.pointee.fault = fault
    let frame = Library.goAway(fault.code)
    self.output.append(frame.span, from: &pool)
  }
}
