internal import Admission
internal import Configuration
internal import HTTP
internal import Net
internal import Telemetry
internal import Transport
internal import Tunnel
internal import Upstream
internal import WebSocket

/// The way of octets between a request's client and its server.
extension Relaying {
  /// Sends the head, and with it what has come of the body.
  mutating func start(_ bench: inout Workbench) -> Fate {
    if let fault = self.server.stream.begin(self.outgoing.octets, &bench.scratch) {
      return self.unsent(fault)
    }
    let pipelined = self.outgoing.pipelined
    if pipelined.count > Limits.joinedByteCountMax, !self.request.isComplete {
      // The head goes out by itself, and is seen whatever becomes of the content.
      if let fault = self.server.stream.sendOutbound(&bench.scratch) { return self.unsent(fault) }
      self.request.hasTakenContent = true
    }
    if !pipelined.isEmpty {
      bench.scratch.inbound.append(pipelined.span)
      if let fate = self.passRequest(&bench) { return fate }
    }
    if !bench.scratch.outbound.isEmpty, let fault = self.server.stream.sendOutbound(&bench.scratch)
    {
      return self.unsent(fault)
    }
    return self.pump(&bench)
  }

  /// Passes on an answer whose head was read before, and what follows it.
  mutating func goOn(behind head: ResponseHead, _ bench: inout Workbench) -> Fate {
    let fate = self.answered(head, &bench)
    guard case .goesOn = fate else { return fate }
    return self.pump(&bench)
  }

  /// The server did not take the first octets: no server has seen anything of the request.
  private func unsent(_ fault: StreamFault) -> Fate {
    guard !self.request.hasTakenContent else { return .lost(fault.reason) }
    return .again(fault.reason, isStale: self.server.isReused)
  }

  /// Carries octets both ways for as long as there are some, there is room, and the turn lasts.
  mutating func pump(_ bench: inout Workbench) -> Fate {
    if !self.request.isComplete, let fate = self.pumpRequest(&bench) { return fate }
    return self.pumpAnswer(&bench)
  }

  private mutating func pumpRequest(_ bench: inout Workbench) -> Fate? {
    var receives = 0
    while !self.request.isComplete, self.downstream.isReadable, self.mayReadRequest {
      guard receives < Limits.receivesPerTurnMax else {
        self.waitForTurn(&bench)
        return nil
      }
      receives += 1
      bench.scratch.inbound.clear()
      switch self.downstream.receive(&bench.scratch) {
      case .octets:
        self.request.hasTakenContent = true
        if let fate = self.passRequest(&bench) { return fate }
      case .nothing: continue
      case .ended: return self.requestEnded(&bench)
      case .failed(let fault): return .broken(.downstream, fault.reason)
      }
    }
    return nil
  }

  private var mayReadRequest: Bool {
    !self.request.isBrokenOff
      && self.server.queuedByteCount <= Watermarks.standard.highByteCount
  }

  /// Passes on what stands in the scratch of the request's body.
  private mutating func passRequest(_ bench: inout Workbench) -> Fate? {
    let content: Int
    do throws(HeadError) {
      content = try self.takeRequestFraming(&bench)
    } catch {
      return self.answer.hasBegun
        ? .broken(.downstream, error.reason) : .refused(.malformedBody(error))
    }
    self.request.byteCount &+= UInt64(content)
    self.movedAt = bench.now
    if let countMax = self.outgoing.route.rules.http?.bodyByteCountMax,
      self.request.byteCount > countMax
    {
      return self.answer.hasBegun
        ? .broken(.edge, "the body is too large") : .refused(.bodyTooLarge)
    }
    if let fault = self.server.stream.sendContent(
      content, &self.request.writer, isLast: false, &bench.scratch)
    {
      guard self.request.hasTakenContent || self.answer.hasBegun else { return self.unsent(fault) }
      self.request.breakOff()
      bench.scratch.inbound.clear()
      return self.server.stream.isReadable ? nil : self.lost(fault.reason)
    }
    if self.request.reader?.isComplete == true {
      return self.finishRequest(self.request.reader?.takeTrailers() ?? Fields(), &bench)
    }
    return nil
  }

  /// Leaves the content alone in the scratch, and gives its count.
  private mutating func takeRequestFraming(_ bench: inout Workbench) throws(HeadError) -> Int {
    guard var reader = self.request.reader.take() else { return bench.scratch.inbound.count }
    defer { self.request.reader = reader }
    let (content, rest) = try reader.read(&bench.scratch.inbound)
    if rest > 0 {
      bench.scratch.inbound.copyTail(from: content, onto: &self.rest)
      bench.scratch.inbound.truncate(to: content)
    }
    return content
  }

  /// The client sends nothing more: the end of the body on an HTTP/2 stream, and of everything on a
  /// connection.
  private mutating func requestEnded(_ bench: inout Workbench) -> Fate? {
    guard self.downstream.isCarried else { return .broken(.downstream, "closed inside the body") }
    return self.finishRequest(self.downstream.takeTrailers(&bench.scratch) ?? Fields(), &bench)
  }

  private mutating func finishRequest(_ trailers: Fields, _ bench: inout Workbench) -> Fate? {
    let passed = self.outgoing.asked.forwarding.trailers(from: trailers)
    guard let last = self.request.writer.finish(passed) else {
      return self.answer.hasBegun
        ? .broken(.downstream, "the body is too short")
        : .refused(.malformedBody(.malformedLength))
    }
    self.request.completed()
    if !last.isEmpty, self.server.stream.send(last, &bench.scratch) != nil {
      self.request.breakOff()
    }
    return nil
  }

  private mutating func waitForTurn(_ bench: inout Workbench) {
    guard !self.downstream.waitsForTurn else { return }
    self.downstream.waitsForTurn = true
    bench.unfinished.append(self.outgoing.exchange.arrival.token)
  }
}

// MARK: - The answer

extension Relaying {
  private mutating func pumpAnswer(_ bench: inout Workbench) -> Fate {
    var receives = 0
    while self.server.stream.isReadable,
      self.downstream.queuedByteCount <= Watermarks.standard.highByteCount
    {
      guard receives < Limits.receivesPerTurnMax else {
        self.waitForServersTurn(&bench)
        return .goesOn
      }
      receives += 1
      bench.scratch.inbound.clear()
      switch self.server.stream.receive(&bench.scratch) {
      case .octets: break
      case .nothing: continue
      case .ended: return self.serverEnded(&bench)
      case .failed(let fault): return self.lost(fault.reason)
      }
      let fate = self.passAnswer(&bench)
      guard case .goesOn = fate else { return fate }
    }
    return .goesOn
  }

  private mutating func waitForServersTurn(_ bench: inout Workbench) {
    guard !self.server.stream.waitsForTurn else { return }
    self.server.stream.waitsForTurn = true
    bench.unfinished.append(self.server.token)
  }

  /// Passes on what stands in the scratch of the answer.
  private mutating func passAnswer(_ bench: inout Workbench) -> Fate {
    while !self.answer.hasBegun {
      let head: ResponseHead
      do throws(HeadError) {
        let octets = try self.answer.reader.receive(bench.scratch.inbound.octets)
        guard case .head(let complete, let consumed) = octets else { return .goesOn }
        bench.scratch.inbound.consume(consumed)
        head = complete
      } catch {
        return self.malformed("The server's answer is no HTTP head.", &bench)
      }
      guard head.status < 200 else { return self.answered(head, &bench) }
      if let fate = self.interim(head, &bench) { return fate }
      if bench.scratch.inbound.isEmpty { return .goesOn }
    }
    return self.passContent(&bench)
  }

  /// RFC 9110 §15.2: interim answers precede the one that counts.
  private mutating func interim(_ head: ResponseHead, _ bench: inout Workbench) -> Fate? {
    self.answer.interimCount += 1
    guard self.answer.interimCount <= Limits.interimAnswerCountMax else {
      return self.malformed("The server sends interim answers without end.", &bench)
    }
    guard head.status != 101 else {
      return self.malformed("The server switches to a protocol that nobody asked for.", &bench)
    }
    guard let passed = head.forwardedInterim(toVersion: self.outgoing.asked.version) else {
      return nil
    }
    // What follows it stands in the scratch, and stays there.
    let fault = self.downstream.answer(passed, &bench.scratch)
    return fault == nil ? nil : .broken(.downstream, "reset")
  }

  /// The head that counts has come; what follows it stands in the scratch.
  mutating func answered(_ head: consuming ResponseHead, _ bench: inout Workbench) -> Fate {
    // 502 to 504 are a gateway's words for a server that cannot.
    bench.noteAnswer(
      !(502...504).contains(head.status), self.server.endpoint, self.outgoing)
    let (method, version) = (self.outgoing.asked.method, self.outgoing.asked.version)
    // RFC 8441 §5: to an extended CONNECT any 2xx would say that the WebSocket stands.
    if self.outgoing.upgrade != nil, version == .http2, (200..<300).contains(head.status) {
      return self.malformed("The server did not upgrade.", &bench)
    }
    do throws(HeadError) {
      let body = try BodyReader(response: head, toMethod: method)
      // RFC 9112 §9.6: behind an answer that comes before the body has, the connection is of no use.
      let persists =
        self.outgoing.asked.persists && self.request.isComplete
        && bench.departure.closesUntil == nil
      self.answer.begin(head, body)
      var (passed, framing, mayPersist) = head.forwarded(
        toVersion: version, method: method, body: body, persists: persists)
      self.answer.goOn(framing, persists: mayPersist)
      self.outgoing.addFields(to: &passed.fields, from: self.server.endpoint, bench)
      if self.outgoing.upgrade == nil { self.outgoing.exchange.noteAnswer(bench) }
      let fault = self.downstream.begin(passed, isAll: body.isComplete, &bench.scratch)
      return fault == nil ? self.passContent(&bench) : .broken(.downstream, "reset")
    } catch {
      return self.malformed(error.reason, &bench)
    }
  }

  /// Sends what stands in the scratch, behind a head that waits there to go out.
  private mutating func passContent(_ bench: inout Workbench) -> Fate {
    let content: Int
    do throws(HeadError) {
      let (count, rest) = try self.answer.read(&bench.scratch.inbound)
      if rest > 0 { self.answer.hasSurplus = true }
      bench.scratch.inbound.truncate(to: count)
      content = count
    } catch {
      bench.scratch.outbound.clear()
      return .broken(.upstream, error.reason)
    }
    self.answer.byteCount &+= UInt64(content)
    self.movedAt = bench.now
    let isComplete = self.answer.body?.isComplete == true
    let trailers = isComplete ? self.answer.takeTrailers() : Fields()
    if self.downstream.sendContent(
      content, &self.answer.writer, isLast: isComplete && trailers.isEmpty, &bench.scratch) != nil
    {
      return .broken(.downstream, "reset")
    }
    return isComplete ? self.finishAnswer(trailers, &bench) : .goesOn
  }

  private mutating func finishAnswer(_ trailers: Fields, _ bench: inout Workbench) -> Fate {
    guard let last = self.answer.writer.finish(trailers) else {
      return .broken(.upstream, "the body is too short")
    }
    let fault =
      last.isEmpty
      ? self.downstream.isCarried ? self.downstream.end(trailers, &bench.scratch) : nil
      : self.downstream.send(last, &bench.scratch)
    return fault == nil ? .complete : .broken(.downstream, "reset")
  }

  private mutating func serverEnded(_ bench: inout Workbench) -> Fate {
    // Its last octets came with the end.
    if !bench.scratch.inbound.isEmpty {
      let fate = self.passAnswer(&bench)
      guard case .goesOn = fate else { return fate }
    }
    guard self.answer.hasBegun else { return self.lost("closed") }
    guard self.answer.body?.endsAtClose == true else {
      return .broken(.upstream, "closed inside the body")
    }
    // RFC 9112 §9.8: such a body is complete only where TLS has said that it is.
    guard !self.server.stream.isTruncated else {
      return .broken(.upstream, "closed without close_notify")
    }
    return self.finishAnswer(Fields(), &bench)
  }

  private mutating func malformed(_ reason: String, _ bench: inout Workbench) -> Fate {
    bench.noteFailedAttempt(self.server.endpoint, reason, self.outgoing)
    return self.answer.hasBegun
      ? .broken(.upstream, reason) : .refused(.upstreamMalformed(reason: reason))
  }
}

extension OutgoingRequest {
  /// What the edge adds to a server's answer.
  fileprivate func addFields(
    to fields: inout Fields, from endpoint: Endpoint, _ bench: borrowing Workbench
  ) {
    fields.set("X-Request-Id", self.exchange.requestID)
    if let rules = self.group.rules.stickyCookie,
      let cookie = self.affinity.setCookie(for: endpoint, rules, bench.commons.signer)
    {
      fields.append(name: "Set-Cookie", value: cookie)
    }
    self.exchange.addCORS(to: &fields)
  }
}
