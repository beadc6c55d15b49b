/// The fields that belong to one connection and not to the message (RFC 9110 §7.6.1).
struct HopByHop {
  static let names = [
    "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization",
    "te", "trailer", "transfer-encoding", "upgrade", "http2-settings",
  ]

  /// Fields that a `Connection` list cannot take away. They say who sent a message and from where:
  /// a client that could remove one behind our checks would choose what the server believes.
  private static let lastingNames = [
    "host", "origin", "forwarded", "x-real-ip", "x-request-id", "content-length", "set-cookie",
  ]
  private static let lastingPrefixes = ["sec-websocket-", "x-forwarded-"]

  private let listed: Set<String>

  /// What `Connection` lists in the message that has `fields`.
  init(of fields: Fields) {
    self.listed = Set(fields.tokens("connection").map { $0.asciiLowercased() })
  }

  /// Whether `field` ends here: by its name, or because `Connection` lists it.
  func contains(_ field: Fields.Field) -> Bool {
    field.isNamed(anyOf: Self.names) || self.lists(field)
  }

  /// Whether `Connection` lists `field`, and may.
  func lists(_ field: Fields.Field) -> Bool {
    guard !self.listed.isEmpty else { return false }
    let name = field.name.asciiLowercased()
    guard self.listed.contains(name), !Self.lastingNames.contains(name) else { return false }
    return !Self.lastingPrefixes.contains { name.hasPrefix($0) }
  }
}

extension ResponseHead {
  /// The head of an upgrade's answer on its way to the client: the fields that belong to the
  /// server's connection removed, `Upgrade: websocket` and `Connection: Upgrade` written once.
  public func forwardedUpgrade() -> ResponseHead {
    var head = self
    let hopByHop = HopByHop(of: self.fields)
    head.version = .http11
    head.fields.removeAll(where: hopByHop.contains)
    head.fields.append(name: "Upgrade", value: "websocket")
    head.fields.append(name: "Connection", value: "Upgrade")
    return head
  }

  /// The head of any other answer on its way to the client. Its body follows octet for octet, so
  /// that what frames the body stays; the client's connection ends behind it.
  public func forwardedClosing() -> ResponseHead {
    var head = self
    let hopByHop = HopByHop(of: self.fields)
    head.version = .http11
    head.fields.removeAll { field in
      if field.isNamed("transfer-encoding") || field.isNamed("trailer") { return false }
      // 426 names in Upgrade what it asks for (RFC 9110 §15.5.22).
      if field.isNamed("upgrade") { return self.status != 426 }
      return hopByHop.contains(field)
    }
    let isUpgradeKept = head.fields.contains("upgrade")
    head.fields.append(name: "Connection", value: isUpgradeKept ? "close, Upgrade" : "close")
    return head
  }
}
