internal import Net
internal import TLS
internal import Transport
internal import Upstream

/// A connection to one endpoint while it is being made, TLS included: for a client, or for a probe.
struct Dial: ~Copyable {
  var stream: ByteStream
  private let usesTLS: Bool
  /// What the server is told before everything else; `nil` where it is told nothing, or was.
  private var preface: [UInt8]?
  private var isConnected = false

  /// - Parameters:
  ///   - context: how a server with the scheme wss is verified.
  ///   - preface: octets that go before everything else, TLS included: a PROXY protocol header.
  ///   - token: what its events carry.
  /// - Throws: what can be told at once.
  init(
    _ endpoint: Endpoint, _ context: ClientContext?, preface: [UInt8]? = nil, as token: Token,
    _ loop: borrowing EventLoop, _ scratch: inout Scratch
  ) throws(StreamFault) {
    self.usesTLS = endpoint.url.scheme == .wss
    self.preface = preface
    var tls: TLSConnection?
    if self.usesTLS, let context {
      do throws(TLSFault) {
        tls = try TLSConnection(connecting: context, host: endpoint.host, over: scratch.wire)
      } catch { throw .tls(error) }
    }
    do throws(Errno) {
      let socket = try Socket.connecting(to: endpoint.address)
      self.stream = try Self.registered(ByteStream(socket, tls: tls), token, loop, &scratch)
    } catch { throw .socket(error) }
  }

  /// A connection that was made before.
  init(connected stream: consuming ByteStream) {
    self.usesTLS = false
    self.isConnected = true
    self.stream = stream
  }

  /// Whether nothing has come that nobody has asked for, and nothing waits to go.
  mutating func isClean(_ scratch: inout Scratch) -> Bool {
    guard self.stream.queuedByteCount == 0 else { return false }
    guard self.stream.isReadable else { return true }
    scratch.inbound.clear()
    return self.stream.receive(&scratch) == .nothing
  }

  private static func registered(
    _ stream: consuming ByteStream, _ token: Token, _ loop: borrowing EventLoop,
    _ scratch: inout Scratch
  ) throws(Errno) -> ByteStream {
    do throws(Errno) {
      try stream.register(with: loop, as: token)
      return stream
    } catch {
      stream.close(&scratch)
      throw error
    }
  }

  /// How far the connection is.
  enum OnEvent {
    case pending
    case connected
    case failed(StreamFault)
  }

  mutating func handle(_ event: Event, _ scratch: inout Scratch) -> OnEvent {
    self.stream.note(event.readiness)
    if !self.isConnected {
      guard !event.readiness.isDisjoint(with: [.writable, .failed]) else { return .pending }
      if let fault = self.stream.connectFault() { return .failed(.socket(fault)) }
      self.isConnected = true
      if let preface = self.preface.take() {
        scratch.outbound.append(preface.span)
        if let fault = self.stream.sendBeforeTLS(&scratch) { return .failed(fault) }
      }
    } else if event.readiness.contains(.writable), let fault = self.stream.flush(&scratch) {
      return .failed(fault)
    }
    return self.usesTLS ? self.handshake(&scratch) : .connected
  }

  private mutating func handshake(_ scratch: inout Scratch) -> OnEvent {
    repeat {
      scratch.inbound.clear()
      switch self.stream.handshake(&scratch) {
      case .pending: continue
      case .done: return .connected
      case .ended:
        return .failed(.tls(TLSFault(reason: "the server closed during the handshake")))
      case .failed(let fault): return .failed(fault)
      }
    } while self.stream.isReadable
    return .pending
  }

  consuming func intoStream() -> ByteStream { self.stream }

  consuming func close(_ scratch: inout Scratch) { self.stream.close(&scratch) }
}
