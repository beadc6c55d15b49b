/// Why a session is over before its time, for records.
public struct SessionFault: Error, Equatable, Sendable {
  /// Who ended it.
  public enum Origin: Sendable {
    /// The client said so.
    case client
    /// It was ended here.
    case server
  }

  /// Who ended it.
  public let origin: Origin
  /// The code of the GOAWAY frame that was sent or received.
  public let code: ErrorCode
  /// The cause in a few words. Repeats nothing that a client chose.
  public let reason: String
  /// What the client did too much of, if it was that.
  public let abuse: Abuse?

  init(_ origin: Origin, _ code: ErrorCode, reason: String, abuse: Abuse? = nil) {
    self.origin = origin
    self.code = code
    self.reason = reason
    self.abuse = abuse
  }

  init(_ abuse: Abuse) {
    self.init(.server, .enhanceYourCalm, reason: abuse.reason, abuse: abuse)
  }
}

/// What a client can do within the grammar of HTTP/2 to make a server work or remember for little
/// (RFC 9113 §10.5). ``Restraints`` has the limit of each.
public enum Abuse: String, CaseIterable, Sendable {
  /// Streams that are opened and taken back at once (CVE-2023-44487).
  case rapidReset = "rapid_reset"
  /// SETTINGS, each of which is acknowledged (CVE-2019-9515).
  case settingsFlood = "settings_flood"
  /// PING, each of which is answered (CVE-2019-9512).
  case pingFlood = "ping_flood"
  /// DATA without content that ends nothing (CVE-2019-9518).
  case emptyData = "empty_data"
  /// PRIORITY, and frames of types that mean nothing here.
  case priorityFlood = "priority_flood"
  /// A header block in CONTINUATION frames without end (CVE-2024-28182).
  case continuationFlood = "continuation_flood"
  /// A header block whose few octets stand for many (RFC 7541 §7.3).
  case headerBomb = "header_bomb"
  /// Windows so small that each frame carries next to nothing (CVE-2019-9511).
  case tinyWindows = "tiny_windows"
  /// WINDOW_UPDATE without anything that it could be about.
  case windowUpdateFlood = "window_update_flood"
  /// Requests that are no requests, and other errors that have the server reset a stream
  /// (CVE-2019-9514, CVE-2025-8671).
  case malformedRequests = "malformed_requests"

  var reason: String {
    switch self {
    case .rapidReset: "Too many streams were reset before their answer."
    case .settingsFlood: "Too many SETTINGS frames came."
    case .pingFlood: "Too many PING frames came."
    case .emptyData: "Too many empty DATA frames came."
    case .priorityFlood: "Too many PRIORITY frames, or of unknown types, came."
    case .continuationFlood: "A header block has too many CONTINUATION frames."
    case .headerBomb: "A header block stands for too many octets."
    case .tinyWindows: "The client's windows are too small to send in."
    case .windowUpdateFlood: "Too many WINDOW_UPDATE frames came."
    case .malformedRequests: "Too many streams were in error."
    }
  }
}
