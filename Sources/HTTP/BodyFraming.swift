/// How a message says where its body ends (RFC 9112 §6.3).
public enum BodyFraming: Equatable, Sendable {
  /// There is no body.
  case none
  /// With its length, in octets.
  case length(Int)
  /// With the last of its chunks.
  case chunked
  /// With the connection.
  case untilClose
}

extension BodyFraming {
  /// What a request announces. One of HTTP/2 announces nothing: its frames say where it ends.
  ///
  /// - Throws: ``HeadError`` where the head contradicts itself.
  init(_ request: borrowing RequestHead) throws(HeadError) {
    try request.fields.checkRequestFraming(version: request.version)
    if request.version == .http2 {
      self = .none
    } else if request.fields.contains(.transferEncoding) {
      self = .chunked
    } else {
      self = try request.fields.contentLength().map { .length($0) } ?? .none
    }
  }

  /// What a response announces to a request with the method `method`. A body that was coded in another
  /// way before it was cut into chunks is refused: whoever takes the chunks off would have to say so to
  /// the next, and clients do not understand it.
  ///
  /// - Throws: ``HeadError`` where the head contradicts itself, or for such a coding.
  init(_ response: borrowing ResponseHead, toMethod method: String) throws(HeadError) {
    try response.fields.checkResponseFraming(version: response.version)
    let hasNone =
      method == "HEAD" || response.status < 200 || response.status == 204
      || response.status == 304 || (method == "CONNECT" && response.status < 300)
    if hasNone {
      self = .none
    } else if response.fields.contains(.transferEncoding) {
      let codings = response.fields.tokens("transfer-encoding")
      guard codings.count == 1, codings[0].equalsIgnoringCase("chunked") else {
        throw .unsupportedTransferEncoding
      }
      self = .chunked
    } else {
      self = try response.fields.contentLength().map { .length($0) } ?? .untilClose
    }
  }
}
