import Crypto

/// The Sec-WebSocket-Accept that answers a Sec-WebSocket-Key (RFC 6455 §4.2.2, step 5.4).
///
/// SHA-1 proves here that the server understood the question, and nothing else.
public func acceptValue(forKey key: String) -> String {
  var text = Array(key.utf8)
  text.append(contentsOf: "258EAFA5-E914-47DA-95CA-C5AB0DC85B11".utf8)
  return Base64.encode(Array(Insecure.SHA1.hash(data: text)))
}

/// The Sec-WebSocket-Key for sixteen octets that the caller drew by chance (RFC 6455 §4.1).
public func upgradeKey(high: UInt64, low: UInt64) -> String {
  let octets = [high, low].flatMap { half in
    (0..<8).map { UInt8(truncatingIfNeeded: half >> (56 - 8 * $0)) }
  }
  return Base64.encode(octets)
}
