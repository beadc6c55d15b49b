internal import HTTP
internal import Net
internal import Transport
internal import Upstream
internal import WebSocket

/// One question to a server, whether it is well: a request and the head of its answer, or a WebSocket
/// handshake. Made with the same sockets and the same TLS as a client's connection.
struct Probe: ~Copyable {
  let endpoint: Endpoint
  let rules: HealthRules
  /// When no answer is as good as a bad one.
  let deadline: Deadline
  private var dial: Dial
  private var isConnected = false
  private let request: RequestHead
  private var reader = ResponseReader(headByteCountMax: Limits.probeHeadByteCountMax)

  /// What became of it, in words for people.
  struct Result {
    let isGood: Bool
    let detail: String
  }

  /// - Throws: what can be told at once.
  init(
    _ endpoint: Endpoint, _ rules: HealthRules, _ group: GroupRules, as token: Token,
    _ loop: borrowing EventLoop, _ scratch: inout Scratch
  ) throws(StreamFault) {
    self.endpoint = endpoint
    self.rules = rules
    self.deadline = Deadline.now().advanced(by: rules.timeout)
    self.request = Self.request(rules.request, to: endpoint)
    // Without addresses: the connection is the edge's own.
    let preface = group.proxyProtocol.map { ProxyHeader(version: $0).serialized() }
    self.dial = try Dial(endpoint, group.tls, preface: preface, as: token, loop, &scratch)
  }

  private static func request(_ probe: HealthRules.Probe, to endpoint: Endpoint) -> RequestHead {
    var fields = Fields()
    fields.append(name: "Host", value: Self.host(of: endpoint))
    fields.append(name: "User-Agent", value: "sluice-health")
    switch probe {
    case .http(let path, _):
      fields.append(name: "Connection", value: "close")
      return RequestHead(method: "GET", target: path, fields: fields)
    case .upgrade(let path):
      var chance = SystemRandomNumberGenerator()
      fields.append(name: "Connection", value: "Upgrade")
      fields.append(name: "Upgrade", value: "websocket")
      fields.append(name: "Sec-WebSocket-Version", value: "13")
      fields.append(
        name: "Sec-WebSocket-Key", value: upgradeKey(high: chance.next(), low: chance.next()))
      return RequestHead(method: "GET", target: path, fields: fields)
    }
  }

  private static func host(of endpoint: Endpoint) -> String {
    switch endpoint.url.target {
    case .name(let name, let port): "\(name):\(port)"
    case .address(.unix): "localhost"
    case .address(let address): "\(address)"
    }
  }

  /// The socket is ready; the result, when there is one.
  mutating func handle(_ event: Event, _ scratch: inout Scratch) -> Result? {
    scratch.clear()
    if self.isConnected {
      self.dial.stream.note(event.readiness)
    } else {
      switch self.dial.handle(event, &scratch) {
      case .pending: return nil
      case .failed(let fault): return Result(isGood: false, detail: fault.reason)
      case .connected: self.isConnected = true
      }
      if let fault = self.dial.stream.send(self.request.serialized(), &scratch) {
        return Result(isGood: false, detail: fault.reason)
      }
    }
    return self.read(&scratch)
  }

  private mutating func read(_ scratch: inout Scratch) -> Result? {
    while true {
      if !scratch.inbound.isEmpty {
        do throws(HeadError) {
          let octets = try self.reader.receive(scratch.inbound.octets)
          guard case .head(let head, let consumed) = octets else {
            scratch.inbound.clear()
            continue
          }
          scratch.inbound.consume(consumed)
          // RFC 9110 §15.2: interim answers precede the one that counts.
          if head.status >= 200 || head.status == 101 { return self.judge(head, &scratch) }
          continue
        } catch {
          return Result(isGood: false, detail: "the answer is no HTTP head: \(error.reason)")
        }
      }
      guard self.dial.stream.isReadable else { return nil }
      switch self.dial.stream.receive(&scratch) {
      case .octets, .nothing: continue
      case .ended where scratch.inbound.isEmpty:
        return Result(isGood: false, detail: "closed before an answer")
      case .ended: continue
      case .failed(let fault): return Result(isGood: false, detail: fault.reason)
      }
    }
  }

  private mutating func judge(_ head: ResponseHead, _ scratch: inout Scratch) -> Result {
    switch self.rules.request {
    case .http(_, let statuses):
      return Result(isGood: statuses.contains(head.status), detail: "status \(head.status)")
    case .upgrade:
      do {
        let request = try UpgradeRequest.parse(self.request)
        _ = try UpgradeResponse.verify(head, answering: request)
      } catch let fault as UpgradeFault {
        return Result(isGood: false, detail: fault.reason)
      } catch {
        return Result(isGood: false, detail: "status \(head.status)")
      }
      // So that the server's log does not fill with connections that were lost.
      var octets: [UInt8] = []
      ClosePayload(code: .normalClosure, reason: "").writeFrame(
        into: &octets, maskKey: .random(in: .min ... .max))
      _ = self.dial.stream.send(octets, &scratch)
      return Result(isGood: true, detail: "upgraded")
    }
  }

  consuming func close(_ scratch: inout Scratch) { self.dial.close(&scratch) }
}
