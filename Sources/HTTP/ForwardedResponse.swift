extension ResponseHead {
  /// An answer on its way to the client, its body framed for the client's version: with the same length,
  /// or, where the server tells none, in chunks in HTTP/1.1, until the connection ends in HTTP/1.0, and
  /// by the frames of HTTP/2, for which ``BodyFraming/untilClose`` stands.
  ///
  /// - Parameters:
  ///   - version: the client's. What is written to HTTP/1.0 calls itself HTTP/1.1, which the edge is
  ///     (RFC 9110 §6.2).
  ///   - method: the request's.
  ///   - body: the server's.
  ///   - persists: whether the client's connection is to carry another request.
  /// - Returns: the head, how the body goes on, and whether the connection can persist behind it.
  public consuming func forwarded(
    toVersion version: HTTPVersion, method: String, body: BodyReader, persists: Bool
  ) -> (head: ResponseHead, framing: BodyFraming, persists: Bool) {
    let framing = body.framing.forwarded(toVersion: version)
    let persists = persists && version != .http10
    var head = self
    head.keepEndToEnd(toVersion: version, keepsTrailer: body.framing == .chunked)
    head.fields.announceLength(
      body.framing, isInformation: head.status != 204 && (method == "HEAD" || head.status == 304))
    if framing == .chunked { head.fields.append(.transferEncoding, "chunked") }
    guard version != .http2 else { return (head, framing, persists) }
    switch (persists, head.fields.contains(.upgrade)) {
    case (true, false): break
    case (true, true): head.fields.append(.connection, "Upgrade")
    case (false, false): head.fields.append(.connection, "close")
    case (false, true): head.fields.append(.connection, "close, Upgrade")
    }
    return (head, framing, persists)
  }

  /// An interim answer (1xx) on its way to the client. `nil` for one that ends here: HTTP/1.0 knows none
  /// (RFC 9110 §15.2), a 101 is the edge's own matter, and any other status is no interim answer.
  public func forwardedInterim(toVersion version: HTTPVersion) -> ResponseHead? {
    guard version != .http10, (100..<200).contains(self.status), self.status != 101 else {
      return nil
    }
    var head = self
    head.keepEndToEnd(toVersion: version, keepsTrailer: false)
    head.fields.removeLength()
    return head
  }

  /// Leaves out what belongs to the server's connection.
  private mutating func keepEndToEnd(toVersion version: HTTPVersion, keepsTrailer: Bool) {
    // 426 names in Upgrade what it asks for (RFC 9110 §15.5.22). HTTP/2 has no such field.
    let keepsUpgrade = self.status == 426 && version != .http2
    let keepsTrailer = keepsTrailer && version != .http10
    self.version = version == .http2 ? .http2 : .http11
    self.fields.removeHopByHop(
      except: { ($0 == .upgrade && keepsUpgrade) || ($0 == .trailer && keepsTrailer) })
  }
}

extension BodyFraming {
  /// How the body of a server's answer goes on to a client.
  fileprivate func forwarded(toVersion version: HTTPVersion) -> BodyFraming {
    switch self {
    case .none, .length: self
    case .chunked, .untilClose: version == .http11 ? .chunked : .untilClose
    }
  }
}

extension Fields {
  /// Leaves one Content-Length where there is a length, written plainly: repeated lines and leading
  /// zeros are not every reader's number. Where there is no body it goes, unless it is information about
  /// the answer to another request (RFC 9110 §8.6).
  fileprivate mutating func announceLength(_ framing: BodyFraming, isInformation: Bool) {
    do throws(HeadError) {
      guard framing != .none || isInformation else { return self.removeLength() }
      guard let length = try self.contentLength(), !self.saysLengthPlainly else { return }
      self.set(.contentLength, String(length))
    } catch {
      self.removeLength()
    }
  }

  /// Whether the length, which there is, needs no writing anew.
  private var saysLengthPlainly: Bool {
    guard self.count(.contentLength) == 1, let value = self.first(.contentLength)?.value else {
      return false
    }
    return value.count == 1 || self.storage[value.lowerBound] != 0x30
  }

  fileprivate mutating func removeLength() {
    self.removeEntries { $0.known == .contentLength }
  }
}
