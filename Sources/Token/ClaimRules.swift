import Admission
import FoundationEssentials

/// What an authentic token must say. Pure: the clock is passed in.
struct ClaimRules: Sendable {
  let issuer: String?
  let audience: String?
  let expiry: ExpiryRule
  let leewaySeconds: Int64

  /// Judges the payload of a token whose signature is valid, at `now` seconds since 1970.
  func judge(payload: [UInt8], now: Int64) -> Verdict {
    guard let values = try? JSONDecoder().decode([String: ClaimValue].self, from: Data(payload))
    else { return .invalid(reason: "The token's payload is not a JSON object.") }
    if let fault = self.timeFault(values, now: now) { return .invalid(reason: fault) }
    if let issuer = self.issuer, values["iss"] != .text(issuer) {
      return .invalid(reason: "The token's issuer is not the one that is trusted here.")
    }
    guard self.isForUs(values["aud"]) else {
      return .notPermitted(reason: "The token is meant for another audience.")
    }
    let expiry = values["exp"].flatMap(Self.seconds).map(self.end)
    return .valid(Claims(subject: values["sub"]?.text, expiry: expiry, values: values))
  }

  /// RFC 7519 §4.1.4 and §4.1.5.
  private func timeFault(_ values: [String: ClaimValue], now: Int64) -> String? {
    if let claim = values["exp"] {
      guard let expiry = Self.seconds(claim) else { return "The token's expiry is not a time." }
      guard now < self.end(expiry) else { return "The token has expired." }
    } else if self.expiry == .required {
      return "The token has no expiry."
    }
    guard let claim = values["nbf"] else { return nil }
    guard let start = Self.seconds(claim) else { return "The token's not-before is not a time." }
    return now + self.leewaySeconds >= start ? nil : "The token is not valid yet."
  }

  /// When a token with this `exp` is no longer taken.
  private func end(_ expiry: Int64) -> Int64 {
    let (end, overflow) = expiry.addingReportingOverflow(self.leewaySeconds)
    // A token's number may be the largest there is.
    return overflow ? .max : end
  }

  /// RFC 7519 §4.1.3: one text or a list of them.
  private func isForUs(_ claim: ClaimValue?) -> Bool {
    guard let audience = self.audience else { return true }
    return switch claim {
    case .text(let text)?: text == audience
    case .list(let list)?: list.contains(.text(audience))
    default: false
    }
  }

  /// A NumericDate (RFC 7519 §2), which may have a fraction, in whole seconds.
  private static func seconds(_ value: ClaimValue) -> Int64? {
    switch value {
    case .integer(let seconds): return seconds
    case .number(let seconds):
      guard seconds.isFinite else { return nil }
      return Int64(exactly: min(max(seconds.rounded(.down), -9e18), 9e18))
    default: return nil
    }
  }
}
