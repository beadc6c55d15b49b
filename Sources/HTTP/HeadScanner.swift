/// Walks over the octets of a head as they arrive and notes where its parts lie.
///
/// Every octet is looked at once, those of a line that is cut by a span's end twice, and an octet that no
/// correct head has at its place is an error when it arrives, not when the head is complete.
///
///     request:  start ─▶ method ─▶ target ─▶ version ─▶ lineFeed ─▶ fields
///     response: version ─▶ status ─▶ reason ─▶ lineFeed ─▶ fields
///     fields:   fieldStart ─▶ name ─▶ valueStart ─▶ value ─▶ lineFeed ─▶ fieldStart
///                    └─ CR ─▶ endLineFeed ─▶ complete
struct HeadScanner: Sendable {
  enum Kind { case request, response, trailers }

  enum State {
    case start, leadingLineFeed, requestLine, method, target
    case version, status, reasonStart, reason
    case lineFeed, fieldStart, name, valueStart, value
    case endLineFeed, complete
  }

  /// The longest registered method, UPDATEREDIRECTREF, has 17 octets.
  static let methodByteCountMax = 32

  private let kind: Kind
  private let headByteCountMax: Int
  private let targetByteCountMax: Int

  private(set) var state: State
  /// Octets of the head that have been looked at, over all spans.
  private(set) var byteCount = 0
  private(set) var entries: [Fields.Entry] = []
  /// Where the part that is being read began, as an offset from the beginning of the head.
  private var partStart = 0

  private(set) var method = 0..<0
  private(set) var target = 0..<0
  private(set) var reason = 0..<0
  private(set) var status = 0
  private(set) var version = HTTPVersion.http11

  init(_ kind: Kind, headByteCountMax: Int, targetByteCountMax: Int = 0) {
    self.kind = kind
    self.headByteCountMax = headByteCountMax
    self.targetByteCountMax = targetByteCountMax
    switch kind {
    case .request: self.state = .start
    case .response: self.state = .version
    case .trailers: self.state = .fieldStart
    }
  }

  /// The field lines of a complete head, which are no longer here then.
  mutating func takeEntries() -> [Fields.Entry] {
    var entries: [Fields.Entry] = []
    swap(&entries, &self.entries)
    return entries
  }

  /// Looks at the next octets of the head.
  ///
  /// - Returns: how many of them belong to the head, once it is complete; `nil` while it is not,
  ///   in which case all of them do.
  mutating func scan(_ octets: Span<UInt8>) throws(HeadError) -> Int? {
    let base = self.byteCount
    let end = min(octets.count, self.headByteCountMax - base)
    var index = 0
    while index < end {
      switch self.state {
      case .fieldStart:
        if let next = self.takeLine(octets, from: index, to: end) {
          index = next
        } else {
          try self.stepFieldStart(octets[index], at: base + index)
          index += 1
        }
      case .version where self.takeVersion(octets, from: index, to: end): index += 8
      case .target: index = try self.scanTarget(octets, from: index, to: end)
      case .name: index = try self.scanName(octets, from: index, to: end)
      case .valueStart: index = self.scanValueStart(octets, from: index, to: end)
      case .value: index = try self.scanValue(octets, from: index, to: end)
      default:
        try self.step(octets[index], at: base + index)
        index += 1
      }
      if self.state == .complete {
        self.byteCount = base + index
        return index
      }
    }
    self.byteCount = base + index
    guard self.byteCount < self.headByteCountMax else { throw .headTooLarge }
    return nil
  }
}

// MARK: - The parts that are long: one loop each

extension HeadScanner {
  /// Takes a field line at once that is there to its end and as it should be, as nearly all are. Any other
  /// is walked over part by part, which is where it is found fault with.
  ///
  /// - Returns: where the next line begins, with the state unchanged; `nil` where nothing was taken.
  private mutating func takeLine(_ octets: Span<UInt8>, from start: Int, to end: Int) -> Int? {
    let line = octets.extracting(start..<end)
    let colon = line.tokenByteCount
    guard colon > 0, colon < line.count, line[colon] == .colon else { return nil }
    var value = colon &+ 1
    while value < line.count, line[value].isWhitespace { value &+= 1 }
    let valueEnd = value &+ line.extracting(value..<line.count).valueByteCount
    guard valueEnd &+ 1 < line.count, line[valueEnd] == .carriageReturn,
      line[valueEnd &+ 1] == .lineFeed, self.entries.count < RequestReader.fieldCountMax
    else { return nil }
    let base = self.byteCount &+ start
    self.append(
      Fields.Entry(
        name: base..<base &+ colon, value: base &+ value..<base &+ valueEnd))
    self.partStart = base &+ valueEnd &+ 2
    return start &+ valueEnd &+ 2
  }

  /// Whether the version begins here and is `HTTP/1.1`, as nearly all are. What stands behind it is looked
  /// at as behind any other.
  private func takeVersion(_ octets: Span<UInt8>, from start: Int, to end: Int) -> Bool {
    self.byteCount &+ start == self.partStart && start &+ 8 <= end
      && octets.extracting(start..<start &+ 8).spells(("HTTP/1.1" as StaticString).octets)
  }

  private mutating func append(_ entry: Fields.Entry) {
    // Nothing is allocated for a connection that never sends a field; browsers send about fifteen.
    if self.entries.isEmpty, self.kind != .trailers { self.entries.reserveCapacity(24) }
    self.entries.append(entry)
  }

  private mutating func scanTarget(
    _ octets: Span<UInt8>, from start: Int, to end: Int
  ) throws(HeadError) -> Int {
    let index = start + octets.extracting(start..<end).targetByteCount
    let position = self.byteCount + index
    guard position - self.partStart <= self.targetByteCountMax else { throw .targetTooLong }
    guard index < end else { return index }
    switch octets[index] {
    case .space where position > self.partStart:
      self.target = self.partStart..<position
      self.begin(.version, at: position + 1)
    case .lineFeed: throw .bareLineFeed
    // The second is HTTP/0.9, which has no version.
    case .space, .carriageReturn: throw .malformedRequestLine
    default: throw .malformedTarget
    }
    return index + 1
  }

  private mutating func scanName(
    _ octets: Span<UInt8>, from start: Int, to end: Int
  ) throws(HeadError) -> Int {
    let index = start + octets.extracting(start..<end).tokenByteCount
    guard index < end else { return index }
    let position = self.byteCount + index
    switch octets[index] {
    case .colon: self.endName(at: position)
    case .space, .horizontalTab: throw .whitespaceBeforeColon
    case .lineFeed: throw .bareLineFeed
    default: throw .malformedFieldName
    }
    return index + 1
  }

  private mutating func endName(at position: Int) {
    self.append(Fields.Entry(name: self.partStart..<position, value: position + 1..<position + 1))
    self.begin(.valueStart, at: position + 1)
  }

  /// Passes over the white space before a value (RFC 9112 §5.1).
  private mutating func scanValueStart(
    _ octets: Span<UInt8>, from start: Int, to end: Int
  ) -> Int {
    var index = start
    while index < end, octets[index].isWhitespace { index += 1 }
    if index < end { self.begin(.value, at: self.byteCount + index) }
    return index
  }

  private mutating func scanValue(
    _ octets: Span<UInt8>, from start: Int, to end: Int
  ) throws(HeadError) -> Int {
    let index = start + octets.extracting(start..<end).valueByteCount
    guard index < end else { return index }
    try self.endValue(with: octets[index], at: self.byteCount + index)
    return index + 1
  }

  private mutating func endValue(with octet: UInt8, at position: Int) throws(HeadError) {
    switch octet {
    case .carriageReturn:
      self.entries[self.entries.count - 1].value = self.partStart..<position
      self.begin(.lineFeed, at: position + 1)
    case .lineFeed: throw .bareLineFeed
    default: throw .controlInFieldValue
    }
  }

  private mutating func begin(_ state: State, at position: Int) {
    self.state = state
    self.partStart = position
  }
}

// MARK: - The parts that are short: octet by octet

extension HeadScanner {
  private mutating func step(_ octet: UInt8, at position: Int) throws(HeadError) {
    switch self.state {
    case .start, .leadingLineFeed, .requestLine, .method:
      try self.stepMethod(octet, at: position)
    case .version: try self.stepVersion(octet, at: position)
    case .status, .reasonStart, .reason: try self.stepStatus(octet, at: position)
    case .lineFeed, .endLineFeed:
      guard octet == .lineFeed else { throw .bareCarriageReturn }
      self.begin(self.state == .lineFeed ? .fieldStart : .complete, at: position + 1)
    // These have loops of their own, and behind the end nothing is looked at.
    case .fieldStart, .target, .name, .valueStart, .value, .complete: break
    }
  }

  private mutating func stepMethod(_ octet: UInt8, at position: Int) throws(HeadError) {
    switch self.state {
    case .start where octet == .carriageReturn:
      // RFC 9112 §2.2: an empty line before the request line is passed over. One is.
      self.state = .leadingLineFeed
    case .leadingLineFeed:
      guard octet == .lineFeed else { throw .bareCarriageReturn }
      self.state = .requestLine
    case .method where octet == .space:
      self.method = self.partStart..<position
      self.begin(.target, at: position + 1)
    case .method:
      guard octet != .lineFeed else { throw .bareLineFeed }
      guard octet.isTokenOctet else { throw .malformedRequestLine }
      guard position - self.partStart < Self.methodByteCountMax else { throw .methodTooLong }
    default:
      guard octet != .lineFeed else { throw .bareLineFeed }
      // A second empty line is as wrong, but it is no other protocol.
      guard octet != .carriageReturn else { throw .malformedRequestLine }
      guard octet.isTokenOctet else { throw .notHTTP }
      self.begin(.method, at: position)
    }
  }

  /// `HTTP/` DIGIT `.` DIGIT, and what stands behind it in this kind of head.
  private mutating func stepVersion(_ octet: UInt8, at position: Int) throws(HeadError) {
    let offset = position - self.partStart
    let isRequest = self.kind == .request
    if octet == .lineFeed { throw .bareLineFeed }
    switch (offset, octet) {
    case (0, 0x48), (1, 0x54), (2, 0x54), (3, 0x50), (4, 0x2F), (5, 0x31), (6, 0x2E): return
    case (5, _) where octet.isDigit: throw .unsupportedVersion
    case (7, _) where octet.isDigit:
      // RFC 9110 §2.5: a higher minor version is read as the highest one that is known.
      self.version = octet == 0x30 ? .http10 : .http11
    case (8, .carriageReturn) where isRequest: self.begin(.lineFeed, at: position + 1)
    case (8, .space) where !isRequest: self.begin(.status, at: position + 1)
    case (0, _) where !isRequest: throw .notHTTP
    default: throw isRequest ? .malformedRequestLine : .malformedStatusLine
    }
  }

  /// Three digits, and a reason that may be empty. The space before an empty reason is left out
  /// by enough servers that it is not asked for.
  private mutating func stepStatus(_ octet: UInt8, at position: Int) throws(HeadError) {
    if octet == .lineFeed { throw .bareLineFeed }
    switch self.state {
    case .status:
      guard octet.isDigit else { throw .malformedStatusLine }
      self.status = self.status * 10 + Int(octet - 0x30)
      guard position - self.partStart == 2 else { return }
      guard (100...599).contains(self.status) else { throw .malformedStatusLine }
      self.begin(.reasonStart, at: position + 1)
    case .reasonStart where octet == .space:
      self.begin(.reason, at: position + 1)
    case .reason where octet.isValueOctet: return
    case .reason where octet != .carriageReturn: throw .controlInFieldValue
    default:
      guard octet == .carriageReturn else { throw .malformedStatusLine }
      self.reason = self.partStart..<position
      self.begin(.lineFeed, at: position + 1)
    }
  }

  private mutating func stepFieldStart(_ octet: UInt8, at position: Int) throws(HeadError) {
    switch octet {
    case .carriageReturn: self.begin(.endLineFeed, at: position + 1)
    case .lineFeed: throw .bareLineFeed
    case .space, .horizontalTab: throw .foldedField
    case .colon: throw .emptyFieldName
    default:
      guard octet.isTokenOctet else { throw .malformedFieldName }
      guard self.entries.count < RequestReader.fieldCountMax else { throw .tooManyFields }
      self.begin(.name, at: position)
    }
  }
}
