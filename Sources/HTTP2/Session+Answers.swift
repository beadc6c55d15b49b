internal import CNGHTTP2
public import HTTP
public import Net

extension Session {
  /// Sends the final head of an answer. Fields that belong to a connection of HTTP/1 are left out
  /// (RFC 9113 §8.2.2), and 101 goes out as the 200 that corresponds to it (RFC 8441 §5.1).
  ///
  /// A head that cannot be sent, for more than 64 KiB as a rule, resets the stream with
  /// INTERNAL_ERROR, and ``SessionEvent/reset(_:_:)`` tells of it. With `endsStream` nothing is done
  /// about a request that is not complete: that is the caller's to reset.
  public mutating func answer(
    _ stream: StreamID, _ head: ResponseHead, endsStream: Bool, _ pool: inout ChunkPool
  ) {
    guard unsafe self.engine.pointee.beginAnswer(stream, endsStream: endsStream) else { return }
    let raw = unsafe self.raw
    let code = unsafe HeadLines(head).withLines { lines in
      var content = unsafe Library.content
      return unsafe withUnsafePointer(to: &content) { content in
        unsafe nghttp2_submit_response(
          raw, stream.number, lines.baseAddress, lines.count, endsStream ? nil : content)
      }
    }
    self.settle(code, stream, &pool)
  }

  /// Sends an interim head (1xx other than 101), any number of them before the final one.
  public mutating func answerInterim(
    _ stream: StreamID, _ head: ResponseHead, _ pool: inout ChunkPool
  ) {
    guard head.status != 101, unsafe self.engine.pointee.awaitsAnswer(stream) else { return }
    let raw = unsafe self.raw
    let code = unsafe HeadLines(head).withLines { lines in
      unsafe nghttp2_submit_headers(
        raw, Library.noFlags, stream.number, nil, lines.baseAddress, lines.count, nil)
    }
    self.settle(code, stream, &pool)
  }

  /// The octets that ``send(_:on:endsStream:_:)`` would take now: as many as the stream's window,
  /// the connection's window and ``output`` have room for. None for a stream that waits, until
  /// ``SessionEvent/writable(_:)`` tells that it is its turn.
  public func room(on stream: StreamID) -> Int {
    guard unsafe self.engine.pointee.mayTakeContent(stream) else { return 0 }
    return min(self.window(of: stream), self.outputRoom)
  }

  /// Frames as much as there is room for, and gives the count of octets that were taken. Where that
  /// is not all of them, ``SessionEvent/writable(_:)`` tells when to go on. `endsStream` ends the
  /// answer behind the octets, if all of them were taken.
  public mutating func send(
    _ octets: Span<UInt8>, on stream: StreamID, endsStream: Bool, _ pool: inout ChunkPool
  ) -> Int {
    guard unsafe self.engine.pointee.mayTakeContent(stream) else { return 0 }
    if octets.isEmpty {
      if endsStream { self.end(stream, trailers: nil, &pool) }
      return 0
    }
    let window = self.window(of: stream)
    let count = min(octets.count, window, self.outputRoom)
    var taken = 0
    if count > 0 {
      taken = self.frame(
        octets.extracting(first: count), on: stream, ends: endsStream && count == octets.count,
        &pool)
      unsafe self.engine.pointee.noteFrame(taken, of: stream, usedWindow: taken == window)
    }
    if taken < octets.count { self.wait(stream) }
    return taken
  }

  /// Ends the answer behind everything that was taken: with END_STREAM, or with trailers that bear
  /// it. Trailers need no window; without them the last frame waits while a window is used up.
  public mutating func end(_ stream: StreamID, trailers: Fields?, _ pool: inout ChunkPool) {
    guard unsafe self.engine.pointee.takesContent(stream) else { return }
    let lines = HeadLines(trailers ?? Fields())
    let raw = unsafe self.raw
    unsafe self.engine.pointee.endHere(stream, owesEnd: lines.isEmpty)
    if lines.isEmpty {
      unsafe nghttp2_session_resume_data(raw, stream.number)
      return self.collect(&pool)
    }
    let code = unsafe lines.withLines { lines in
      unsafe nghttp2_submit_trailer(raw, stream.number, lines.baseAddress, lines.count)
    }
    self.settle(code, stream, &pool)
  }

  /// Whether the end of the answer was given and is still to go out: it waits for a window.
  public func owesEnd(_ stream: StreamID) -> Bool {
    unsafe self.engine.pointee.owesEnd(stream)
  }

  /// Closes the stream at once (RST_STREAM). Nothing if it is closed already.
  public mutating func reset(
    _ stream: StreamID, _ code: ErrorCode, _ pool: inout ChunkPool
  ) {
    guard unsafe self.engine.pointee.beginReset(stream) else { return }
    unsafe nghttp2_submit_rst_stream(self.raw, Library.noFlags, stream.number, code.rawValue)
    self.collect(&pool)
  }
}

// MARK: - Parts

extension Session {
  var outputRoom: Int { max(0, Self.outputByteCountMax - self.output.count) }

  /// What the client's windows allow; negative ones (RFC 9113 §6.9.2) allow nothing.
  func window(of stream: StreamID) -> Int {
    let window = unsafe min(
      nghttp2_session_get_stream_remote_window_size(self.raw, stream.number),
      nghttp2_session_get_remote_window_size(self.raw))
    return max(0, Int(window))
  }

  /// Has nghttp2 frame the octets; they fit into the windows.
  private mutating func frame(
    _ octets: Span<UInt8>, on stream: StreamID, ends: Bool, _ pool: inout ChunkPool
  ) -> Int {
    unsafe octets.withUnsafeBytes { octets in
      guard let base = octets.baseAddress else { return 0 }
      // Noted first: the last frame may close the stream.
      if ends { unsafe self.engine.pointee.endHere(stream, owesEnd: false) }
      // SAFETY: the offer is taken back before the octets' borrow ends.
      unsafe self.engine.pointee.offer = Engine.Offer(
        number: stream.number, octets: base, byteCount: octets.count, ends: ends)
      unsafe nghttp2_session_resume_data(self.raw, stream.number)
      self.collect(&pool)
      let taken = unsafe self.engine.pointee.offer?.takenByteCount ?? 0
      unsafe self.engine.pointee.offer = nil
      return taken
    }
  }

  /// Sends what was submitted, or gives the stream up.
  private mutating func settle(_ code: CInt, _ stream: StreamID, _ pool: inout ChunkPool) {
    if code != 0 {
      unsafe nghttp2_submit_rst_stream(
        self.raw, Library.noFlags, stream.number, ErrorCode.internalError.rawValue)
    }
    self.collect(&pool)
  }
}
