/// What the session knows of one stream.
struct StreamState {
  /// Facts about a stream. All but those of waiting come and stay.
  struct Facts: OptionSet {
    let rawValue: UInt16
    /// nghttp2 has the stream.
    static let isOpen = Facts(rawValue: 1)
    /// The application was told of it and has not released it.
    static let isHeld = Facts(rawValue: 2)
    /// The final head was sent.
    static let isAnswered = Facts(rawValue: 4)
    /// The application has given the last of its answer.
    static let endsHere = Facts(rawValue: 8)
    /// The client has sent END_STREAM.
    static let endedThere = Facts(rawValue: 16)
    /// The application has reset it.
    static let isReset = Facts(rawValue: 32)
    /// END_STREAM is still to be framed, without content.
    static let owesEnd = Facts(rawValue: 64)

    /// It found no room and waits for its turn.
    static let isBlocked = Facts(rawValue: 128)
    /// It waits since its window is used up.
    static let awaitsWindow = Facts(rawValue: 256)
    /// It waits since the connection's window is used up.
    static let awaitsConnection = Facts(rawValue: 512)
    /// All that has to do with waiting.
    static let waiting: Facts = [.isBlocked, .awaitsWindow, .awaitsConnection]
    /// Its last frame used up a window that was tiny.
    static let endedTiny = Facts(rawValue: 1024)
    /// It was asked for with CONNECT.
    static let isConnect = Facts(rawValue: 2048)
  }

  var number: Int32 = 0
  var facts: Facts = []
  /// Octets of content that the application was given and has not consumed.
  var unconsumedByteCount = 0

  /// Whether more of an answer can be framed.
  var takesContent: Bool {
    self.facts.isSuperset(of: [.isOpen, .isAnswered])
      && self.facts.isDisjoint(with: [.endsHere, .isReset])
  }

  /// Whether events are still told.
  var isListening: Bool { self.facts.contains(.isHeld) && !self.facts.contains(.isReset) }
}

/// The streams in use, each in a slot that is used again once the stream is closed on the wire and
/// the application has released it.
struct StreamTable {
  /// Slots that are kept for the next streams when none is in use.
  private static let spareCountMax = 8

  private var states: [StreamState] = []
  private var free: [Int] = []

  /// Streams in use.
  var count: Int { self.states.count - self.free.count }

  /// Puts a new stream into a slot.
  mutating func insert(_ number: Int32) -> StreamID {
    let state = StreamState(number: number, facts: [.isOpen, .isHeld])
    guard let slot = self.free.popLast() else {
      self.states.append(state)
      return StreamID(number: number, slot: self.states.count - 1)
    }
    self.states[slot] = state
    return StreamID(number: number, slot: slot)
  }

  /// Whether the stream is in use; an identifier of an earlier one finds nothing.
  func contains(_ stream: StreamID) -> Bool {
    self.states.indices.contains(stream.slot) && self.states[stream.slot].number == stream.number
  }

  /// The state of a stream in use.
  subscript(stream: StreamID) -> StreamState {
    get { self.states[stream.slot] }
    _modify { yield &self.states[stream.slot] }
  }

  /// The stream in a slot, `nil` where there is none.
  func stream(inSlot slot: Int) -> StreamID? {
    guard self.states.indices.contains(slot), self.states[slot].number != 0 else { return nil }
    return StreamID(number: self.states[slot].number, slot: slot)
  }

  /// Frees the slot if neither the wire nor the application has the stream any longer.
  mutating func freeIfDone(_ stream: StreamID) {
    guard self.states[stream.slot].facts.isDisjoint(with: [.isOpen, .isHeld]) else { return }
    self.states[stream.slot] = StreamState()
    self.free.append(stream.slot)
    guard self.count == 0, self.states.count > Self.spareCountMax else { return }
    // A connection at rest keeps no memory of how busy it once was.
    self.states = []
    self.free = []
  }
}
