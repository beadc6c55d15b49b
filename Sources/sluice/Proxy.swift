import ArgumentParser
import Configuration
import Net
import TLS
import Upstream

struct Proxy: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Serve one backend without a configuration file.",
    discussion: """
      Every host, path and origin is admitted: meant for a first try and for development. Without \
      an address it listens on 127.0.0.1:8080 for ws and on 127.0.0.1:8443 for wss. The certificate \
      is made for the run unless you give one.
      """)

  @Option(help: ArgumentHelp("Where tunnels go: ws://, wss:// or unix:.", valueName: "url"))
  var to: String

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

  func run() throws {
    let server = try self.server()
    let listeners = try self.listeners()
    do throws(ContextError) {
      let configuration = try Configuration.proxy(to: server, listeners: listeners)
      serve(configuration) { addresses in self.banner(addresses, listeners, server) }
    } catch {
      fail(["sluice: \(error.message)"])
    }
  }

  private var plainAddress: String? {
    self.listen ?? (self.listenTls == nil ? "127.0.0.1:8080" : nil)
  }

  private var tlsAddress: String? {
    self.listenTls ?? (self.listen == nil ? "127.0.0.1:8443" : nil)
  }

  private func server() throws -> ServerURL {
    do throws(ServerURLError) {
      return try ServerURL(parsing: self.to)
    } catch {
      throw ValidationError(error.message)
    }
  }

  private func listeners() throws -> [ListenerRules] {
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
        return try ServerContext(developmentFor: .tls12)
      }
      return try ServerContext(
        certificates: [CertificateFiles(certificate: certificate, key: key)],
        minimumVersion: .tls12, clientCA: nil)
    } catch {
      fail(["sluice: \(error.message)"])
    }
  }

  private func banner(
    _ addresses: [SocketAddress], _ listeners: [ListenerRules], _ server: ServerURL
  ) -> [String] {
    var lines = zip(addresses, listeners).map { address, listener in
      "\(listener.tls == nil ? "ws" : "wss")://\(address)/ → \(server)"
    }
    lines.append("Every host, path and origin is admitted.")
    if self.certificate == nil, self.tlsAddress != nil {
      lines.append("The certificate was made for this run: clients must be told not to verify it.")
    }
    return lines
  }
}
