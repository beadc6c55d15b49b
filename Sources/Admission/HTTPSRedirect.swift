public import HTTP

/// Where a request is to come again: to the same host and target, over TLS.
///
/// RFC 9110 §15.4: GET and HEAD get a 301; other methods a 308, behind which a client may not make a
/// GET of them.
///
/// - Parameter port: where TLS is spoken; 443 is not written.
/// - Returns: `nil` where the request names no host to come back to, which is answered with 400.
public func redirectToHTTPS(head: RequestHead, port: UInt16) -> ResponseHead? {
  guard !head.host.isEmpty else { return nil }
  let authority = port == 443 ? head.host : "\(head.host):\(port)"
  // `*` of OPTIONS has no place in a URI (RFC 9112 §3.2.4).
  let target = head.target.hasPrefix("/") ? head.target : "/"
  var fields = Fields()
  fields.append(name: "Location", value: "https://\(authority)\(target)")
  fields.append(name: "Content-Length", value: "0")
  let isSafe = head.method == "GET" || head.method == "HEAD"
  return ResponseHead(status: isSafe ? 301 : 308, fields: fields)
}
