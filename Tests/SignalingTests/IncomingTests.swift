import Net
import Testing

@testable import Signaling

/// What a text says; `nil` where it is refused.
func parsed(_ text: String) -> Incoming? { try? Incoming.parse(Array(text.utf8).span) }

/// Why a text is refused.
func refusal(_ text: String) -> MessageFault? {
  do throws(MessageFault) {
    _ = try Incoming.parse(Array(text.utf8).span)
    return nil
  } catch {
    return error
  }
}

/// One message of each kind, with all of its members.
let completeMessages: [String] = [
  #"{"type":"join","name":"Ada","meta":{"a":1},"password":"p","resume":"r","seq":3}"#,
  #"{"type":"signal","to":"b","kind":"offer","data":"v=0","generation":2,"id":"1"}"#,
  #"{"type":"broadcast","data":[1,2],"id":2}"#,
  #"{"type":"update","name":"Ada","meta":{"a":1},"id":3}"#,
  #"{"type":"token","token":"abc","id":4}"#,
  #"{"type":"ping","id":5}"#,
  #"{"type":"leave"}"#,
  #"{"type":"kick","peer":"b","reason":"spam","ban_for":60,"id":6}"#,
  #"{"type":"lock","locked":true,"id":7}"#,
  #"{"type":"room","meta":{"a":1},"max_peers":5,"id":8}"#,
  #"{"type":"role","peer":"b","role":"host","id":9}"#,
]

@Suite("messages of clients")
struct IncomingTests {
  private static func peer(_ id: String) throws -> PeerID { try #require(PeerID(id)) }

  @Test("each kind is read, with all that it may have")
  func complete() throws {
    let b = try Self.peer("b")
    let meta = Array(#"{"a":1}"#.utf8)
    let greeting = Greeting(name: "Ada", meta: meta, password: "p", resume: "r", sequence: 3)
    let offer = Array(#""kind":"offer","generation":2,"data":"v=0"}"#.utf8)
    let expected: [Incoming] = [
      Incoming(.join(greeting)),
      Incoming(.signal(to: b, .offer, payload: offer), id: Array("\"1\"".utf8)),
      Incoming(.broadcast(payload: Array(#""data":[1,2]}"#.utf8)), id: Array("2".utf8)),
      Incoming(.update(name: .set("Ada"), meta: .set(meta)), id: Array("3".utf8)),
      Incoming(.token("abc"), id: Array("4".utf8)),
      Incoming(.ping, id: Array("5".utf8)),
      Incoming(.leave),
      Incoming(.kick(b, reason: "spam", ban: .seconds(60)), id: Array("6".utf8)),
      Incoming(.lock(true), id: Array("7".utf8)),
      Incoming(.room(meta: .set(meta), peerCountMax: 5), id: Array("8".utf8)),
      Incoming(.role(b, .host), id: Array("9".utf8)),
    ]
    for (text, message) in zip(completeMessages, expected) { #expect(parsed(text) == message) }
  }

  @Test("what is optional may be missing")
  func sparse() throws {
    let b = try Self.peer("b")
    #expect(parsed(#"{"type":"join"}"#) == Incoming(.join(Greeting())))
    #expect(
      parsed(#"{"type":"signal","to":"b","kind":"custom","data":null}"#)
        == Incoming(
          .signal(
            to: b, .custom, payload: Array(#""kind":"custom","generation":0,"data":null}"#.utf8))))
    #expect(parsed(#"{"type":"update"}"#) == Incoming(.update(name: .keep, meta: .keep)))
    #expect(
      parsed(#"{"type":"kick","peer":"b"}"#) == Incoming(.kick(b, reason: "", ban: nil)))
    #expect(
      parsed(#"{"type":"kick","peer":"b","ban_for":0}"#) == Incoming(.kick(b, reason: "", ban: nil))
    )
    #expect(parsed(#"{"type":"room"}"#) == Incoming(.room(meta: .keep, peerCountMax: nil)))
    #expect(parsed(#"{"type":"lock","locked":false}"#) == Incoming(.lock(false)))
  }

  @Test("null takes a name and a meta away")
  func null() {
    #expect(
      parsed(#"{"type":"update","name":null,"meta":null}"#)
        == Incoming(.update(name: .clear, meta: .clear)))
    #expect(
      parsed(#"{"type":"room","meta":null}"#) == Incoming(.room(meta: .clear, peerCountMax: nil)))
    // Who joins has none anyway.
    #expect(
      parsed(#"{"type":"join","name":null,"meta":null,"password":null,"resume":null}"#)
        == Incoming(.join(Greeting())))
    #expect(
      parsed(#"{"type":"kick","peer":"b","reason":null}"#) == parsed(#"{"type":"kick","peer":"b"}"#)
    )
  }

  @Test(
    "a member that has to be there is named where it is missing, or null",
    arguments: [
      ("{}", "type"), (#"{"type":"signal","kind":"offer","data":""}"#, "to"),
      (#"{"type":"signal","to":"b","data":""}"#, "kind"),
      (#"{"type":"signal","to":"b","kind":"offer"}"#, "data"), (#"{"type":"broadcast"}"#, "data"),
      (#"{"type":"token"}"#, "token"), (#"{"type":"kick"}"#, "peer"),
      (#"{"type":"lock"}"#, "locked"),
      (#"{"type":"role","role":"host"}"#, "peer"), (#"{"type":"role","peer":"b"}"#, "role"),
      (#"{"type":"ping"}"#, "id"), (#"{"type":null}"#, "type"),
      (#"{"type":"signal","to":null,"kind":"offer","data":""}"#, "to"),
      (#"{"type":"signal","to":"b","kind":null,"data":""}"#, "kind"),
      (#"{"type":"signal","to":"b","kind":"offer","data":null}"#, "data"),
      (#"{"type":"token","token":null}"#, "token"), (#"{"type":"kick","peer":null}"#, "peer"),
      (#"{"type":"lock","locked":null}"#, "locked"), (#"{"type":"ping","id":null}"#, "id"),
      (#"{"type":"role","peer":"b","role":null}"#, "role"),
    ])
  func missing(text: String, member: String) throws {
    let fault = try #require(refusal(text))
    #expect(fault.code == .badMessage)
    #expect(fault.words.contains("\"\(member)\""))
  }

  @Test(
    "a member of the wrong type is named",
    arguments: [
      (#"{"type":TYPE}"#, "type", ["1", "[]", "{}", "true", #""\ud800""#]),
      (#"{"type":"signal","kind":"offer","data":"","to":TYPE}"#, "to", ["1", "[]", "{}", "true"]),
      (
        #"{"type":"signal","to":"b","data":"","kind":TYPE}"#, "kind",
        ["1", "{}", "\"\"", "\"OFFER\"", "\"ice\""]
      ),
      (#"{"type":"signal","to":"b","kind":"offer","data":TYPE}"#, "data", ["1", "true", "-0.5"]),
      (#"{"type":"signal","to":"b","kind":"answer","data":TYPE}"#, "data", ["1", "false"]),
      (#"{"type":"signal","to":"b","kind":"candidates","data":TYPE}"#, "data", ["1", "false"]),
      (#"{"type":"signal","to":"b","kind":"description","data":TYPE}"#, "data", ["1", "null"]),
      (
        #"{"type":"signal","to":"b","kind":"offer","data":"","generation":TYPE}"#, "generation",
        ["-1", "9007199254740992", "1.0", "1e2", "\"1\"", "[]", "true"]
      ),
      (#"{"type":"update","name":TYPE}"#, "name", ["1", "[]", "{}", "true", #""\udc00""#]),
      (#"{"type":"update","meta":TYPE}"#, "meta", ["1", "[]", "\"{}\"", "true"]),
      (#"{"type":"room","meta":TYPE}"#, "meta", ["1", "[]", "\"{}\"", "true"]),
      (
        #"{"type":"room","max_peers":TYPE}"#, "max_peers",
        ["0", "-1", "1.5", "\"1\"", "[]"]
      ),
      (#"{"type":"token","token":TYPE}"#, "token", ["1", "[]", "{}", "true"]),
      (#"{"type":"kick","peer":TYPE}"#, "peer", ["1", "[]", "{}", "true"]),
      (#"{"type":"kick","peer":"b","reason":TYPE}"#, "reason", ["1", "[]", "{}", "true"]),
      (
        #"{"type":"kick","peer":"b","ban_for":TYPE}"#, "ban_for",
        ["-1", "604801", "1.5", "\"1\"", "true", "[]", "99999999999999999999"]
      ),
      (#"{"type":"lock","locked":TYPE}"#, "locked", ["1", "0", "\"true\"", "[]", "{}"]),
      (#"{"type":"role","role":"host","peer":TYPE}"#, "peer", ["1", "[]", "true"]),
      (#"{"type":"role","peer":"b","role":TYPE}"#, "role", ["1", "\"admin\"", "\"Host\"", "\"\""]),
      (#"{"type":"join","name":TYPE}"#, "name", ["1", "[]", "{}"]),
      (#"{"type":"join","meta":TYPE}"#, "meta", ["1", "[]", "\"\""]),
      (#"{"type":"join","password":TYPE}"#, "password", ["1", "[]", "{}"]),
      (#"{"type":"join","resume":TYPE}"#, "resume", ["1", "[]", "{}"]),
      (#"{"type":"join","seq":TYPE}"#, "seq", ["-1", "1.0", "\"1\"", "[]", "true"]),
    ])
  func wrongType(text: String, member: String, values: [String]) throws {
    for value in values {
      let fault = try #require(refusal(text.replacing("TYPE", with: value)))
      #expect(fault.code == .badMessage)
      #expect(fault.words.contains("\"\(member)\""), "\(value)")
    }
  }

  @Test("a member that stands twice makes any message bad", arguments: completeMessages)
  func twice(text: String) throws {
    #expect(parsed(text) != nil)
    for member in ["\"type\":\"leave\"", "\"id\":1", "\"data\":1"] {
      let doubled = text.dropLast() + ",\(member),\(member)}"
      let fault = try #require(refusal(String(doubled)))
      #expect(fault.code == .badMessage)
      #expect(fault.words.contains("twice"))
    }
  }

  @Test("members that have no meaning are not looked at, nor are those of other messages")
  func unknown() {
    for text in completeMessages {
      let padded = text.dropLast() + #","x":{"type":[1,{"to":2}]},"":null,"types":1}"#
      #expect(parsed(String(padded)) == parsed(text))
    }
    #expect(
      parsed(#"{"locked":"what","type":"leave","to":7,"max_peers":null}"#) == Incoming(.leave))
    // A name is what it stands for, however it is written.
    #expect(parsed(#"{"ty\u0070e":"leave"}"#) == Incoming(.leave))
    #expect(parsed(#"{"type":"leave","ty\u0070e":"ping"}"#) == nil)
  }

  @Test(
    "other types are refused",
    arguments: ["", "welcome", "ack", "Signal", "signal ", "offer", "joined", "ping\\u0000"])
  func unknownType(type: String) throws {
    let fault = try #require(refusal(#"{"type":"\#(type)","id":7}"#))
    #expect(fault.code == .badMessage)
    #expect(fault.id == Array("7".utf8))
    #expect(!fault.words.contains("welcome"))
  }

  @Test("a type may be written with escapes")
  func escapedType() { #expect(parsed(#"{"type":"\u006ceave"}"#) == Incoming(.leave)) }

  @Test(
    "what is no object is no message",
    arguments: [
      "", " ", "null", "1", "\"leave\"", "[]", #"[{"type":"leave"}]"#, #"{"type":"leave"}}"#,
      #"{"type":"leave"},"#, #"{"type":"leave",}"#, #"{"type":"leave""#, #"{type:"leave"}"#,
      #"{"type" "leave"}"#, #"{"type":"leave"}{"type":"leave"}"#, "{",
    ])
  func noObject(text: String) throws {
    let fault = try #require(refusal(text))
    #expect(fault.code == .badMessage)
    #expect(fault.id.isEmpty)
  }

  @Test("white space is allowed where JSON allows it")
  func whiteSpace() {
    #expect(parsed(" \r\n{ \"type\"\t: \"leave\" \n} ") == Incoming(.leave))
  }

  @Test("members may stand 63 deep")
  func depth() {
    func nested(_ count: Int) -> String {
      let data = String(repeating: "[", count: count) + String(repeating: "]", count: count)
      return #"{"type":"broadcast","data":\#(data)}"#
    }
    #expect(parsed(nested(63)) != nil)
    #expect(refusal(nested(64))?.code == .badMessage)
    #expect(refusal(nested(64))?.words.contains("deep") == true)
  }
}
