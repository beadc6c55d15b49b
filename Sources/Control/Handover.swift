internal import Configuration
public import Edge
internal import Foundation
internal import Logging
public import Net
internal import Synchronization

/// Starts the program anew, gives it the listening sockets, and lets this process end when the new one
/// serves. Nobody who connects meanwhile is refused: the sockets never close.
public final class Handover: Sendable {
  private let edge: Edge
  private let program: String
  private let arguments: [String]
  private let environment: [String: String]
  private let secret: [UInt8]
  private let isUnderWay = Atomic<Bool>(false)

  /// How long the new process may take until it serves.
  private static let startTimeout = Duration.seconds(60)

  /// - Parameters:
  ///   - program: where the program is; another version may lie there by now.
  ///   - arguments: what it is called with, its name first.
  ///   - secret: what sticky cookies are signed with: those of today are good tomorrow.
  public init(
    edge: Edge, program: String, arguments: [String], environment: [String: String],
    secret: [UInt8]
  ) {
    self.edge = edge
    self.secret = secret
    self.program = program
    self.arguments = arguments
    self.environment = environment
  }

  /// Blocks until the new process serves, or does not; whether it does. Once at a time.
  public func run() -> Bool {
    guard !self.isUnderWay.exchange(true, ordering: .relaxed) else { return false }
    defer { self.isUnderWay.store(false, ordering: .relaxed) }
    let log = self.edge.log
    log.notice("a new process starts", metadata: ["program": "\(self.program)"])
    do throws(Errno) {
      let successor = try Succession.start(
        self.program, arguments: self.arguments, environment: self.environment,
        listeners: self.edge.listeningSockets)
      successor.send(Data(self.secret).base64EncodedString())
      guard successor.receive(timeout: Self.startTimeout) == Self.readyWord else {
        successor.endSuccessor()
        log.error("the new process does not serve: this one goes on")
        return false
      }
    } catch {
      log.error("no new process: this one goes on", metadata: ["reason": "\(error)"])
      return false
    }
    log.notice("the new process serves: this one ends after its tunnels")
    self.edge.giveWay()
    return true
  }

  private static let readyWord = "ready"

  /// The secret that the process had whose place this one takes; a new one where there was none.
  public static func secret(from predecessor: SuccessionChannel?) -> [UInt8] {
    let line = predecessor?.receive(timeout: .seconds(5))
    if let octets = line.flatMap({ Data(base64Encoded: $0) }), !octets.isEmpty {
      return Array(octets)
    }
    return (0..<32).map { _ in UInt8.random(in: .min ... .max) }
  }

  /// Tells the process whose place this one takes that this one serves.
  public static func finish(_ predecessor: SuccessionChannel, _ edge: Edge) {
    predecessor.send(Self.readyWord)
    edge.ownListeners()
  }
}
