internal import HTTP
internal import Net
internal import Transport

extension BodyWriter {
  fileprivate mutating func move(
    _ count: Int, from source: inout Buffer, into sink: inout Buffer
  ) {
    self.write(source.octets.extracting(0..<count), into: &sink)
    source.consume(count)
  }
}

extension Buffer {
  /// Takes all that another buffer holds.
  fileprivate mutating func take(_ other: inout Buffer) {
    self.append(other.octets)
    other.clear()
  }
}

extension ByteStream {
  /// Sends the first octets of the scratch's inbound buffer as content of a body, framed, and behind what
  /// stands in the outbound buffer.
  mutating func sendContent(
    _ count: Int, _ writer: inout BodyWriter, isLast: Bool, _ scratch: inout Scratch
  ) -> StreamFault? {
    if writer.passesContentAsItIs {
      // Of a length that was announced no more comes than that: its reader stops there.
      _ = writer.passed(count)
      return self.sendPlainContent(count, isLast: isLast, &scratch)
    }
    while !scratch.inbound.isEmpty {
      let room = scratch.outbound.freeCount - BodyWriter.chunkOverheadByteCountMax
      let piece = min(max(room, 0), scratch.inbound.count)
      if piece > 0 {
        writer.move(piece, from: &scratch.inbound, into: &scratch.outbound)
      }
      if let fault = self.sendOutbound(&scratch, hasMore: !scratch.inbound.isEmpty) {
        return fault
      }
    }
    return scratch.outbound.isEmpty ? nil : self.sendOutbound(&scratch)
  }

  /// A head with little behind it goes out at once, and with much of it before that.
  private mutating func sendPlainContent(
    _ count: Int, isLast: Bool, _ scratch: inout Scratch
  ) -> StreamFault? {
    if !scratch.outbound.isEmpty {
      let isSmall = count <= min(Limits.joinedByteCountMax, scratch.outbound.freeCount)
      if isSmall { scratch.outbound.take(&scratch.inbound) }
      if let fault = self.sendOutbound(&scratch, hasMore: !isSmall) { return fault }
    }
    return scratch.inbound.isEmpty ? nil : self.sendInbound(&scratch, isLast: isLast)
  }
}
