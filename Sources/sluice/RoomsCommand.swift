import Admission
import ArgumentParser
import Configuration
import Net
import Signaling

struct RoomsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rooms",
    abstract: "Serve rooms and a video call to try them, without a configuration file.",
    discussion: """
      Every host and origin is admitted, and anybody may open a room: meant for a first try and for \
      development. Without an address it listens on 127.0.0.1:8080 for ws and on 127.0.0.1:8443 for \
      wss. The certificate is made for the run unless you give one. Browsers give a page camera and \
      microphone over https and on localhost alone: for other machines, listen with --listen-tls \
      0.0.0.0:8443.
      """)

  @Option(
    help: ArgumentHelp("A STUN server that peers are told; may be repeated.", valueName: "url"))
  var stun: [String] = []

  @OptionGroup var options: ListenOptions

  func run() throws {
    let listeners = try self.options.listeners()
    var rules = RoomRules()
    rules.stunURLs = try self.stun.map(Self.stunURL)
    let configuration = try Configuration.rooms(rules: rules, listeners: listeners)
    serve(configuration) { addresses in self.banner(addresses, listeners) }
  }

  private static func stunURL(_ text: String) throws -> String {
    do throws(PatternError) {
      return try Configuration.stunURL(parsing: text)
    } catch {
      throw ValidationError(error.message)
    }
  }

  private func banner(_ addresses: [SocketAddress], _ listeners: [ListenerRules]) -> [String] {
    var lines = zip(addresses, listeners).flatMap { address, listener in
      let isPlain = listener.tls == nil
      return [
        "A call to try it: \(isPlain ? "http" : "https")://\(address)/rooms/demo",
        "For your own:     \(isPlain ? "ws" : "wss")://\(address)/rooms/ROOM, with the client of "
          + "/rooms/client.js",
      ]
    }
    lines.append("Every host and origin is admitted, and anybody may open a room.")
    if self.options.makesCertificate {
      lines.append("The certificate was made for this run: browsers will warn of it.")
    }
    return lines
  }
}
