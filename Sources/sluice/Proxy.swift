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

  @OptionGroup var options: ListenOptions

  func run() throws {
    let server = try self.server()
    let listeners = try self.options.listeners()
    do throws(ContextError) {
      let configuration = try Configuration.proxy(to: server, listeners: listeners)
      serve(configuration) { addresses in self.banner(addresses, listeners, server) }
    } catch {
      fail(["sluice: \(error.message)"])
    }
  }

  private func server() throws -> ServerURL {
    do throws(ServerURLError) {
      return try ServerURL(parsing: self.to)
    } catch {
      throw ValidationError(error.message)
    }
  }

  private func banner(
    _ addresses: [SocketAddress], _ listeners: [ListenerRules], _ server: ServerURL
  ) -> [String] {
    var lines = zip(addresses, listeners).map { address, listener in
      "\(listener.tls == nil ? "ws" : "wss")://\(address)/ → \(server)"
    }
    lines.append("Every host, path and origin is admitted.")
    if self.options.makesCertificate {
      lines.append("The certificate was made for this run: clients must be told not to verify it.")
    }
    return lines
  }
}
