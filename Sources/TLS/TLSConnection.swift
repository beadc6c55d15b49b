internal import COpenSSL
public import Net

/// Why a TLS connection ended early.
public struct TLSFault: Error, Equatable, Sendable {
  /// OpenSSL's words, or those of the certificate check.
  public let reason: String

  /// A fault that is found outside of OpenSSL.
  public init(reason: String) { self.reason = reason }
}

/// One TLS connection: octets of records in and out of buffers, no descriptor and no clock.
///
/// Handshake and record protection are apart: ``handshake(_:replies:over:)`` runs until it is done,
/// then ``open(_:into:replies:over:)`` and ``seal(_:into:over:)`` carry records.
@safe public struct TLSConnection: ~Copyable {
  /// The most plaintext a record holds (RFC 8446 §5.1).
  public static let recordPlaintextByteCountMax = 16_384
  /// The most a record adds to it: header, content type, explicit nonce, tag.
  public static let recordOverheadByteCountMax = 256

  let ssl: OpaquePointer
  /// Kept until the handshake is done: its callbacks use tables that the context owns.
  private var serverContext: ServerContext?

  /// The server's end, with `wire` for its life.
  public init(accepting context: ServerContext, over wire: borrowing RecordWire) throws(TLSFault) {
    let ssl = try unsafe Self.allocate(context.first, wire)
    unsafe SSL_set_accept_state(ssl)
    unsafe self.ssl = ssl
    self.serverContext = context
  }

  /// The client's end towards `host`, whose certificate must be valid for the context's server
  /// name, or for `host` where it has none.
  public init(
    connecting context: ClientContext, host: String, over wire: borrowing RecordWire
  ) throws(TLSFault) {
    let ssl = try unsafe Self.allocate(context.context, wire)
    guard unsafe Self.verify(ssl, for: context.serverName ?? host) else {
      unsafe SSL_free(ssl)
      throw TLSFault(reason: ErrorQueue.takeReason())
    }
    unsafe SSL_set_connect_state(ssl)
    unsafe self.ssl = ssl
  }

  private static func allocate(
    _ context: Context, _ wire: borrowing RecordWire
  ) throws(TLSFault) -> OpaquePointer {
    ErrorQueue.clear()
    guard let ssl = unsafe SSL_new(context.pointer) else {
      throw TLSFault(reason: ErrorQueue.takeReason())
    }
    // SSL_set_bio takes over one reference; the wire keeps its own.
    unsafe _ = BIO_up_ref(wire.bio)
    unsafe SSL_set_bio(ssl, wire.bio, wire.bio)
    return unsafe ssl
  }

  private static func verify(_ ssl: OpaquePointer, for name: String) -> Bool {
    guard IPAddress(parsing: name) == nil else {
      // An address is no SNI name (RFC 6066 §3), and stands in the certificate as one of its own.
      let text = name.filter { $0 != "[" && $0 != "]" }
      return unsafe X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), text) == 1
    }
    return unsafe sluice_SSL_set_tlsext_host_name(ssl, name) == 1 && SSL_set1_host(ssl, name) == 1
  }

  deinit { unsafe SSL_free(self.ssl) }

  /// What the handshake asks for next. Whatever stands in the replies goes to the peer in each case.
  public enum OnHandshake: Equatable, Sendable {
    case needsOctets
    case done
    case failed(TLSFault)
  }

  /// Takes the peer's part of the handshake as far as it is there.
  public mutating func handshake(
    _ input: inout Buffer, replies output: inout Buffer, over wire: borrowing RecordWire
  ) -> OnHandshake {
    let result = wire.lend(input: &input, output: &output) {
      ErrorQueue.clear()
      return unsafe self.outcome(SSL_do_handshake(self.ssl))
    }
    switch result {
    case .done:
      self.serverContext = nil
      return .done
    case .wantsInput: return .needsOctets
    case .wantsOutput: return .failed(TLSFault(reason: "a handshake flight larger than the buffer"))
    case .ended: return .failed(TLSFault(reason: "closed during the handshake"))
    case .failed: return .failed(TLSFault(reason: self.takeReason()))
    }
  }

  /// What opening records led to. Plaintext that was found stands in the buffer in each case.
  public enum OnOpen: Equatable, Sendable {
    case open
    /// The peer said that nothing more comes (close_notify).
    case ended
    case failed(TLSFault)
  }

  /// Opens the records in `input`. Where `plaintext` is full before that, the caller empties it
  /// and calls again.
  public mutating func open(
    _ input: inout Buffer, into plaintext: inout Buffer, replies output: inout Buffer,
    over wire: borrowing RecordWire
  ) -> OnOpen {
    let result = wire.lend(input: &input, output: &output) {
      while plaintext.freeCount > 0 {
        let free = unsafe plaintext.unsafeFreeSpace
        var count = 0
        ErrorQueue.clear()
        // SAFETY: `free` is the buffer's own memory.
        let code = unsafe SSL_read_ex(self.ssl, free.baseAddress, free.count, &count)
        guard code == 1 else { return self.outcome(code) }
        plaintext.produced(count)
        // Another call would only find that there is nothing, and that costs as much as a record.
        if wire.isInputTaken, plaintext.freeCount > 0 { return .done }
      }
      return .done
    }
    switch result {
    case .done, .wantsInput, .wantsOutput: return .open
    case .ended: return .ended
    case .failed: return .failed(TLSFault(reason: self.takeReason()))
    }
  }

  /// Seals the buffer's octets into records for as long as whole ones fit into `output`, and
  /// consumes what it has sealed.
  public mutating func seal(
    _ plaintext: inout Buffer, into output: inout Buffer, over wire: borrowing RecordWire
  ) -> TLSFault? {
    let result: Outcome = wire.lend(output: &output) {
      while !plaintext.isEmpty {
        let octets = unsafe plaintext.unsafeOctets
        let piece = min(octets.count, Self.recordPlaintextByteCountMax)
        guard wire.outputFreeCount >= piece + Self.recordOverheadByteCountMax else { break }
        var count = 0
        ErrorQueue.clear()
        // SAFETY: `octets` is the buffer's own memory.
        let code = unsafe SSL_write_ex(self.ssl, octets.baseAddress, piece, &count)
        guard code == 1 else { return self.outcome(code) }
        plaintext.consume(count)
      }
      return .done
    }
    return result == .done ? nil : TLSFault(reason: self.takeReason())
  }

  /// Tells the peer that nothing more comes (RFC 8446 §6.1). Only after the handshake.
  public mutating func end(into output: inout Buffer, over wire: borrowing RecordWire) {
    wire.lend(output: &output) {
      ErrorQueue.clear()
      unsafe _ = SSL_shutdown(self.ssl)
      ErrorQueue.clear()
    }
  }

  /// `TLSv1.3`, for records.
  public var version: String { unsafe String(cString: SSL_get_version(self.ssl)) }

  /// Whether an earlier session was resumed.
  public var isResumed: Bool { unsafe SSL_session_reused(self.ssl) == 1 }
}

extension TLSConnection {
  /// What one call into OpenSSL came to.
  private enum Outcome: Equatable {
    case done
    case wantsInput
    case wantsOutput
    case ended
    case failed
  }

  private borrowing func outcome(_ code: CInt) -> Outcome {
    if code == 1 { return .done }
    switch unsafe SSL_get_error(self.ssl, code) {
    case SSL_ERROR_WANT_READ: return .wantsInput
    case SSL_ERROR_WANT_WRITE: return .wantsOutput
    case SSL_ERROR_ZERO_RETURN: return .ended
    default: return .failed
    }
  }

  private borrowing func takeReason() -> String {
    let verdict = unsafe SSL_get_verify_result(self.ssl)
    if verdict != Int(X509_V_OK), let reason = unsafe X509_verify_cert_error_string(verdict) {
      ErrorQueue.clear()
      // SAFETY: the string is static and NUL-terminated.
      return unsafe "certificate verification failed: \(String(cString: reason))"
    }
    return ErrorQueue.takeReason()
  }
}
