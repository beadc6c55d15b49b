internal import AsyncHTTPClient
public import Configuration
internal import Foundation
internal import NIOCore
internal import NIOHTTP1
internal import Net
internal import Synchronization

/// Asks a running edge's admin listener, for commands. Its calls block.
public final class AdminClient: Sendable {
  /// An answer.
  public struct Answer: Sendable {
    /// The status code.
    public let status: Int
    /// The content.
    public let octets: [UInt8]

    private var members: [String: Any] {
      let object = try? JSONSerialization.jsonObject(with: Data(self.octets))
      return object as? [String: Any] ?? [:]
    }

    /// A member that is a text.
    public func text(_ name: String) -> String? { self.members[name] as? String }

    /// A member that is a list of texts.
    public func texts(_ name: String) -> [String]? { self.members[name] as? [String] }
  }

  /// Why there is no answer.
  public struct Failure: Error, Sendable {
    /// One sentence, which names the address.
    public let reason: String
  }

  private let rules: AdminRules
  private let base: String
  private let client = HTTPClient(eventLoopGroupProvider: .singleton)

  /// The longest answer, in octets.
  private static let answerByteCountMax = 16 << 20
  private static let timeout = TimeAmount.seconds(30)

  /// - Parameter rules: where the edge listens, and the token that it wants.
  public init(_ rules: AdminRules) {
    self.rules = rules
    switch rules.address {
    case .ip: self.base = "http://\(Self.reachable(rules.address))"
    case .unix(let path):
      let allowed = CharacterSet.alphanumerics
      self.base =
        "http+unix://" + (path.addingPercentEncoding(withAllowedCharacters: allowed) ?? path)
    }
  }

  deinit { try? self.client.syncShutdown() }

  /// An address that is bound for all is reached here.
  private static func reachable(_ address: Net.SocketAddress) -> String {
    "\(address)".replacing("0.0.0.0:", with: "127.0.0.1:").replacing("[::]:", with: "[::1]:")
  }

  /// Makes one call, and waits for its answer.
  public func call(_ method: String, _ path: String) -> Result<Answer, Failure> {
    let box = Box()
    guard let bell = try? Alarm() else {
      return .failure(Failure(reason: "the process has no descriptor left"))
    }
    Task {
      let result = await self.ask(method, path)
      box.slot.withLock { $0 = result }
      bell.ring()
    }
    while !bell.wait(timeout: .seconds(60)) {}
    return box.slot.withLock { $0 } ?? .failure(Failure(reason: "no answer"))
  }

  /// Where a task leaves its result.
  private final class Box: Sendable {
    let slot = Mutex<Result<Answer, Failure>?>(nil)
  }

  private func ask(_ method: String, _ path: String) async -> Result<Answer, Failure> {
    var request = HTTPClientRequest(url: self.base + path)
    request.method = HTTPMethod(rawValue: method)
    if let token = self.rules.token {
      request.headers.add(name: "Authorization", value: "Bearer \(token)")
    }
    do {
      let response = try await self.client.execute(request, timeout: Self.timeout)
      let body = try await response.body.collect(upTo: Self.answerByteCountMax)
      return .success(
        Answer(status: Int(response.status.code), octets: Array(body.readableBytesView)))
    } catch {
      return .failure(
        Failure(reason: "nobody answers at the admin address \(self.rules.address): \(error)"))
    }
  }
}
