import Admission
import HTTP
import Testing

/// A request head with these fields, in this order.
func request(_ target: String = "/chat", _ lines: [(String, String)] = []) -> RequestHead {
  var fields = Fields()
  fields.append(name: "Host", value: "chat.example.com")
  for (name, value) in lines { fields.append(name: name, value: value) }
  return RequestHead(method: "GET", target: target, fields: fields)
}

/// The field lines without Host, as text.
func lines(_ head: RequestHead) -> [String] {
  head.fields.filter { !$0.isNamed("Host") }.map { "\($0.name): \($0.value)" }
}

/// A verifier that is never asked: examinations are pure.
struct NoVerifier: TokenVerifying {
  func verify(_ token: String) async -> Verdict { .unavailable(reason: "Not asked.") }
}

/// A rule for tokens from these places.
func tokenRule(
  _ sources: TokenSource..., forwardClaims: [(claim: String, field: String)] = []
) -> JWTRule {
  JWTRule(verifier: NoVerifier(), sources: sources, forwardClaims: forwardClaims)
}

/// What an examination came to, in a form that compares.
enum Outcome: Equatable {
  case admitted(String)
  case token(String)
  case asks
  case refused(Int, String)

  init(_ examination: Examination) {
    switch examination {
    case .admit(let admitted): self = .admitted(admitted.method.rawValue)
    case .verify(let token, _): self = .token(token)
    case .ask: self = .asks
    case .refuse(let refusal): self = .refused(refusal.status, refusal.error)
    }
  }
}
