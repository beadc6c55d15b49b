import ArgumentParser
import Configuration
import Net
import TLS

/// Where a command listens that has no configuration file.
struct ListenOptions: ParsableArguments {
  @Option(help: ArgumentHelp("An address to listen on for ws.", valueName: "address"))
  var listen: String?

  @Option(help: ArgumentHelp("An address to listen on for wss.", valueName: "address"))
  var listenTls: String?

  @Option(help: ArgumentHelp("The certificate chain for wss, PEM.", valueName: "file"))
  var certificate: String?

  @Option(help: ArgumentHelp("The certificate's key, PEM.", valueName: "file"))
  var key: String?

  func validate() throws {
    guard (self.certificate == nil) == (self.key == nil) else {
      throw ValidationError("--certificate and --key go together")
    }
    guard self.certificate == nil || self.tlsAddress != nil else {
      throw ValidationError("--certificate is for --listen-tls")
    }
  }

  /// Whether the certificate is made for the run.
  var makesCertificate: Bool { self.certificate == nil && self.tlsAddress != nil }

  private var plainAddress: String? {
    self.listen ?? (self.listenTls == nil ? "127.0.0.1:8080" : nil)
  }

  private var tlsAddress: String? {
    self.listenTls ?? (self.listen == nil ? "127.0.0.1:8443" : nil)
  }

  /// The listeners; ends the program where a certificate cannot be used.
  func listeners() throws -> [ListenerRules] {
    var listeners: [ListenerRules] = []
    if let plain = self.plainAddress {
      listeners.append(ListenerRules(address: try Self.address(plain)))
    }
    if let secure = self.tlsAddress {
      listeners.append(ListenerRules(address: try Self.address(secure), tls: self.context()))
    }
    return listeners
  }

  private static func address(_ text: String) throws -> SocketAddress {
    guard let address = SocketAddress(parsing: text) else {
      throw ValidationError("\"\(text)\" is no address: 127.0.0.1:8080 is one")
    }
    return address
  }

  private func context() -> ServerContext {
    do throws(ContextError) {
      guard let certificate = self.certificate, let key = self.key else {
        return try ServerContext(developmentFor: .tls12, offersHTTP2: true)
      }
      return try ServerContext(
        certificates: [CertificateFiles(certificate: certificate, key: key)],
        minimumVersion: .tls12, clientCA: nil, offersHTTP2: true)
    } catch {
      fail(["sluice: \(error.message)"])
    }
  }
}
