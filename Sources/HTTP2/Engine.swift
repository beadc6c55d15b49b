internal import HTTP
internal import Net

/// What nghttp2's callbacks work on, behind the one address that they are given.
///
/// Nothing here calls nghttp2. A callback runs while ``Session`` is within a call to it, so that no
/// access to the engine may be held across such a call.
@safe struct Engine: ~Copyable {
  /// Content that is being framed; its octets are borrowed for as long as ``Session/send`` runs.
  @unsafe struct Offer {
    var number: Int32
    var octets: UnsafeRawPointer
    var byteCount: Int
    var ends: Bool
    var takenByteCount = 0

    var leftByteCount: Int { unsafe self.byteCount &- self.takenByteCount }
  }

  /// Where frames go while ``Session`` collects them.
  @unsafe struct Outlet {
    var queue: UnsafeMutablePointer<ByteQueue>
    var pool: UnsafeMutablePointer<ChunkPool>
  }

  let rules: SessionRules
  var streams = StreamTable()
  var events = EventQueue()
  var restraints: Restraints
  /// The instant of the last receive.
  var now: Deadline
  var fault: SessionFault?
  /// The connection was ended here: nothing more is sent behind the GOAWAY.
  var isTerminated = false
  /// nghttp2 has failed: nothing may be asked of it any longer.
  var hasFailed = false

  /// The first of the octets that are being received.
  var received: UnsafeRawPointer?
  var offer: Offer?
  var outlet: Outlet?
  /// The header block that is being received: there is only ever one (RFC 9113 §4.3).
  var block: FieldBlock?
  private var blockStream: Int32 = 0
  private var blockByteCount = 0
  /// The stream that the client is resetting, while nghttp2 closes it; 0 for none.
  var resetByClient: Int32 = 0
  /// Streams that found no room, in the order in which they did.
  private var blocked: [StreamID] = []
  /// The client has opened a window since streams were last woken.
  var windowsGrew = false

  init(_ rules: SessionRules, now: Deadline) {
    self.rules = rules
    self.restraints = Restraints(now: now)
    self.now = now
  }
}

// MARK: - What nghttp2 tells

extension Engine {
  mutating func beginBlock(_ number: Int32) {
    self.blockStream = number
    self.block = FieldBlock(
      byteCountMax: self.rules.headByteCountMax, targetByteCountMax: self.rules.targetByteCountMax)
    self.blockByteCount = 0
  }

  /// Takes a field of the block. False where the block stands for more than any.
  mutating func appendField(name: Span<UInt8>, value: Span<UInt8>) -> Bool {
    // RFC 9113 §6.5.2 counts a field so.
    self.blockByteCount &+= name.count &+ value.count &+ 32
    guard self.blockByteCount <= Restraints.decodedByteCountMax(self.rules) else { return false }
    self.block?.append(name: name, value: value)
    return true
  }

  /// Takes a new stream, whose head is complete.
  mutating func openStream(_ number: Int32, endsStream: Bool) -> StreamID? {
    guard let block = self.block.take() else { return nil }
    let stream = self.streams.insert(number)
    if endsStream { self.streams[stream].facts.insert(.endedThere) }
    self.restraints.earnByRequest()
    do throws(HeadError) {
      let head = try block.request()
      if head.method == "CONNECT" { self.streams[stream].facts.insert(.isConnect) }
      self.events.append(.request(stream, head, endsStream: endsStream))
    } catch {
      self.events.append(.refused(stream, error, endsStream: endsStream))
    }
    return stream
  }

  /// Takes the trailers of a stream. False where they break a rule.
  mutating func takeTrailers(of stream: StreamID) -> Bool {
    // RFC 9113 §8.5: nothing but DATA on the stream of a CONNECT.
    guard !self.streams[stream].facts.contains(.isConnect) else { return false }
    guard let block = self.block.take() else { return true }
    guard self.streams[stream].isListening else { return true }
    do throws(HeadError) {
      self.events.append(.trailers(stream, try block.trailers()))
      return true
    } catch {
      return false
    }
  }

  /// Takes content. False where nobody wants it, so that it is to be consumed at once.
  mutating func takeContent(_ octets: UnsafePointer<UInt8>, _ count: Int, of stream: StreamID)
    -> Bool
  {
    guard self.streams[stream].isListening, let received = unsafe self.received else {
      return false
    }
    // SAFETY: nghttp2 hands on where content lies in what it was given, and copies nothing.
    let start = unsafe UnsafeRawPointer(octets) - received
    self.streams[stream].unconsumedByteCount &+= count
    self.events.append(.content(stream, start..<start &+ count))
    return true
  }

  mutating func endThere(_ stream: StreamID) {
    self.streams[stream].facts.insert(.endedThere)
    if self.streams[stream].isListening { self.events.append(.ended(stream)) }
  }

  /// nghttp2 has closed a stream, in the middle of its head maybe.
  mutating func forgetBlock(of number: Int32) {
    if self.blockStream == number { self.block = nil }
  }

  /// nghttp2 has closed a stream that was told of.
  mutating func closeStream(_ stream: StreamID, _ code: ErrorCode) {
    let state = self.streams[stream]
    self.streams[stream].facts.remove(.isOpen)
    if state.facts.contains(.isBlocked) { self.blocked.removeAll { $0 == stream } }
    let isComplete = code == .noError && state.facts.isSuperset(of: [.endsHere, .endedThere])
    if state.isListening, !isComplete {
      self.events.append(.reset(stream, code))
    }
    self.streams.freeIfDone(stream)
  }

  /// Counts what may be abuse. False for one too many: the session is to be ended.
  mutating func allows(_ abuse: Abuse) -> Bool {
    guard !self.isTerminated else { return true }
    guard !self.restraints.allow(abuse, now: self.now) else { return true }
    self.fault = SessionFault(abuse)
    return false
  }
}

// MARK: - Streams that wait for room

extension Engine {
  var hasBlocked: Bool { !self.blocked.isEmpty }

  func isAnyBlocked(where matches: (StreamID) -> Bool) -> Bool {
    self.blocked.contains(where: matches)
  }

  /// Puts a stream into the line, behind all others.
  mutating func block(_ stream: StreamID, _ awaited: StreamState.Facts) {
    self.streams[stream].facts.formUnion(awaited.union(.isBlocked))
    self.blocked.append(stream)
  }

  /// Wakes the streams that have room now, in the order in which they were blocked.
  mutating func wake(where hasRoom: (StreamID, StreamState.Facts) -> Bool) {
    var keptCount = 0
    for index in self.blocked.indices {
      let stream = self.blocked[index]
      guard self.takesContent(stream) else { continue }
      if hasRoom(stream, self.streams[stream].facts) {
        self.streams[stream].facts.subtract(.waiting)
        self.events.append(.writable(stream))
      } else {
        self.blocked[keptCount] = stream
        keptCount += 1
      }
    }
    self.blocked.removeLast(self.blocked.count - keptCount)
  }
}

// MARK: - What the application says

extension Engine {
  func isOpen(_ stream: StreamID) -> Bool {
    self.streams.contains(stream) && self.streams[stream].facts.contains(.isOpen)
  }

  func isReset(_ stream: StreamID) -> Bool { self.streams[stream].facts.contains(.isReset) }

  func isListening(_ stream: StreamID) -> Bool {
    self.streams.contains(stream) && self.streams[stream].isListening
  }

  func takesContent(_ stream: StreamID) -> Bool {
    !self.isTerminated && self.streams.contains(stream) && self.streams[stream].takesContent
  }

  /// Whether it takes content, and does not wait for its turn.
  func mayTakeContent(_ stream: StreamID) -> Bool {
    self.takesContent(stream) && !self.streams[stream].facts.contains(.isBlocked)
  }

  func awaitsAnswer(_ stream: StreamID) -> Bool {
    guard !self.isTerminated, self.isOpen(stream) else { return false }
    return self.streams[stream].facts.isDisjoint(with: [.isAnswered, .isReset])
  }

  mutating func beginAnswer(_ stream: StreamID, endsStream: Bool) -> Bool {
    guard self.awaitsAnswer(stream) else { return false }
    self.streams[stream].facts.insert(endsStream ? [.isAnswered, .endsHere] : .isAnswered)
    return true
  }

  /// Notes how much was framed, and whether that used up the window.
  mutating func noteFrame(_ byteCount: Int, of stream: StreamID, usedWindow: Bool) {
    let isTiny = usedWindow && byteCount < Restraints.tinyByteCount
    if !isTiny { self.restraints.earnByWideFrame() }
    // The frame may have been the last, and the stream be closed by it.
    guard self.streams.contains(stream) else { return }
    if isTiny {
      self.streams[stream].facts.insert(.endedTiny)
    } else {
      self.streams[stream].facts.remove(.endedTiny)
    }
  }

  /// Whether the last frame was a tiny one: now that more waits, it was the window's fault.
  mutating func takeTiny(of stream: StreamID) -> Bool {
    self.streams[stream].facts.remove(.endedTiny) != nil
  }

  mutating func endHere(_ stream: StreamID, owesEnd: Bool) {
    self.streams[stream].facts.insert(owesEnd ? [.endsHere, .owesEnd] : .endsHere)
  }

  func owesEnd(_ stream: StreamID) -> Bool {
    self.isOpen(stream) && self.streams[stream].facts.contains(.owesEnd)
  }

  mutating func beginReset(_ stream: StreamID) -> Bool {
    guard !self.hasFailed, self.isOpen(stream), !self.isReset(stream) else { return false }
    self.streams[stream].facts.insert(.isReset)
    return true
  }

  /// Takes up to `count` octets off what is not consumed.
  mutating func takeUnconsumed(_ count: Int, of stream: StreamID) -> Int {
    guard !self.hasFailed, self.isOpen(stream) else { return 0 }
    let taken = max(0, min(count, self.streams[stream].unconsumedByteCount))
    self.streams[stream].unconsumedByteCount -= taken
    return taken
  }

  mutating func release(_ stream: StreamID) {
    guard self.streams.contains(stream) else { return }
    self.streams[stream].facts.remove(.isHeld)
    self.streams.freeIfDone(stream)
  }
}
