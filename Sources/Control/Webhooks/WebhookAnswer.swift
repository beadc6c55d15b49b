internal import Admission
internal import Foundation
internal import HTTP

/// What became of a request to a receiver.
enum WebhookAnswer: Sendable {
  /// It has taken the events.
  case taken
  /// It does not want them, now or later.
  case refused(String)
  /// It may take them later, not before `retryAfter` where it says so.
  case failed(String, retryAfter: Duration?)

  /// The longest time for which a receiver may ask to be left alone.
  private static let retryAfterMax = Duration.seconds(3600)

  init(_ result: Result<WebResponse, WebFault>) {
    switch result {
    case .failure(let fault): self = .failed("\(fault)", retryAfter: nil)
    case .success(let response): self.init(response)
    }
  }

  private init(_ response: WebResponse) {
    let words = "the status is \(response.status)"
    switch response.status {
    case 200..<300: self = .taken
    case 408: self = .failed(words, retryAfter: nil)
    // RFC 9110 §10.2.3 and RFC 6585 §4.
    case 429, 503: self = .failed(words, retryAfter: Self.retryAfter(response))
    case 400..<500: self = .refused(words)
    // A redirect, too: where events go is for the configuration to say.
    default: self = .failed(words, retryAfter: nil)
    }
  }

  /// Seconds, or a date (RFC 9110 §10.2.3).
  private static func retryAfter(_ response: WebResponse) -> Duration? {
    guard let text = response.fields.first("Retry-After") else { return nil }
    let seconds = Int(text).map(Double.init) ?? Self.date(text)?.timeIntervalSinceNow
    guard let seconds, seconds > 0 else { return nil }
    return min(.seconds(seconds), Self.retryAfterMax)
  }

  /// As in `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
  private static func date(_ text: String) -> Date? {
    let formatter = DateFormatter()
    formatter.locale = Locale(identifier: "en_US_POSIX")
    formatter.timeZone = TimeZone(secondsFromGMT: 0)
    formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
    return formatter.date(from: text)
  }
}

/// How long a receiver that fails is left alone: longer each time, and by chance, so that many edges do
/// not come back to it at once.
struct WebhookPatience {
  private static let first = Duration.seconds(1)
  private static let most = Duration.seconds(60)

  private var next = Self.first

  /// The time until the next attempt: from half a second to a minute.
  mutating func wait(atLeast asked: Duration?) -> Duration {
    let wait = self.next * Double.random(in: 0.5...1)
    self.next = min(self.next * 2, Self.most)
    return max(wait, asked ?? .zero)
  }
}
