public import HTTP

extension Refusal {
  /// The answer on the wire: the refusal's own content, or a JSON object with `error`, `reason` and
  /// `request_id`, and the fields that the refusal asks for. The connection ends with it.
  public func response(requestID: String) -> (head: ResponseHead, body: [UInt8]) {
    let body = self.body ?? self.explanation(requestID: requestID)
    var fields = Fields()
    for field in self.fields { fields.append(name: field.name, value: field.value) }
    if self.body == nil { fields.append(name: "Content-Type", value: "application/json") }
    fields.append(name: "Content-Length", value: String(body.count))
    if !fields.contains("Cache-Control") {
      fields.append(name: "Cache-Control", value: "no-store")
    }
    fields.append(name: "X-Request-Id", value: requestID)
    // RFC 9110 §7.8: an Upgrade field is announced in Connection, beside the close.
    let isUpgradeNamed = self.fields.contains { $0.name.equalsIgnoringASCIICase("Upgrade") }
    fields.append(name: "Connection", value: isUpgradeNamed ? "close, Upgrade" : "close")
    return (ResponseHead(status: self.status, fields: fields), body)
  }

  private func explanation(requestID: String) -> [UInt8] {
    Array(
      """
      {"error":\(jsonText(self.error)),"reason":\(jsonText(self.reason)),\
      "request_id":\(jsonText(requestID))}

      """.utf8)
  }
}

/// A JSON string, quotes included. RFC 8259 §7.
private func jsonText(_ text: String) -> String {
  var quoted = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": quoted += "\\\""
    case "\\": quoted += "\\\\"
    case _ where scalar.value < 0x20 || scalar.value == 0x7F:
      let digits = String(scalar.value, radix: 16)
      quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    default: quoted.unicodeScalars.append(scalar)
    }
  }
  return quoted + "\""
}
