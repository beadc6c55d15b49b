internal import HTTPTypes
internal import HummingbirdCore
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypes
internal import NIOHTTPTypesHTTP1
internal import NIOWebSocket

/// A connection to the admin listener: ordinary requests for Hummingbird, or the WebSocket at `/live`.
struct AdminChannel: ServerChildChannel, HTTPChannelHandler {
  /// What a connection turned out to be.
  enum Kind: ServerChildChannelValue {
    case requests(NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>)
    /// With why it is refused, where it is.
    case live(NIOAsyncChannel<WebSocketFrame, WebSocketFrame>, Failure?)

    var channel: any Channel {
      switch self {
      case .requests(let channel): channel.channel
      case .live(let channel, _): channel.channel
      }
    }
  }

  struct Value: ServerChildChannelValue {
    let kind: EventLoopFuture<Kind>
    let channel: any Channel
  }

  /// Where the WebSocket is.
  static let livePath = "/live"

  let responder: Responder
  /// Why a request for the WebSocket is refused; `nil` where it is not.
  let refusal: @Sendable (AdminCredentials) -> Failure?
  /// What is sent, once a second.
  let message: @Sendable () -> [UInt8]

  func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
    channel.eventLoop.makeCompletedFuture {
      let configuration = NIOTypedHTTPServerUpgradeConfiguration<Kind>(
        upgraders: [self.upgrader()],
        notUpgradingCompletionHandler: { channel in
          channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(HTTP1ToHTTPServerCodec(secure: false))
            return .requests(
              try NIOAsyncChannel(
                wrappingChannelSynchronously: channel,
                configuration: .init(isOutboundHalfClosureEnabled: true)))
          }
        })
      let kind = try channel.pipeline.syncOperations.configureUpgradableHTTPServerPipeline(
        configuration: .init(upgradeConfiguration: configuration))
      return Value(kind: kind, channel: channel)
    }
  }

  private func upgrader() -> NIOTypedWebSocketServerUpgrader<Kind> {
    NIOTypedWebSocketServerUpgrader(
      shouldUpgrade: { channel, head in
        // RFC 6455 §4.2.2: a browser that offers subprotocols insists on one of them.
        let isOffering = head.headers.contains(name: "sec-websocket-protocol")
        let fields = isOffering ? HTTPHeaders([("Sec-WebSocket-Protocol", "bearer")]) : [:]
        return channel.eventLoop.makeSucceededFuture(fields)
      },
      upgradePipelineHandler: { channel, head in
        channel.eventLoop.makeCompletedFuture {
          .live(try NIOAsyncChannel(wrappingChannelSynchronously: channel), self.refusal(of: head))
        }
      })
  }

  /// A browser's script is not told the status of an upgrade that fails, but it is told a close code: so
  /// all are upgraded, and those that may not be here are closed at once.
  private func refusal(of head: HTTPRequestHead) -> Failure? {
    guard head.uri == Self.livePath else {
      return Failure(.notFound, "not_found", "The WebSocket is at \(Self.livePath).")
    }
    return self.refusal(
      AdminCredentials(
        authorization: head.headers.first(name: "authorization"),
        subprotocols: head.headers[canonicalForm: "sec-websocket-protocol"].map(String.init),
        origin: head.headers.first(name: "origin"), host: head.headers.first(name: "host")))
  }

  func handle(value: Value, logger: Logger) async {
    do {
      switch try await value.kind.get() {
      case .requests(let channel): await self.handleHTTP(asyncChannel: channel, logger: logger)
      case .live(let channel, nil): try await self.feed(channel)
      case .live(let channel, let failure?):
        try await channel.executeThenClose { _, outbound in
          try await outbound.write(Self.closeFrame(failure.reason))
        }
      }
    } catch {
      logger.debug("an operator's connection broke", metadata: ["reason": "\(error)"])
    }
  }

  /// 1008, and why.
  private static func closeFrame(_ reason: String) -> WebSocketFrame {
    WebSocketFrame(
      fin: true, opcode: .connectionClose,
      data: ByteBuffer(bytes: [0x03, 0xF0] + Array(reason.utf8.prefix(123))))
  }

  /// Sends until the other side closes or breaks.
  private func feed(_ channel: NIOAsyncChannel<WebSocketFrame, WebSocketFrame>) async throws {
    try await channel.executeThenClose { inbound, outbound in
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await self.answer(inbound, outbound) }
        group.addTask {
          while true {
            let octets = ByteBuffer(bytes: self.message())
            try await outbound.write(WebSocketFrame(fin: true, opcode: .text, data: octets))
            try await Task.sleep(for: .seconds(1))
          }
        }
        // Whichever ends first ends the other one.
        try await group.next()
        group.cancelAll()
      }
    }
  }

  /// Answers pings and a close frame; what else comes means nothing.
  private func answer(
    _ inbound: NIOAsyncChannelInboundStream<WebSocketFrame>,
    _ outbound: NIOAsyncChannelOutboundWriter<WebSocketFrame>
  ) async throws {
    for try await frame in inbound {
      switch frame.opcode {
      case .ping:
        try await outbound.write(WebSocketFrame(fin: true, opcode: .pong, data: frame.unmaskedData))
      case .connectionClose:
        // RFC 6455 §5.5.1: the answer has the code that came.
        let code = frame.unmaskedData.readableBytesView.prefix(2)
        try await outbound.write(
          WebSocketFrame(fin: true, opcode: .connectionClose, data: ByteBuffer(bytes: code)))
        return
      default: break
      }
    }
  }
}
