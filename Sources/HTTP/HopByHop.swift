/// Tells the fields that belong to one connection from those of the message (RFC 9110 §7.6.1).
struct HopByHop {
  /// What `Connection` lists beside the names that end here anyway: nothing, mostly. A set, since a list may
  /// have thousands of members.
  private var listed: Set<String> = []

  /// What `Connection` lists in the message that has `fields`.
  init(of fields: Fields) {
    // Nearly all say nothing, or just this.
    if fields.says(.connection, "keep-alive") { return }
    fields.forEachMember(.connection) { member in
      let name = FieldName(fields.storage.span.extracting(member))
      guard !name.isHopByHop, !name.isLasting else { return }
      self.listed.insert(fields.text(member).asciiLowercased())
    }
  }

  /// Whether the line `entry`, whose name lies in `octets`, ends here: by its name, or because `Connection`
  /// lists it.
  func contains(_ entry: Fields.Entry, _ octets: [UInt8]) -> Bool {
    if entry.known.isHopByHop { return true }
    guard !self.listed.isEmpty else { return false }
    return self.listed.contains(
      String(decoding: octets[entry.name], as: UTF8.self).asciiLowercased())
  }
}

extension ResponseHead {
  /// The head of an upgrade's answer on its way to the client: the fields that belong to the
  /// server's connection removed, `Upgrade: websocket` and `Connection: Upgrade` written once.
  public func forwardedUpgrade() -> ResponseHead {
    var head = self
    head.version = .http11
    head.fields.removeHopByHop()
    head.fields.append(.upgrade, "websocket")
    head.fields.append(.connection, "Upgrade")
    return head
  }
}
