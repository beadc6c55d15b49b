import ArgumentParser
import Net

struct BackendCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "backend", abstract: "Serve what proxies are measured with, plain ws.",
    discussion: """
      /echo                    sends every message back; so does every other path
      /sink                    reads; answers the text message "end" with the number of messages
      /source?size=S&count=C   sends C binary messages of S octets; without a count for ever
      """)

  @Option(help: ArgumentHelp("The address to listen on.", valueName: "address"))
  var listen = "127.0.0.1:9000"

  func run() throws {
    let address = try socketAddress(self.listen)
    _ = ProcessLimits.raiseDescriptorLimit()
    try ListeningSocket.requireFree(address)
    var server = try BackendServer(listeningOn: address)
    say("listening on \(server.address)")
    server.run()
  }
}

/// The address that an argument names.
func socketAddress(_ text: String) throws -> SocketAddress {
  guard let address = SocketAddress(parsing: text) else {
    throw ValidationError("\"\(text)\" is no address: 127.0.0.1:9000 is one")
  }
  return address
}
