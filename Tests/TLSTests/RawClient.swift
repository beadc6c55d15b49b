import COpenSSL
import Net

@testable import TLS

/// A client of plain OpenSSL that verifies nothing: it offers what a ``ClientContext`` never would.
@safe final class RawClient {
  private let context: OpaquePointer?
  private let ssl: OpaquePointer?
  private let incoming: OpaquePointer?
  private let outgoing: OpaquePointer?
  private(set) var isDone = false
  private(set) var hasFailed = false

  /// What a client may ask for.
  struct Wishes {
    var name: String?
    var maximumVersion: CInt?
    var minimumVersion: CInt?
    var protocols: [String] = []
    var certificate: CertificateFiles?
  }

  init(_ wishes: Wishes, resuming earlier: RawClient? = nil) {
    unsafe self.context = SSL_CTX_new(TLS_client_method())
    if let version = wishes.maximumVersion {
      unsafe SSL_CTX_ctrl(self.context, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(version), nil)
    }
    if let version = wishes.minimumVersion {
      unsafe SSL_CTX_ctrl(self.context, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(version), nil)
      // Security level 0, or the library itself would not offer an old version.
      unsafe SSL_CTX_set_security_level(self.context, 0)
    }
    if let files = wishes.certificate {
      unsafe SSL_CTX_use_certificate_chain_file(self.context, files.certificate)
      unsafe SSL_CTX_use_PrivateKey_file(self.context, files.key, SSL_FILETYPE_PEM)
    }
    unsafe self.ssl = SSL_new(self.context)
    unsafe self.incoming = BIO_new(BIO_s_mem())
    unsafe self.outgoing = BIO_new(BIO_s_mem())
    unsafe SSL_set_bio(self.ssl, self.incoming, self.outgoing)
    if let name = wishes.name { unsafe _ = sluice_SSL_set_tlsext_host_name(self.ssl, name) }
    let list = wishes.protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
    if !list.isEmpty { unsafe _ = SSL_set_alpn_protos(self.ssl, list, UInt32(list.count)) }
    if let session = unsafe earlier.flatMap({ unsafe SSL_get1_session($0.ssl) }) {
      unsafe SSL_set_session(self.ssl, session)
      unsafe SSL_SESSION_free(session)
    }
    unsafe SSL_set_connect_state(self.ssl)
  }

  deinit {
    unsafe SSL_free(self.ssl)
    unsafe SSL_CTX_free(self.context)
  }

  /// Talks to `server` until both have nothing more to say.
  func talk(to server: inout Party) {
    while true {
      self.advance()
      let octets = self.take()
      if !octets.isEmpty, server.fault == nil { server.receive(octets[...]) }
      let answer = server.outgoing.takeAll()
      if answer.isEmpty { return }
      unsafe _ = answer.withUnsafeBytes {
        unsafe BIO_write(self.incoming, $0.baseAddress, CInt($0.count))
      }
    }
  }

  private func advance() {
    ERR_clear_error()
    let code = unsafe self.isDone ? 1 : SSL_do_handshake(self.ssl)
    if code == 1 {
      self.isDone = true
      // A ticket is read like data.
      var octet: UInt8 = 0
      let count = unsafe SSL_read(self.ssl, &octet, 1)
      if count <= 0, unsafe SSL_get_error(self.ssl, count) == SSL_ERROR_SSL {
        self.hasFailed = true
      }
    } else if unsafe SSL_get_error(self.ssl, code) == SSL_ERROR_SSL {
      self.hasFailed = true
    }
  }

  private func take() -> [UInt8] {
    var octets = [UInt8](repeating: 0, count: unsafe Int(BIO_ctrl_pending(self.outgoing)))
    unsafe octets.withUnsafeMutableBytes {
      _ = unsafe BIO_read(self.outgoing, $0.baseAddress, CInt($0.count))
    }
    return octets
  }

  /// The common name of the server's certificate.
  var peerName: String? {
    guard let certificate = unsafe SSL_get1_peer_certificate(self.ssl) else { return nil }
    defer { unsafe X509_free(certificate) }
    var text = [CChar](repeating: 0, count: 64)
    let count = unsafe X509_NAME_get_text_by_NID(
      X509_get_subject_name(certificate), NID_commonName, &text, CInt(text.count))
    return String(
      decoding: text.prefix(Int(max(count, 0))).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// The protocol that the server chose (RFC 7301).
  var chosenProtocol: String? {
    var name: UnsafePointer<UInt8>?
    var count: UInt32 = 0
    unsafe SSL_get0_alpn_selected(self.ssl, &name, &count)
    guard let start = unsafe name else { return nil }
    let octets = unsafe UnsafeBufferPointer(start: start, count: Int(count))
    return unsafe String(decoding: octets, as: UTF8.self)
  }

  var version: String { unsafe String(cString: SSL_get_version(self.ssl)) }
}
