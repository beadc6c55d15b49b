import HTTP
import Testing

@testable import bench

@Suite struct TargetTests {
  @Test("URLs are read")
  func urls() throws {
    let plain = try #require(Target(parsing: "ws://127.0.0.1:9000/echo?a=b"))
    #expect(!plain.isSecure && plain.port == 9000)
    #expect(plain.host == "127.0.0.1" && plain.path == "/echo?a=b")
    #expect(plain.authority == "127.0.0.1:9000")
    let secure = try #require(Target(parsing: "wss://localhost"))
    #expect(secure.isSecure && secure.port == 443 && secure.path == "/")
    let v6 = try #require(Target(parsing: "ws://[::1]:81/"))
    #expect(v6.host == "[::1]" && v6.port == 81)
    #expect(Target(parsing: "ws://[::1]")?.port == 80)
  }

  @Test(
    "what is no URL is none", arguments: ["", "ws://", "http://a/", "ws://a:b/", "ws://:1/", "a:1"])
  func wrong(text: String) { #expect(Target(parsing: text) == nil) }

  @Test("the backend's paths")
  func services() {
    func service(_ target: String) -> Service? {
      Service(RequestHead(method: "GET", target: target))
    }
    #expect(service("/echo") == .echo)
    #expect(service("/") == .echo)
    #expect(service("/sink") == .sink)
    #expect(service("/source") == .source(byteCount: 16_384, left: nil))
    #expect(service("/source?size=7&count=3") == .source(byteCount: 7, left: 3))
    #expect(service("/source?size=x") == nil)
    #expect(service("/source?size=99999999999") == nil)
  }
}
