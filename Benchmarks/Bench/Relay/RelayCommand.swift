import ArgumentParser
import Glibc
import Net
import TLS

struct RelayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "relay", abstract: "Copy octets between two sockets and do nothing else.",
    discussion: """
      The floor that proxies are compared with: no HTTP, no frames, no limits, no deadlines, no \
      log. What a proxy needs above it is what its work costs.
      """)

  @Option(help: ArgumentHelp("The address to listen on.", valueName: "address"))
  var listen = "127.0.0.1:9100"

  @Option(help: ArgumentHelp("The address to connect to.", valueName: "address"))
  var to: String

  @Option(help: ArgumentHelp("PEM file; with it, the relay terminates TLS.", valueName: "file"))
  var certificate: String?

  @Option(help: ArgumentHelp("PEM file with the certificate's key.", valueName: "file"))
  var key: String?

  @Flag(help: "Move octets inside the kernel, with splice(2). Not with TLS.")
  var splice = false

  func validate() throws {
    guard (self.certificate == nil) == (self.key == nil) else {
      throw ValidationError("--certificate and --key come together")
    }
    guard !self.splice || self.certificate == nil else {
      throw ValidationError("--splice is for plain sockets: TLS has to see the octets")
    }
  }

  func run() throws {
    let address = try socketAddress(self.listen)
    let upstream = try socketAddress(self.to)
    var tls: ServerContext?
    if let certificate = self.certificate, let key = self.key {
      let files = CertificateFiles(certificate: certificate, key: key)
      tls = try ServerContext(certificates: [files], minimumVersion: .tls12, clientCA: nil)
    }
    _ = ProcessLimits.raiseDescriptorLimit()
    // splice(2) has no MSG_NOSIGNAL: a peer that is gone is to end its pair, not the relay.
    _ = signal(SIGPIPE, SIG_IGN)
    try ListeningSocket.requireFree(address)
    var relay = try Relay(listeningOn: address, upstream: upstream, tls: tls, splices: self.splice)
    say("listening on \(relay.address)")
    relay.run()
  }
}
