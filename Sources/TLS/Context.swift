internal import COpenSSL

/// What server and client contexts have in common: an owned SSL_CTX.
///
/// OpenSSL counts references to it with atomics and locks what it changes in it, so that all
/// workers share one (ssl(7), "thread-safety").
@safe final class Context: @unchecked Sendable {
  let pointer: OpaquePointer

  /// - Throws: where OpenSSL has no memory or is misconfigured.
  init(_ method: OpaquePointer?) throws(ContextError) {
    _ = RecordMemory.isPooled
    ErrorQueue.clear()
    guard let pointer = unsafe SSL_CTX_new(method) else {
      throw ContextError(.context, "OpenSSL gives no context: \(ErrorQueue.takeReason())")
    }
    unsafe self.pointer = pointer
    // Partial writes keep one call to a batch; moving buffers are ours to reuse; no buffer stays
    // with a connection that has nothing in it.
    let mode =
      sluice_SSL_MODE_ENABLE_PARTIAL_WRITE() | sluice_SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER()
      | sluice_SSL_MODE_RELEASE_BUFFERS()
    unsafe _ = sluice_SSL_CTX_set_mode(pointer, mode)
    unsafe _ = SSL_CTX_set_options(
      pointer, sluice_SSL_OP_NO_RENEGOTIATION() | sluice_SSL_OP_NO_COMPRESSION())
  }

  deinit { unsafe SSL_CTX_free(self.pointer) }

  func setMinimumVersion(_ version: TLSVersion) {
    unsafe _ = sluice_SSL_CTX_set_min_proto_version(self.pointer, version.number)
  }

  /// The versions' own ciphers in order of preference. TLS 1.2: forward secrecy and AEAD only.
  func setCiphers() throws(ContextError) {
    ErrorQueue.clear()
    guard
      unsafe SSL_CTX_set_ciphersuites(
        self.pointer,
        "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256") == 1,
      unsafe SSL_CTX_set_cipher_list(self.pointer, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1
    else {
      throw ContextError(.context, "OpenSSL lacks the ciphers: \(ErrorQueue.takeReason())")
    }
  }
}

/// The versions of TLS that Sluice speaks (RFC 8996: the older ones are not to be used).
public enum TLSVersion: String, Sendable, CaseIterable {
  /// RFC 5246.
  case tls12 = "1.2"
  /// RFC 8446.
  case tls13 = "1.3"

  var number: CInt { self == .tls12 ? TLS1_2_VERSION : TLS1_3_VERSION }
}
