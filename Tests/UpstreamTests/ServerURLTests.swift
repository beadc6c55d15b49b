import Net
import Testing

@testable import Upstream

@Suite("server URLs")
struct ServerURLTests {
  @Test(
    "a server is read and written",
    arguments: [
      ("ws://chat:9000", "ws://chat:9000"), ("wss://chat", "wss://chat:443"),
      ("ws://chat", "ws://chat:80"), ("http://chat:8080/", "ws://chat:8080"),
      ("https://Chat.Example.COM", "wss://chat.example.com:443"),
      ("WSS://chat:1", "wss://chat:1"), ("ws://127.0.0.1:9000", "ws://127.0.0.1:9000"),
      ("ws://[::1]", "ws://[::1]:80"), ("wss://[2001:DB8::1]:9443/", "wss://[2001:db8::1]:9443"),
      ("ws://[::ffff:10.0.0.1]:80", "ws://10.0.0.1:80"),
      ("unix:/run/chat.sock", "unix:/run/chat.sock"),
      ("ws://chat_server-1.internal:65535", "ws://chat_server-1.internal:65535"),
      ("ws://1.chat:80", "ws://1.chat:80"),
    ])
  func reads(text: String, written: String) throws {
    let url = try ServerURL(parsing: text)
    #expect(url.description == written)
    #expect(try ServerURL(parsing: written) == url)
  }

  @Test("a name waits for the resolver, an address does not")
  func targets() throws {
    #expect(try ServerURL(parsing: "ws://Chat:90").target == .name("chat", port: 90))
    let address = SocketAddress.ip(.v4(0x0A00_0001), port: 443)
    #expect(try ServerURL(parsing: "wss://10.0.0.1").target == .address(address))
    #expect(try ServerURL(parsing: "wss://10.0.0.1").scheme == .wss)
    #expect(try ServerURL(parsing: "unix:/a").scheme == .ws)
  }

  @Test(
    "what is not a server is quoted in the error",
    arguments: [
      "", "chat", "chat:9000", "ftp://chat", "ws:chat", "ws//chat", "ws://", "ws:///", "ws://:80",
      "ws://chat:", "ws://chat:0", "ws://chat:65536", "ws://chat:+80", "ws://chat:-1",
      "ws://chat: 80",
      "ws://chat:80a", "ws://chat/path", "ws://chat?query", "ws://chat#fragment", "ws://chat//",
      "ws://user@chat", "ws://user:secret@chat:80", "ws://::1", "ws://fe80::1:80", "ws://[::1",
      "ws://::1]", "ws://[chat]:80", "ws://[10.0.0.1]:80", "ws://-chat", "ws://chat-", "ws://a..b",
      "ws://.a", "ws://a.", "ws://chät", "ws://a b", "ws://a\0b", "ws://256.1.1.1", "ws://1.2.3",
      "ws://010.0.0.1", "ws://2130706433", "ws://a%41", "unix:", "unix:/a\0b", " ws://chat",
    ])
  func refuses(text: String) {
    #expect {
      _ = try ServerURL(parsing: text)
    } throws: { error in
      (error as? ServerURLError)?.message.contains("\"\(text)\"") == true
    }
  }

  @Test("labels and names have their limits")
  func limits() throws {
    let label = String(repeating: "a", count: 63)
    #expect(throws: Never.self) { try ServerURL(parsing: "ws://\(label).test") }
    #expect(throws: ServerURLError.self) { try ServerURL(parsing: "ws://\(label)a.test") }
    let name = [label, label, label, label].joined(separator: ".")
    #expect(throws: ServerURLError.self) { try ServerURL(parsing: "ws://\(name)") }
    #expect(throws: Never.self) { try ServerURL(parsing: "ws://\(name.dropFirst(2))") }
    let path = "unix:/" + String(repeating: "p", count: 107)
    #expect(throws: ServerURLError.self) { try ServerURL(parsing: path) }
  }
}
