extension Fields {
  /// What of these trailers may go on. RFC 9110 §6.5.1 leaves out what frames the message, leads it
  /// somewhere, says who sends it, or how its content is to be read: a receiver that puts trailers and
  /// fields together would believe what nobody has looked at.
  func trailers() -> Fields {
    var trailers = self
    trailers.removeAll { field in
      field.isSpelledLike(anyOf: HopByHop.names)
        || field.isSpelledLike(anyOf: Self.leadingNames)
        || Self.leadingBeginnings.contains(where: field.nameBegins)
    }
    return trailers
  }

  /// The names of fields that count only where they stand before the content.
  private static let leadingNames = [
    // Framing and content
    "content-length", "content-encoding", "content-type", "content-range",
    // Where from and where to
    "host", "origin", "forwarded", "x-real-ip", "x-request-id", "via", "max-forwards", "location",
    // Who
    "authorization", "www-authenticate", "cookie", "set-cookie",
    // What the receiver is to do
    "cache-control", "expect", "range", "pragma", "age", "date", "expires", "retry-after", "vary",
  ]
  private static let leadingBeginnings = ["x-forwarded-", "sec-websocket-", "if-"]
}
