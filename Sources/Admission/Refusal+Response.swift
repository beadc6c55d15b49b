public import HTTP

extension Refusal {
  /// The answer on the wire: the refusal's own content, or an explanation in the form that the client
  /// asks for, and the fields that the refusal asks for.
  ///
  /// - Parameters:
  ///   - accept: the value of the request's Accept field, several lines as one list. Without one the
  ///     explanation is a JSON object with `error`, `reason` and `request_id`.
  ///   - persists: whether the connection goes on behind the answer.
  public func response(
    requestID: String, accept: String? = nil, persists: Bool = false
  ) -> (head: ResponseHead, body: [UInt8]) {
    let format = AnswerFormat(accept: accept)
    let body = self.body ?? Array(self.explanation(format, requestID: requestID).utf8)
    var fields = Fields()
    let own = self.body == nil ? self.fields + format.fields : self.fields
    for field in own { fields.append(name: field.name, value: field.value) }
    fields.append(name: "Content-Length", value: String(body.count))
    if !fields.contains("Cache-Control") {
      fields.append(name: "Cache-Control", value: "no-store")
    }
    fields.append(name: "X-Request-Id", value: requestID)
    // RFC 9110 §7.8: an Upgrade field is announced in Connection, beside the close.
    let isUpgradeNamed = self.fields.contains { $0.name.equalsIgnoringASCIICase("Upgrade") }
    let options = (persists ? [] : ["close"]) + (isUpgradeNamed ? ["Upgrade"] : [])
    if !options.isEmpty {
      fields.append(name: "Connection", value: options.joined(separator: ", "))
    }
    return (ResponseHead(status: self.status, fields: fields), body)
  }

  private func explanation(_ format: AnswerFormat, requestID: String) -> String {
    let phrase = ResponseHead.registeredReason(self.status)
    let title = phrase.isEmpty ? "\(self.status)" : "\(self.status) \(phrase)"
    switch format {
    case .json:
      return """
        {"error":\(jsonText(self.error)),"reason":\(jsonText(self.reason)),\
        "request_id":\(jsonText(requestID))}

        """
    case .text:
      return """
        \(title)
        \(lineText(self.reason))
        Request: \(lineText(requestID))

        """
    case .html:
      return htmlPage(title: title, reason: self.reason, requestID: requestID)
    }
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

/// The text on one line, without control characters.
private func lineText(_ text: String) -> String {
  var line = ""
  for scalar in text.unicodeScalars {
    line.unicodeScalars.append(scalar.value < 0x20 || scalar.value == 0x7F ? " " : scalar)
  }
  return line
}

/// The text as the content of an element (HTML Living Standard §13.1.2.6), quotes escaped too.
private func htmlText(_ text: String) -> String {
  var escaped = ""
  for scalar in lineText(text).unicodeScalars {
    switch scalar {
    case "&": escaped += "&amp;"
    case "<": escaped += "&lt;"
    case ">": escaped += "&gt;"
    case "\"": escaped += "&quot;"
    case "'": escaped += "&#39;"
    default: escaped.unicodeScalars.append(scalar)
    }
  }
  return escaped
}

/// A page that loads nothing.
private func htmlPage(title: String, reason: String, requestID: String) -> String {
  """
  <!doctype html>
  <html lang="en">
  <head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width">
  <title>\(htmlText(title))</title>
  <style>
  :root { color-scheme: light dark; font-family: system-ui, sans-serif; }
  body { margin: 15vh auto; max-width: 36rem; padding: 0 1rem; }
  </style>
  </head>
  <body>
  <h1>\(htmlText(title))</h1>
  <p>\(htmlText(reason))</p>
  <p><small>Request <code>\(htmlText(requestID))</code></small></p>
  </body>
  </html>

  """
}
