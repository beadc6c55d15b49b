public import HTTP

/// Something that can ask a server over HTTP: the network, or what a test puts in its place. It may
/// take its time, so it lives in the control plane.
public protocol WebFetching: Sendable {
  /// Asks once.
  ///
  /// - Throws: why there is no answer, at the latest when the request's timeout has passed.
  func fetch(_ request: WebRequest) async throws(WebFault) -> WebResponse
}

/// A request, and what bounds its answer.
public struct WebRequest: Sendable {
  /// What is asked for.
  public var url: WebURL
  /// What is posted; `nil` for a GET. It may arrive twice, so it says itself which it is. Of its answer
  /// the status counts: content that is too long is left out.
  public var body: [UInt8]?
  /// The fields; those that make the connection and name the host are the client's own.
  public var fields: Fields
  /// How long the answer may take to its last octet, redirects included.
  public var timeout: Duration
  /// How many octets the answer's content may have.
  public var bodyByteCountMax: Int
  /// How many redirects are followed, never from https to http. With 0 one is an answer like any.
  public var redirectCountMax: Int

  /// A request. Without more, an answer counts as it comes, redirect or not.
  public init(
    url: WebURL, fields: Fields = Fields(), body: [UInt8]? = nil, timeout: Duration,
    bodyByteCountMax: Int, redirectCountMax: Int = 0
  ) {
    self.url = url
    self.body = body
    self.fields = fields
    self.timeout = timeout
    self.bodyByteCountMax = bodyByteCountMax
    self.redirectCountMax = redirectCountMax
  }
}

/// An answer, complete.
public struct WebResponse: Sendable, Equatable {
  /// The status code.
  public var status: Int
  /// The fields.
  public var fields: Fields
  /// The content.
  public var body: [UInt8]

  /// An answer with a status, fields and content.
  public init(status: Int, fields: Fields = Fields(), body: [UInt8] = []) {
    self.status = status
    self.fields = fields
    self.body = body
  }
}

/// Why there is no answer.
public enum WebFault: Error, Sendable, Hashable {
  /// It was not complete in time.
  case timedOut
  /// It has more content than it may have.
  case tooLong
  /// It redirects too often, to nowhere, or from https to http.
  case badRedirect
  /// There is no connection, TLS fails, or what comes is not HTTP; the detail is for the log.
  case failed(detail: String)
}

extension WebFault: CustomStringConvertible {
  /// A few words for the log.
  public var description: String {
    switch self {
    case .timedOut: "timed out"
    case .tooLong: "the answer is too long"
    case .badRedirect: "a redirect that is not followed"
    case .failed(let detail): detail
    }
  }
}

/// Where there is no network, or none is to be touched: nothing is ever fetched.
public struct NoWeb: WebFetching {
  /// The one value that there is.
  public init() {}

  /// Fails at once.
  public func fetch(_ request: WebRequest) async throws(WebFault) -> WebResponse {
    throw .failed(detail: "there is no network here")
  }
}
