import HTTP
import Testing

@testable import Admission

@Suite("the form of an explanation")
struct AnswerFormatTests {
  @Test(
    "what clients ask for",
    arguments: [
      (nil, .json), ("", .json), ("*/*", .json), ("application/json", .json),
      ("application/json, text/plain, */*", .json), ("text/html", .html), ("text/plain", .text),
      // Chromium, Firefox, curl, and a fetch() of a page.
      (
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
        .html
      ),
      ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", .html),
      ("TEXT/HTML;Q=0.5", .html), ("text/html;charset=utf-8", .html),
      ("text/*", .text), ("text/*, text/html", .text), ("text/*;q=0.5, text/html", .html),
      ("text/*, text/plain;q=0.1", .html), ("text/html, application/json", .json),
      ("text/html;q=0.9, application/json;q=0.8", .html),
      ("text/html;q=0.8, application/json;q=0.80", .json),
      ("text/html ; q=1.000 , */* ; q=0.001", .html),
      // What is not wanted, or cannot be had.
      ("application/json;q=0, text/html;q=0.001", .html), ("*/*, application/json;q=0", .text),
      ("image/png", .json), ("*/*;q=0", .json), ("text/html;q=0", .json),
      ("application/*;q=0.1, text/plain;q=0.2", .text),
      // Members that are none count for nothing.
      ("text/html;q=2, text/plain", .text), ("text/html;q=1.001, text/plain", .text),
      ("text/html;q=0.1234, text/plain;q=0.1", .text), ("text/html;q=-1, text/plain", .text),
      ("text/html;q=, text/plain", .text), ("text/html;q=.5, text/plain;q=0.1", .text),
      ("text/html;q=1e0, text/plain;q=0.1", .text), ("html, text/plain;q=0.1", .text),
      ("text/, /html, text/html/x, text/plain;q=0.1", .text), (",;,/,;q=1", .json),
      ("text/html;q=\u{661}, text/plain;q=0.1", .text), ("*/html, text/plain;q=0.1", .text),
    ] as [(String?, AnswerFormat)])
  func choices(accept: String?, expected: AnswerFormat) {
    #expect(AnswerFormat(accept: accept) == expected)
  }

  @Test("text for a terminal")
  func text() {
    let (head, body) = Refusal.noRoute.response(requestID: "req-1", accept: "text/plain")
    #expect(head.fields.values("Content-Type") == ["text/plain; charset=utf-8"])
    let expected = """
      404 Not Found
      No route answers for this host and path.
      Request: req-1

      """
    #expect(String(decoding: body, as: UTF8.self) == expected)
  }

  @Test("a page for people, which loads nothing")
  func page() {
    let (head, body) = Refusal.noRoute.response(requestID: "req-1", accept: "text/html")
    #expect(head.status == 404)
    #expect(head.fields.values("Content-Type") == ["text/html; charset=utf-8"])
    #expect(head.fields.values("Content-Length") == ["\(body.count)"])
    #expect(head.fields.values("Cache-Control") == ["no-store"])
    let policy = head.fields.first("Content-Security-Policy")
    #expect(policy == "default-src 'none'; style-src 'unsafe-inline'")
    let text = String(decoding: body, as: UTF8.self)
    #expect(text.hasPrefix("<!doctype html>\n"))
    #expect(text.contains("<title>404 Not Found</title>"))
    #expect(text.contains("<h1>404 Not Found</h1>"))
    #expect(text.contains("<p>No route answers for this host and path.</p>"))
    #expect(text.contains("<code>req-1</code>"))
    for reference in ["http:", "https:", "//", "src=", "href=", "url(", "<script", "@import"] {
      #expect(!text.contains(reference), "\(reference)")
    }
    #expect(body.count < 1024)
  }

  @Test("a status without a phrase stands alone")
  func phrases() {
    let refusal = Refusal(status: 599, error: "odd", reason: "Odd.")
    let (_, body) = refusal.response(requestID: "r", accept: "text/plain")
    #expect(String(decoding: body, as: UTF8.self) == "599\nOdd.\nRequest: r\n")
  }

  @Test("text from outside stays text", arguments: ["text/html", "text/plain"])
  func escaping(accept: String) {
    let refusal = Refusal.badToken(reason: "<b>&\"'\r\nX: y\u{1B}[2J")
    let (_, body) = refusal.response(requestID: "<script>\n", accept: accept)
    let text = String(decoding: body, as: UTF8.self)
    #expect(!body.contains(0x1B) && !body.contains(0x0D))
    if accept == "text/html" {
      #expect(text.contains("<p>&lt;b&gt;&amp;&quot;&#39;  X: y [2J</p>"))
      #expect(text.contains("<code>&lt;script&gt; </code>"))
    } else {
      #expect(text == "401 Unauthorized\n<b>&\"'  X: y [2J\nRequest: <script> \n")
    }
  }

  @Test("a refusal with content of its own keeps it, whatever is asked for")
  func ownContent() {
    let own = Refusal(
      status: 403, error: "forward_auth_denied", reason: "No.",
      fields: [.init(name: "Content-Type", value: "image/png")], body: [1, 2, 3])
    for accept in [nil, "text/html", "text/plain"] {
      let (head, body) = own.response(requestID: "r", accept: accept)
      #expect(body == [1, 2, 3])
      #expect(head.fields.values("Content-Type") == ["image/png"])
      #expect(!head.fields.contains("Content-Security-Policy"))
    }
  }

  @Test(
    "whether the connection goes on",
    arguments: [
      (Refusal.noRoute, false, "close"), (.noRoute, true, nil),
      (.upgrade(status: 426, reason: "N.", fields: [("upgrade", "x")]), false, "close, Upgrade"),
      (.upgrade(status: 426, reason: "N.", fields: [("upgrade", "x")]), true, "Upgrade"),
    ] as [(Refusal, Bool, String?)])
  func connection(refusal: Refusal, persists: Bool, expected: String?) {
    let (head, _) = refusal.response(requestID: "r", persists: persists)
    #expect(head.fields.first("Connection") == expected)
    #expect(head.fields.count("Connection") == (expected == nil ? 0 : 1))
  }
}
