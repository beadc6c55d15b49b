internal import COpenSSL

/// The host names that a context's certificate is for.
enum CertificateNames {
  /// The DNS entries of subjectAltName in lower case; the common name is not one (RFC 9525 §2).
  static func dnsNames(of context: Context) -> [String] {
    guard let certificate = unsafe SSL_CTX_get0_certificate(context.pointer),
      let extensionValue = unsafe X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil)
    else { return [] }
    // SAFETY: for this NID the value is a GENERAL_NAMES that we own.
    let names = OpaquePointer(extensionValue)
    defer { unsafe GENERAL_NAMES_free(names) }
    return (0..<(unsafe sluice_sk_GENERAL_NAME_num(names))).compactMap { index in
      let name = unsafe sluice_sk_GENERAL_NAME_value(names, index)
      return unsafe self.text(sluice_GENERAL_NAME_dns(name))
    }
  }

  private static func text(_ value: UnsafePointer<ASN1_IA5STRING>?) -> String? {
    guard let value = unsafe value, let octets = unsafe ASN1_STRING_get0_data(value) else {
      return nil
    }
    // SAFETY: the string's length is its own count of octets.
    let count = unsafe Int(ASN1_STRING_length(value))
    let bytes = unsafe UnsafeBufferPointer(start: octets, count: count)
    return unsafe String(decoding: bytes, as: UTF8.self).lowercased()
  }
}
