public import Admission
internal import AsyncHTTPClient
internal import Foundation
internal import HTTP
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import Net
internal import Synchronization

/// Asks servers over HTTP/1.1: connections are kept for the next request, cookies are not. Servers are
/// verified with the system's authorities.
public final class WebClient: WebFetching {
  /// How long a connection is kept for the next request.
  private static let poolIdleTimeout = TimeAmount.seconds(60)
  /// Connections to one server; requests beyond wait for one, within their timeout.
  private static let connectionsPerHostMax = 64

  /// Starts with the first request: most configurations name no URL.
  private enum State {
    case unused
    case running(HTTPClient)
    case ended
  }

  private let state = Mutex<State>(.unused)

  /// A client that has not asked anybody yet.
  public init() {}

  /// Ends all connections; nothing is fetched any more. Blocks until that is done.
  public func shutDown() {
    let client = self.state.withLock { state -> HTTPClient? in
      defer { state = .ended }
      guard case .running(let client) = state else { return nil }
      return client
    }
    try? client?.syncShutdown()
  }

  /// Asks once. What takes longer than the request's timeout is given up, and its connection closed.
  public func fetch(_ request: WebRequest) async throws(WebFault) -> WebResponse {
    guard let client = self.client() else { throw .failed(detail: "the process ends") }
    let deadline = ContinuousClock.now.advanced(by: request.timeout)
    let outcome = await withTaskGroup(of: Outcome.self) { group in
      group.addTask { await Self.outcome(of: request, client) }
      group.addTask {
        try? await Task.sleep(until: deadline, clock: .continuous)
        return .failure(.timedOut)
      }
      // The one that comes first counts. The other ends soon: both obey their cancellation.
      let first = await group.next() ?? .failure(.timedOut)
      group.cancelAll()
      return first
    }
    return try outcome.get()
  }

  private typealias Outcome = Result<WebResponse, WebFault>

  private func client() -> HTTPClient? {
    self.state.withLock { state in
      switch state {
      case .unused:
        let client = Self.makeClient()
        state = .running(client)
        return client
      case .running(let client): return client
      case .ended: return nil
      }
    }
  }

  private static func makeClient() -> HTTPClient {
    var configuration = HTTPClient.Configuration(
      redirectConfiguration: .disallow,
      connectionPool: .init(idleTimeout: Self.poolIdleTimeout))
    configuration.httpVersion = .http1Only
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit =
      Self.connectionsPerHostMax
    // Who asks decides whether and when it is tried again.
    configuration.connectionPool.retryConnectionEstablishment = false
    return HTTPClient(
      eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup(numberOfThreads: 1)),
      configuration: configuration)
  }
}

// MARK: - One request

extension WebClient {
  private static func outcome(of request: WebRequest, _ client: HTTPClient) async -> Outcome {
    do throws(WebFault) {
      var (request, redirectCount) = (request, 0)
      while true {
        let response = try await Self.ask(request, client)
        guard request.redirectCountMax > 0, let target = response.fields.first("Location"),
          [301, 302, 303, 307, 308].contains(response.status)
        else { return .success(response) }
        guard redirectCount < request.redirectCountMax,
          let url = Self.url(of: target, seenFrom: request.url)
        else { return .failure(.badRedirect) }
        redirectCount += 1
        request.url = url
      }
    } catch {
      return .failure(error)
    }
  }

  /// Where a redirect leads (RFC 9110 §10.2.2); `nil` where nobody is to follow it.
  private static func url(of target: String, seenFrom base: WebURL) -> WebURL? {
    let withoutFragment = target.prefix { $0 != "#" }
    guard
      let url = URL(string: String(withoutFragment), relativeTo: URL(string: base.text)),
      let found = try? WebURL(parsing: url.absoluteString), base.mayRedirect(to: found)
    else { return nil }
    return found
  }

  private static func ask(
    _ request: WebRequest, _ client: HTTPClient
  ) async throws(WebFault) -> WebResponse {
    var asked = HTTPClientRequest(url: request.url.text)
    for field in request.fields { asked.headers.add(name: field.name, value: field.value) }
    if let body = request.body {
      asked.method = .POST
      asked.body = .bytes(ByteBuffer(bytes: body))
    }
    do {
      let timeout = TimeAmount.nanoseconds(Int64(clamping: request.timeout.clampedNanoseconds))
      let response = try await Self.execute(asked, timeout, client)
      var fields = Fields()
      for (name, value) in response.headers { fields.append(name: name, value: value) }
      return WebResponse(
        status: Int(response.status.code), fields: fields,
        body: try await Self.content(of: response, request))
    } catch is NIOTooManyBytesError {
      throw .tooLong
    } catch let error as HTTPClientError where error == .deadlineExceeded {
      throw .timedOut
    } catch {
      throw .failed(detail: "\(error)")
    }
  }

  private static func content(
    of response: HTTPClientResponse, _ request: WebRequest
  ) async throws -> [UInt8] {
    do {
      let body = try await response.body.collect(upTo: request.bodyByteCountMax)
      return Array(body.readableBytesView)
    } catch is NIOTooManyBytesError where request.body != nil {
      return []
    }
  }

  /// RFC 9112 §9.3.1: the server may have closed a kept connection at the moment in which it was used
  /// again, and a GET may be sent once more; what is posted may, too: see ``WebRequest/body``.
  private static func execute(
    _ request: HTTPClientRequest, _ timeout: TimeAmount, _ client: HTTPClient
  ) async throws -> HTTPClientResponse {
    do {
      return try await client.execute(request, timeout: timeout)
    } catch let error as HTTPClientError where error == .remoteConnectionClosed {
      return try await client.execute(request, timeout: timeout)
    }
  }
}
