/// Events on their way to the application, in order.
struct EventQueue {
  /// Places that are kept while nothing is queued.
  private static let spareCountMax = 32

  /// Of these the places `next..<end` hold events, the others one that owns nothing.
  private var places: [SessionEvent] = []
  private var next = 0
  private var end = 0

  var isEmpty: Bool { self.next == self.end }

  mutating func append(_ event: SessionEvent) {
    if self.end < self.places.count {
      self.places[self.end] = event
    } else {
      self.places.append(event)
    }
    self.end &+= 1
  }

  mutating func popFirst() -> SessionEvent? {
    guard self.next < self.end else { return nil }
    // Moved out rather than copied, so that the head that it may hold has one owner.
    var event = SessionEvent.goingAway
    swap(&event, &self.places[self.next])
    self.next &+= 1
    if self.next == self.end { self.rewind() }
    return event
  }

  private mutating func rewind() {
    self.next = 0
    self.end = 0
    if self.places.count > Self.spareCountMax { self.places = [] }
  }
}
