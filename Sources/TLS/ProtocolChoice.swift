internal import COpenSSL

/// The protocols that a client may choose from inside the handshake (RFC 7301).
public enum ApplicationProtocol: String, Sendable {
  /// RFC 9112.
  case http11 = "http/1.1"
  /// RFC 9113.
  case http2 = "h2"
}

extension Context {
  /// Has the handshake choose: what is best among the protocols that the client offers.
  func chooseProtocols(includingHTTP2: Bool) {
    if includingHTTP2 {
      unsafe SSL_CTX_set_alpn_select_cb(self.pointer, chooseAny, nil)
    } else {
      unsafe SSL_CTX_set_alpn_select_cb(self.pointer, chooseHTTP11, nil)
    }
  }
}

/// The two callbacks differ in what they look for alone: a certificate's context that takes the place of
/// the first one during the handshake must not depend on an argument of its own.
private func chooseAny(
  ssl: OpaquePointer?, chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
  chosenCount: UnsafeMutablePointer<UInt8>?, offered: UnsafePointer<UInt8>?, offeredCount: UInt32,
  argument: UnsafeMutableRawPointer?
) -> CInt {
  unsafe choose(among: [.http2, .http11], chosen, chosenCount, offered, offeredCount)
}

private func chooseHTTP11(
  ssl: OpaquePointer?, chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
  chosenCount: UnsafeMutablePointer<UInt8>?, offered: UnsafePointer<UInt8>?, offeredCount: UInt32,
  argument: UnsafeMutableRawPointer?
) -> CInt {
  unsafe choose(among: [.http11], chosen, chosenCount, offered, offeredCount)
}

/// RFC 7301 §3.2: the first of `protocols` that the client offers, a fatal alert where it offers none.
private func choose(
  among protocols: [ApplicationProtocol], _ chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
  _ chosenCount: UnsafeMutablePointer<UInt8>?, _ offered: UnsafePointer<UInt8>?,
  _ offeredCount: UInt32
) -> CInt {
  // SAFETY: OpenSSL hands over a list that it has checked, of `offeredCount` octets, and two places
  // for the result, which may point into the list.
  let list = unsafe UnsafeBufferPointer(start: offered, count: Int(offeredCount))
  for wanted in protocols {
    var index = 0
    while index < list.count {
      let count = unsafe Int(list[index])
      let name = index + 1..<min(index + 1 + count, list.count)
      if unsafe list[name].elementsEqual(wanted.rawValue.utf8) {
        unsafe chosen?.pointee = offered.map { unsafe $0 + name.lowerBound }
        unsafe chosenCount?.pointee = UInt8(count)
        return SSL_TLSEXT_ERR_OK
      }
      index = name.upperBound
    }
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL
}

extension TLSConnection {
  /// What the handshake has settled on; HTTP/1.1 where the client had no wish.
  public var applicationProtocol: ApplicationProtocol {
    var octets: UnsafePointer<UInt8>?
    var count: UInt32 = 0
    unsafe SSL_get0_alpn_selected(self.ssl, &octets, &count)
    // SAFETY: OpenSSL gives the place and the length of its own copy.
    let name = unsafe UnsafeBufferPointer(start: octets, count: Int(count))
    return unsafe name.elementsEqual(ApplicationProtocol.http2.rawValue.utf8) ? .http2 : .http11
  }
}
