internal import HTTP
internal import Net

/// What a certificate authority asks for to see that this host is ours (RFC 8555 §8.3): the file of the
/// token's name, which an ACME client has put there. `nil` for any other request.
func challengeAnswer(to head: RequestHead, from directory: String) -> PageAnswer? {
  let beginning = "/.well-known/acme-challenge/"
  let path = head.path
  guard path.hasPrefix(beginning) else { return nil }
  guard head.method == "GET" || head.method == "HEAD" else {
    return PageAnswer(405, [("Allow", "GET, HEAD")], [], announcing: 0)
  }
  let name = String(path.dropFirst(beginning.count))
  // RFC 8555 §8.1: a token has the characters of base64url alone.
  let isToken =
    !name.isEmpty
    && name.utf8.allSatisfy {
      switch $0 {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x5F: true
      default: false
      }
    }
  guard isToken, let content = challengeContent(name, in: directory) else {
    return PageAnswer(404, [("Content-Type", "text/plain")], [], announcing: 0)
  }
  let fields = [("Content-Type", "application/octet-stream"), ("Cache-Control", "no-store")]
  return PageAnswer(
    200, fields, head.method == "HEAD" ? [] : content, announcing: content.count)
}

private func challengeContent(_ name: String, in directory: String) -> [UInt8]? {
  do throws(Errno) {
    return try smallFile(
      named: name, in: directory, byteCountMax: Limits.challengeByteCountMax)
  } catch {
    return nil
  }
}
