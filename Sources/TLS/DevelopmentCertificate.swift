internal import COpenSSL

extension ServerContext {
  /// A context with a certificate that is made for this run, for trying things out on one machine:
  /// P-256, valid for 30 days for `localhost`, 127.0.0.1 and ::1, signed by itself. Its key never
  /// leaves the process.
  public convenience init(
    developmentFor minimumVersion: TLSVersion, offersHTTP2: Bool = false
  ) throws(ContextError) {
    let context = try Self.context(minimumVersion)
    context.chooseProtocols(includingHTTP2: offersHTTP2)
    ErrorQueue.clear()
    guard let key = unsafe sluice_EVP_EC_gen("P-256") else {
      throw ContextError(.context, "OpenSSL makes no key: \(ErrorQueue.takeReason())")
    }
    defer { unsafe EVP_PKEY_free(key) }
    guard let certificate = unsafe DevelopmentCertificate.make(key) else {
      throw ContextError(.context, "OpenSSL makes no certificate: \(ErrorQueue.takeReason())")
    }
    defer { unsafe X509_free(certificate) }
    // Both calls take references of their own.
    guard unsafe SSL_CTX_use_certificate(context.pointer, certificate) == 1,
      unsafe SSL_CTX_use_PrivateKey(context.pointer, key) == 1
    else { throw ContextError(.context, "the certificate: \(ErrorQueue.takeReason())") }
    self.init(first: context, names: [:])
  }
}

private enum DevelopmentCertificate {
  static let lifetimeSeconds = 30 * 86_400
  static let names = "DNS:localhost,IP:127.0.0.1,IP:::1"

  /// The certificate, which the caller frees; `nil` where OpenSSL has no memory.
  static func make(_ key: OpaquePointer) -> OpaquePointer? {
    guard let certificate = unsafe X509_new() else { return nil }
    guard unsafe self.fill(certificate, key), unsafe X509_sign(certificate, key, EVP_sha256()) > 0
    else {
      unsafe X509_free(certificate)
      return nil
    }
    return unsafe certificate
  }

  private static func fill(_ certificate: OpaquePointer, _ key: OpaquePointer) -> Bool {
    // RFC 5280 §4.1.2.2: a positive number that no other certificate of the issuer has.
    let serial = UInt64.random(in: 1...(.max >> 1))
    let name = unsafe X509_get_subject_name(certificate)
    let commonName = Array("Sluice development".utf8)
    return unsafe X509_set_version(certificate, 2) == 1
      && ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial) == 1
      && X509_gmtime_adj(X509_getm_notBefore(certificate), 0) != nil
      && X509_gmtime_adj(X509_getm_notAfter(certificate), self.lifetimeSeconds) != nil
      && X509_NAME_add_entry_by_txt(
        name, "CN", MBSTRING_ASC, commonName, CInt(commonName.count), -1, 0) == 1
      && X509_set_issuer_name(certificate, name) == 1
      && X509_set_pubkey(certificate, key) == 1
      && self.add(NID_subject_alt_name, self.names, to: certificate)
      && self.add(NID_basic_constraints, "critical,CA:FALSE", to: certificate)
      && self.add(NID_ext_key_usage, "serverAuth", to: certificate)
  }

  private static func add(_ kind: CInt, _ value: String, to certificate: OpaquePointer) -> Bool {
    guard let field = unsafe X509V3_EXT_conf_nid(nil, nil, kind, value) else { return false }
    defer { unsafe X509_EXTENSION_free(field) }
    return unsafe X509_add_ext(certificate, field, -1) == 1
  }
}
