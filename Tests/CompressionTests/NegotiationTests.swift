import Compression
import Testing
import WebSocket

@Suite struct NegotiationTests {
  /// `permessage-deflate; …` as it stands in the field, in the plain form of these tests.
  private static func offers(_ text: String) -> [Extension] {
    text.split(separator: ",").map { one in
      let parts = one.split(separator: ";").map { part in
        part.split(separator: "=").map { String($0.drop { $0 == " " }) }
      }
      return Extension(
        name: parts[0][0],
        parameters: parts.dropFirst().map { .init(name: $0[0], value: $0.count > 1 ? $0[1] : nil) })
    }
  }

  private static let accepted: [(String, String)] = [
    ("", "server_max_window_bits=12"),
    ("; client_max_window_bits", "server_max_window_bits=12; client_max_window_bits=12"),
    ("; client_max_window_bits=15", "server_max_window_bits=12; client_max_window_bits=12"),
    ("; client_max_window_bits=12", "server_max_window_bits=12; client_max_window_bits=12"),
    ("; client_max_window_bits=11", "server_max_window_bits=12; client_max_window_bits=11"),
    ("; client_max_window_bits=9", "server_max_window_bits=12; client_max_window_bits=9"),
    ("; client_max_window_bits=8", "server_max_window_bits=12; client_max_window_bits=8"),
    ("; server_max_window_bits=15", "server_max_window_bits=12"),
    ("; server_max_window_bits=13", "server_max_window_bits=12"),
    ("; server_max_window_bits=12", "server_max_window_bits=12"),
    ("; server_max_window_bits=10", "server_max_window_bits=10"),
    ("; server_max_window_bits=9", "server_max_window_bits=9"),
    ("; server_no_context_takeover", "server_no_context_takeover; server_max_window_bits=12"),
    ("; client_no_context_takeover", "client_no_context_takeover; server_max_window_bits=12"),
    (
      "; client_no_context_takeover; server_no_context_takeover",
      "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12"
    ),
    (
      "; server_max_window_bits=9; client_max_window_bits=10; server_no_context_takeover",
      "server_no_context_takeover; server_max_window_bits=9; client_max_window_bits=10"
    ),
    ("; Server_Max_Window_Bits=10", "server_max_window_bits=10"),
  ]

  @Test("offers that are accepted", arguments: accepted)
  func accepts(parameters: String, answer: String) throws {
    let offers = Self.offers("permessage-deflate" + parameters)
    let agreement = try #require(DeflateAgreement.negotiate(offers: offers))
    #expect(agreement.response.description == "permessage-deflate; " + answer)
  }

  private static let declined = [
    "server_max_window_bits", "server_max_window_bits=7", "server_max_window_bits=8",
    "server_max_window_bits=16", "server_max_window_bits=0", "server_max_window_bits=-9",
    "server_max_window_bits=+9", "server_max_window_bits=09", "server_max_window_bits=9x",
    "server_max_window_bits=012", "server_max_window_bits=99999999999999999999",
    "client_max_window_bits=7", "client_max_window_bits=16", "client_max_window_bits=08",
    "client_max_window_bits=x", "client_max_window_bits=", "server_no_context_takeover=1",
    "client_no_context_takeover=true", "unknown", "unknown=1", "x-webkit-deflate-frame",
    "client_max_window_bits; client_max_window_bits",
    "client_max_window_bits; client_max_window_bits=10",
    "server_max_window_bits=10; server_max_window_bits=10",
    "server_no_context_takeover; server_no_context_takeover",
    "client_no_context_takeover; client_no_context_takeover",
    "client_no_context_takeover; Client_No_Context_Takeover",
    "server_no_context_takeover; unknown",
  ]

  @Test("offers that are declined, alone and before one that is not", arguments: declined)
  func declines(parameters: String) {
    var offer = Self.offers("permessage-deflate; " + parameters)
    if parameters.hasSuffix("=") {
      offer = [
        Extension(
          name: "permessage-deflate",
          parameters: [.init(name: String(parameters.dropLast()), value: "")])
      ]
    }
    #expect(DeflateAgreement.negotiate(offers: offer) == nil)
    let second = Self.offers("permessage-deflate; server_max_window_bits=11")
    #expect(DeflateAgreement.negotiate(offers: offer + second)?.serverWindowBits == 11)
  }

  @Test("other extensions are passed over, and the first good offer counts")
  func order() throws {
    #expect(DeflateAgreement.negotiate(offers: []) == nil)
    #expect(DeflateAgreement.negotiate(offers: Self.offers("permessage-bzip2")) == nil)
    let offers = Self.offers(
      "permessage-bzip2, permessage-deflate; server_max_window_bits=8,"
        + " Permessage-Deflate; server_max_window_bits=10, permessage-deflate")
    let agreement = try #require(DeflateAgreement.negotiate(offers: offers))
    #expect(agreement.serverWindowBits == 10)
    #expect(agreement.clientWindowBits == nil)
    #expect(agreement.serverKeepsContext && agreement.clientKeepsContext)
  }
}
