extension RequestHead {
  /// How the body of the request goes on to a server that speaks HTTP/1.1.
  ///
  /// - Parameter hasContent: of a request of HTTP/2, whether its stream goes on behind the head.
  /// - Throws: ``HeadError`` where the head contradicts itself.
  public func bodyFraming(hasContent: Bool) throws(HeadError) -> BodyFraming {
    guard self.version == .http2 else { return try BodyReader(request: self).framing }
    guard hasContent else { return .none }
    return try self.fields.contentLength().map { .length($0) } ?? .chunked
  }
}
