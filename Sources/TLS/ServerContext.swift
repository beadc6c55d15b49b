internal import COpenSSL

/// Where a certificate chain and its key are, both PEM.
public struct CertificateFiles: Equatable, Sendable {
  /// The server's certificate first, then the intermediate ones.
  public let certificate: String
  /// The private key of the first certificate, without a passphrase.
  public let key: String

  /// Paths; the files are read when a context is made of them.
  public init(certificate: String, key: String) {
    self.certificate = certificate
    self.key = key
  }
}

/// What a listener's TLS is: certificates, versions, and who must show a certificate. Shared by all
/// workers; sessions are resumed by tickets (RFC 5077, RFC 8446 §2.2), so nothing is stored here.
public final class ServerContext: Sendable {
  /// The context that handshakes begin with: that of the first certificate.
  let first: Context
  /// Contexts by the names in their certificates. The servername callback has its address, so it
  /// lives as long as `self`, which a connection keeps until its handshake is done.
  private let names: NameTable

  /// - Parameters:
  ///   - certificates: at least one; the client's SNI chooses, the first one otherwise.
  ///   - minimumVersion: older clients are refused.
  ///   - clientCA: a PEM file; where given, every client must show a certificate signed by one of
  ///     its authorities.
  ///   - offersHTTP2: whether clients that offer `h2` get it (RFC 7301); HTTP/1.1 otherwise.
  public convenience init(
    certificates: [CertificateFiles], minimumVersion: TLSVersion, clientCA: String?,
    offersHTTP2: Bool = false
  ) throws(ContextError) {
    var contexts: [Context] = []
    var names: [String: Context] = [:]
    for (index, files) in certificates.enumerated() {
      let context = try Self.context(files, index, minimumVersion, clientCA)
      context.chooseProtocols(includingHTTP2: offersHTTP2)
      for name in CertificateNames.dnsNames(of: context) where names[name] == nil {
        names[name] = context
      }
      contexts.append(context)
    }
    guard let first = contexts.first else {
      throw ContextError(.context, "a TLS listener needs a certificate")
    }
    self.init(first: first, names: names)
  }

  init(first: Context, names: [String: Context]) {
    self.first = first
    self.names = NameTable(names)
    // SAFETY: see `names`; the callback only borrows the table.
    let argument = unsafe Unmanaged.passUnretained(self.names).toOpaque()
    unsafe _ = sluice_SSL_CTX_set_tlsext_servername_arg(first.pointer, argument)
    unsafe _ = sluice_SSL_CTX_set_tlsext_servername_callback(first.pointer, chooseCertificate)
  }

  private static func context(
    _ files: CertificateFiles, _ index: Int, _ minimumVersion: TLSVersion, _ clientCA: String?
  ) throws(ContextError) -> Context {
    let context = try Self.context(minimumVersion)
    try Self.load(files, index, into: context)
    try Self.requireClients(signedBy: clientCA, in: context)
    return context
  }

  /// A context with everything but a certificate.
  static func context(_ minimumVersion: TLSVersion) throws(ContextError) -> Context {
    let context = try unsafe Context(TLS_server_method())
    context.setMinimumVersion(minimumVersion)
    try context.setCiphers()
    let options = sluice_SSL_OP_CIPHER_SERVER_PREFERENCE() | sluice_SSL_OP_PRIORITIZE_CHACHA()
    unsafe _ = SSL_CTX_set_options(context.pointer, options)
    unsafe _ = sluice_SSL_CTX_set1_groups_list(context.pointer, "X25519:P-256:P-384")
    Self.enableTickets(context)
    context.chooseProtocols(includingHTTP2: false)
    return context
  }

  private static func load(
    _ files: CertificateFiles, _ index: Int, into context: Context
  ) throws(ContextError) {
    ErrorQueue.clear()
    guard unsafe SSL_CTX_use_certificate_chain_file(context.pointer, files.certificate) == 1 else {
      throw ContextError(
        .certificate(index), "\(files.certificate): \(ErrorQueue.takeReason())")
    }
    guard
      unsafe SSL_CTX_use_PrivateKey_file(context.pointer, files.key, SSL_FILETYPE_PEM) == 1
    else {
      throw ContextError(.key(index), "\(files.key): \(ErrorQueue.takeReason())")
    }
    guard unsafe SSL_CTX_check_private_key(context.pointer) == 1 else {
      throw ContextError(.key(index), "\(files.key) is not the key of \(files.certificate)")
    }
  }

  private static func requireClients(
    signedBy ca: String?, in context: Context
  ) throws(ContextError) {
    guard let ca else { return }
    ErrorQueue.clear()
    guard unsafe SSL_CTX_load_verify_file(context.pointer, ca) == 1,
      let names = unsafe SSL_load_client_CA_file(ca)
    else {
      throw ContextError(.clientCA, "\(ca): \(ErrorQueue.takeReason())")
    }
    unsafe SSL_CTX_set_client_CA_list(context.pointer, names)
    unsafe SSL_CTX_set_verify(
      context.pointer, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
  }

  /// Tickets only: no session is kept on this side. One ticket for each TLS 1.3 handshake instead
  /// of two: a WebSocket client opens one connection.
  private static func enableTickets(_ context: Context) {
    unsafe _ = sluice_SSL_CTX_set_session_cache_mode(context.pointer, Int(SSL_SESS_CACHE_OFF))
    unsafe _ = SSL_CTX_set_num_tickets(context.pointer, 1)
    let name = Array("sluice".utf8)
    unsafe _ = SSL_CTX_set_session_id_context(context.pointer, name, UInt32(name.count))
  }
}

/// Contexts by host name.
final class NameTable: Sendable {
  private let contexts: [String: Context]

  init(_ contexts: [String: Context]) { self.contexts = contexts }

  /// The context whose certificate carries `name`, or a wildcard for its first label (RFC 6125
  /// §6.4.3).
  func context(for name: String) -> Context? {
    if let context = self.contexts[name] { return context }
    guard let dot = name.firstIndex(of: ".") else { return nil }
    return self.contexts["*" + name[dot...]]
  }
}

/// RFC 6066 §3: picks the certificate for the name that the client asks for. A name that no
/// certificate carries gets the first one, as a browser's user would rather see its name than an alert.
private func chooseCertificate(
  ssl: OpaquePointer?, alert: UnsafeMutablePointer<CInt>?, argument: UnsafeMutableRawPointer?
) -> CInt {
  guard let argument = unsafe argument,
    let name = unsafe SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)
  else { return SSL_TLSEXT_ERR_NOACK }
  // SAFETY: the argument is the NameTable that ServerContext keeps alive.
  let table = unsafe Unmanaged<NameTable>.fromOpaque(argument).takeUnretainedValue()
  if let context = table.context(for: unsafe String(cString: name).lowercased()) {
    unsafe SSL_set_SSL_CTX(ssl, context.pointer)
  }
  return SSL_TLSEXT_ERR_OK
}
