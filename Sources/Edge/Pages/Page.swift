internal import Crypto
internal import HTTP
internal import Net

/// What a route with rooms serves beside them: the client for browsers, and a page that shows it. Both
/// are parts of the program; their sources are in Clients/js.
struct Page {
  private let content: [UInt8]
  private let type: String
  /// What the page may do in a browser; `nil` for what is no page.
  private let policy: String?
  private let tag: String

  private static let demo = Page(
    content: PackageResources.demo_html, type: "text/html; charset=utf-8",
    policy: "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'unsafe-inline'; "
      + "connect-src 'self' ws: wss:; media-src 'self' blob: mediastream:; img-src data:; "
      + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
  private static let client = Page(
    content: PackageResources.sluice_rooms_js, type: "text/javascript; charset=utf-8", policy: nil)

  private init(content: [UInt8], type: String, policy: String?) {
    self.content = content
    self.type = type
    self.policy = policy
    self.tag = "\"\(Base64URL.encode(SHA256.hash(data: content).prefix(12)))\""
  }

  /// The page that stands under this name behind the route's path; `nil` where there is none.
  init?(name: String?) {
    switch name {
    case "demo": self = Self.demo
    case "client.js": self = Self.client
    default: return nil
    }
  }

  /// The answer to a request for it.
  func answer(to head: RequestHead) -> PageAnswer {
    guard head.method == "GET" || head.method == "HEAD" else {
      return PageAnswer(405, [("Allow", "GET, HEAD")], [], announcing: 0)
    }
    var fields = [
      ("Content-Type", self.type), ("ETag", self.tag), ("Cache-Control", "no-cache"),
      ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "same-origin"),
    ]
    if let policy = self.policy { fields.append(("Content-Security-Policy", policy)) }
    // RFC 9110 §13.1.2: a weak comparison, of which this tag needs none.
    if head.fields.tokens("If-None-Match").contains(self.tag) {
      return PageAnswer(304, fields, [], announcing: nil)
    }
    return PageAnswer(
      200, fields, head.method == "HEAD" ? [] : self.content, announcing: self.content.count)
  }
}

/// An answer of the edge's own.
struct PageAnswer {
  var head: ResponseHead
  let body: [UInt8]

  /// - Parameter byteCount: what Content-Length says; `nil` to leave it out.
  init(
    _ status: Int, _ fields: [(name: String, value: String)], _ body: [UInt8],
    announcing byteCount: Int?
  ) {
    var all = Fields()
    for field in fields { all.append(name: field.name, value: field.value) }
    if let byteCount { all.append(name: "Content-Length", value: String(byteCount)) }
    self.head = ResponseHead(status: status, fields: all)
    self.body = body
  }

  /// Without content.
  init(_ head: ResponseHead) {
    self.head = head
    self.body = []
  }

  /// Without content.
  init(_ status: Int, _ fields: Fields) { self.init(ResponseHead(status: status, fields: fields)) }
}
