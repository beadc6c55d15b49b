import Testing

@testable import Net

@Suite("tokens")
struct TokenTests {
  @Test(
    "a token survives the 64 bits that epoll keeps",
    arguments: [UInt32(0), 1, 0x80_0000, 0xFF_FFFF], [UInt32(0), 1, 0x8000_0000, .max])
  func roundTrip(slot: UInt32, generation: UInt32) {
    for registration in [UInt8(0), 1, 0x80, .max] {
      let token = Token(slot: slot, generation: generation, registration: registration)
      #expect(Token(epollData: token.epollData) == token)
    }
  }

  @Test("two different tokens have different bits")
  func distinct() {
    let token = Token(slot: 7, generation: 3, registration: 2)
    let others = [
      Token(slot: 6, generation: 3, registration: 2),
      Token(slot: 7, generation: 5, registration: 2),
      token.registered(as: 3),
    ]
    for other in others { #expect(other.epollData != token.epollData) }
    #expect(token.registered(as: 2) == token)
    #expect(token.registered(as: 0) == Token(slot: 7, generation: 3))
  }
}
