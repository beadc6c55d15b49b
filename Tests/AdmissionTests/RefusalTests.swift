import Admission
import HTTP
import Testing

@Suite("Refusals")
struct RefusalTests {
  struct Row: Sendable, CustomTestStringConvertible {
    let refusal: Refusal
    let status: Int
    let error: String
    var fields: [String] = []

    var testDescription: String { "\(self.status) \(self.error)" }
  }

  static let second = Duration.seconds(1)
  static let bearer = "WWW-Authenticate: Bearer"

  static let rows: [Row] = [
    Row(refusal: .headTimedOut, status: 408, error: "head_timed_out"),
    Row(refusal: .bodyTimedOut, status: 408, error: "body_timed_out"),
    Row(refusal: .malformedBody(.malformedChunk), status: 400, error: "malformed_body"),
    Row(refusal: .malformedBody(.headTooLarge), status: 400, error: "malformed_body"),
    Row(
      refusal: .methodNotAllowed(allow: ["GET", "HEAD"]), status: 405, error: "method_not_allowed",
      fields: ["Allow: GET, HEAD"]),
    Row(refusal: .bodyTooLarge, status: 413, error: "body_too_large"),
    Row(refusal: .noRoute, status: 404, error: "no_route"),
    Row(refusal: .originNotAllowed, status: 403, error: "origin_not_allowed"),
    Row(refusal: .originRequired, status: 403, error: "origin_required"),
    Row(refusal: .missingToken, status: 401, error: "missing_token", fields: [bearer]),
    Row(
      refusal: .badToken(reason: "Bad."), status: 401, error: "invalid_token",
      fields: [bearer + " error=\"invalid_token\", error_description=\"Bad.\""]),
    Row(
      refusal: .missingKey, status: 401, error: "missing_api_key",
      fields: ["WWW-Authenticate: ApiKey"]),
    Row(
      refusal: .badKey, status: 401, error: "invalid_api_key", fields: ["WWW-Authenticate: ApiKey"]),
    Row(
      refusal: .notPermitted(reason: "No."), status: 403, error: "not_permitted",
      fields: [bearer + " error=\"insufficient_scope\", error_description=\"No.\""]),
    Row(
      refusal: .verifierUnavailable(reason: "No keys.", retryAfter: second), status: 503,
      error: "verifier_unavailable", fields: ["Retry-After: 1"]),
    Row(
      refusal: .tooManyConnections(retryAfter: second), status: 429, error: "too_many_connections",
      fields: ["Retry-After: 1"]),
    Row(
      refusal: .tooManyUpgrades(retryAfter: .milliseconds(1500)), status: 429,
      error: "too_many_upgrades", fields: ["Retry-After: 2"]),
    Row(
      refusal: .tooManyRequests(retryAfter: .milliseconds(100)), status: 429,
      error: "too_many_requests", fields: ["Retry-After: 1"]),
    Row(
      refusal: .overloaded(retryAfter: .seconds(5)), status: 503, error: "overloaded",
      fields: ["Retry-After: 5"]),
    Row(
      refusal: .draining(retryAfter: .zero), status: 503, error: "draining",
      fields: ["Retry-After: 1"]),
    Row(
      refusal: .noHealthyServer(retryAfter: .seconds(-3)), status: 503, error: "no_healthy_server",
      fields: ["Retry-After: 1"]),
    Row(refusal: .upstreamRefused, status: 502, error: "upstream_refused"),
    Row(
      refusal: .upstreamMalformed(reason: "Not a 101."), status: 502, error: "upstream_malformed"),
    Row(refusal: .upstreamTimedOut, status: 504, error: "upstream_timed_out"),
    Row(
      refusal: .upgrade(status: 426, reason: "Not one.", fields: [("Upgrade", "websocket")]),
      status: 426, error: "upgrade_required", fields: ["Upgrade: websocket"]),
    Row(
      refusal: .upgrade(status: 405, reason: "Not GET.", fields: [("Allow", "GET")]), status: 405,
      error: "method_not_allowed", fields: ["Allow: GET"]),
    Row(refusal: .upgrade(status: 400, reason: "Bad key."), status: 400, error: "bad_request"),
  ]

  @Test("every row of the table", arguments: rows)
  func table(row: Row) {
    #expect(row.refusal.status == row.status)
    #expect(row.refusal.error == row.error)
    #expect(row.refusal.reason.hasSuffix("."))
    #expect(row.refusal.fields.map { "\($0.name): \($0.value)" } == row.fields)
  }

  @Test("every row on the wire", arguments: rows)
  func responses(row: Row) {
    let (head, body) = row.refusal.response(requestID: "req-1")
    #expect(head.status == row.status)
    #expect(!head.reason.isEmpty)
    let text = """
      {"error":"\(row.error)","reason":"\(row.refusal.reason)","request_id":"req-1"}

      """
    #expect(String(decoding: body, as: UTF8.self) == text)
    let isUpgrade = row.status == 426
    let common = [
      "Content-Type: application/json", "Content-Length: \(body.count)", "Cache-Control: no-store",
      "X-Request-Id: req-1", "Connection: \(isUpgrade ? "close, Upgrade" : "close")",
    ]
    #expect(head.fields.map { "\($0.name): \($0.value)" } == row.fields + common)
  }

  @Test(
    "an error of the head keeps its status and its sentence",
    arguments: [
      (HeadError.missingHost, 400, "bad_request"), (.bareLineFeed, 400, "bad_request"),
      (.targetTooLong, 414, "target_too_long"), (.headTooLarge, 431, "head_too_large"),
      (.tooManyFields, 431, "head_too_large"), (.methodTooLong, 501, "not_implemented"),
      (.unsupportedVersion, 505, "version_not_supported"),
    ])
  func heads(error: HeadError, status: Int, word: String) {
    let refusal = Refusal.head(error)
    #expect(refusal == Refusal(status: status, error: word, reason: error.reason))
  }

  @Test("text from outside cannot leave its place in the JSON or in a field")
  func escaping() {
    let refusal = Refusal.badToken(reason: "a\"b\\c\r\nX: y\u{7F}\u{1F}é")
    let (head, body) = refusal.response(requestID: "id\"\r\nSet-Cookie: a=b")
    let expected = #"""
      {"error":"invalid_token","reason":"a\"b\\c\u000d\u000aX: y\u007f\u001fé",\#
      "request_id":"id\"\u000d\u000aSet-Cookie: a=b"}

      """#
    #expect(String(decoding: body, as: UTF8.self) == expected)
    #expect(!head.fields.contains("Set-Cookie"))
    #expect(!head.fields.contains("X"))
    let challenge = "Bearer error=\"invalid_token\", error_description=\"a'b'c??X: y???\""
    #expect(head.fields.first("WWW-Authenticate") == challenge)
    for field in head.fields {
      #expect(!field.valueOctets.contains { $0 < 0x20 || $0 == 0x7F })
    }
  }
}
