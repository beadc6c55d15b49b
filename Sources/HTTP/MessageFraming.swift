/// Where the body of a message ends (RFC 9112 §6.3), and the refusal of every head that two readers
/// could answer that question differently for.
extension Fields {
  /// The value of Content-Length, `nil` where there is none. Lines that repeat the same number are
  /// one number; a list in one line, a sign, or what does not fit `Int` is an error.
  func contentLength() throws(HeadError) -> Int? {
    var length: Int?
    for index in self.entries.indices where self.entries[index].known == .contentLength {
      let digits = self.storage.span.extracting(self.entries[index].value)
      guard let value = Self.number(digits) else { throw .malformedLength }
      guard length == nil || length == value else { throw .conflictingLengths }
      length = value
    }
    return length
  }

  private static func number(_ digits: Span<UInt8>) -> Int? {
    guard !digits.isEmpty else { return nil }
    var number = 0
    for index in digits.indices {
      let digit = digits[index]
      guard digit.isDigit else { return nil }
      let (product, productOverflows) = number.multipliedReportingOverflow(by: 10)
      let (sum, sumOverflows) = product.addingReportingOverflow(Int(digit - 0x30))
      guard !productOverflows, !sumOverflows else { return nil }
      number = sum
    }
    return number
  }

  /// RFC 9112 §9.3. What HTTP/1.0 says with `keep-alive` is not believed: a proxy that does not know
  /// the word passes it on.
  func keepConnection(in version: HTTPVersion) -> Bool {
    switch version {
    case .http10: false
    case .http11: !self.contains(.connection, token: "close")
    case .http2: true
    }
  }

  /// RFC 9112 §6.1, §6.3. A request's coding is exactly `chunked`: nothing here could take off
  /// another one, and nobody sends any.
  func checkRequestFraming(version: HTTPVersion) throws(HeadError) {
    let length = try self.contentLength()
    guard let coding = self.first(.transferEncoding) else { return }
    guard length == nil else { throw .lengthAndTransferEncoding }
    guard version == .http11, self.count(.transferEncoding) == 1,
      self.storage.equalsIgnoringCase(coding.value, "chunked")
    else {
      throw .unsupportedTransferEncoding
    }
  }

  /// Whether a response's body is chunked; `nil` where nothing is said about it. A coding other
  /// than `chunked` may stand before it, since the body is passed on as it is; a body whose last
  /// coding is another one ends with the connection (RFC 9112 §6.3).
  func responseIsChunked(version: HTTPVersion) throws(HeadError) -> Bool? {
    guard self.contains(.transferEncoding) else { return nil }
    guard version == .http11 else { throw .unsupportedTransferEncoding }
    let codings = self.tokens("transfer-encoding").map { $0.asciiLowercased() }
    guard !codings.isEmpty, !codings.dropLast().contains("chunked") else {
      throw .unsupportedTransferEncoding
    }
    return codings.last == "chunked"
  }

  /// The checks of a response's framing that do not depend on the request.
  func checkResponseFraming(version: HTTPVersion) throws(HeadError) {
    let length = try self.contentLength()
    guard try self.responseIsChunked(version: version) != nil else { return }
    guard length == nil else { throw .lengthAndTransferEncoding }
  }
}
