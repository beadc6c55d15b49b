internal import COpenSSL

/// How connections to servers of a group are made and verified. Shared by all workers.
public final class ClientContext: Sendable {
  let context: Context
  /// The name that a server's certificate must carry; `nil` for the host of its URL.
  public let serverName: String?

  /// - Parameters:
  ///   - ca: a PEM file with the authorities to trust; `nil` for the system's.
  ///   - serverName: overrides the URL's host in SNI and in the certificate check.
  ///   - offersHTTP2: whether the handshake asks for `h2`, and for nothing else (RFC 7301). What it
  ///     has settled on is then to be looked at: a server may pass the offer over.
  public init(
    ca: String?, serverName: String?, offersHTTP2: Bool = false
  ) throws(ContextError) {
    self.context = unsafe try Context(unsafe TLS_client_method())
    self.serverName = serverName
    if let serverName, serverName.isEmpty || serverName.utf8.contains(0) {
      throw ContextError(.serverName, "\"\(serverName)\" is not a server name")
    }
    self.context.setMinimumVersion(.tls12)
    try self.context.setCiphers()
    try self.trust(ca)
    unsafe SSL_CTX_set_verify(self.context.pointer, SSL_VERIFY_PEER, nil)
    // Sessions are not resumed towards servers: the cache would only grow.
    unsafe _ = sluice_SSL_CTX_set_session_cache_mode(
      self.context.pointer, Int(SSL_SESS_CACHE_OFF))
    if offersHTTP2 { try self.context.offer(.http2) }
  }

  private func trust(_ ca: String?) throws(ContextError) {
    ErrorQueue.clear()
    if let ca {
      guard unsafe SSL_CTX_load_verify_file(self.context.pointer, ca) == 1 else {
        throw ContextError(.ca, "\(ca): no certificate authority: \(ErrorQueue.takeReason())")
      }
    } else {
      guard unsafe SSL_CTX_set_default_verify_paths(self.context.pointer) == 1 else {
        throw ContextError(
          .ca, "the system's certificate authorities: \(ErrorQueue.takeReason())")
      }
    }
  }
}

extension Context {
  /// Has a client's handshake offer one protocol.
  fileprivate func offer(_ wanted: ApplicationProtocol) throws(ContextError) {
    // RFC 7301 §3.1: each name stands behind its length.
    let list = [UInt8(wanted.rawValue.utf8.count)] + Array(wanted.rawValue.utf8)
    ErrorQueue.clear()
    // Unlike its neighbours, the function gives 0 where it succeeds.
    guard unsafe SSL_CTX_set_alpn_protos(self.pointer, list, UInt32(list.count)) == 0 else {
      throw ContextError(.context, "OpenSSL takes no protocols: \(ErrorQueue.takeReason())")
    }
  }
}
