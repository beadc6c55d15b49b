public import HTTP
public import Net

/// The client's address, seen through the proxies that are trusted.
///
/// X-Forwarded-For is read from its end, where the proxy nearest to us wrote: as long as the address
/// in hand is a trusted proxy's, the one before it is taken. What a client put there itself stands
/// in front of the first address that is not trusted, and is never reached.
///
/// - Parameter peer: who is at the other end of the socket, `nil` for a unix socket: there only a
///   local proxy can be, which is believed as soon as any proxy is trusted.
/// - Returns: `nil` where it cannot be known.
public func clientAddress(
  peer: IPAddress?, fields: Fields, trusted: [AddressRange]
) -> IPAddress? {
  guard !trusted.isEmpty else { return peer }
  var address = peer
  for hop in fields.tokens("X-Forwarded-For").reversed() {
    if let address, !trusted.contains(where: { $0.contains(address) }) { return address }
    // "unknown", or nonsense: whoever wrote it is the last one known.
    guard let next = hopAddress(hop) else { return address }
    address = next
  }
  return address
}

/// An address as proxies write it: alone, with a port, in quotes, an IPv6 one perhaps in brackets.
private func hopAddress(_ text: String) -> IPAddress? {
  let text = text[...].unquoted
  if let address = IPAddress(parsing: text) { return address }
  guard let colon = text.lastIndex(of: ":"),
    text[colon...].dropFirst().utf8.allSatisfy(\.isASCIIDigit)
  else { return nil }
  let host = text[..<colon]
  // Without brackets, a colon and a number may be the last group of an IPv6 address cut short.
  guard host.hasPrefix("[") || !host.contains(":") else { return nil }
  return IPAddress(parsing: host)
}
