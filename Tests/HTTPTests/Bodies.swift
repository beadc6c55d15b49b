import HTTP
import Net

/// What came of a body and of the octets behind it.
struct Body: Equatable, CustomStringConvertible {
  var content: [UInt8] = []
  var rest: [UInt8] = []
  var trailers: [String] = []
  var isComplete = false

  init() {}

  /// A body that is complete.
  init(_ content: String, rest: String = "", trailers: [String] = []) {
    self.content = Array(content.utf8)
    self.rest = Array(rest.utf8)
    self.trailers = trailers
    self.isComplete = true
  }

  /// A body of which something is missing.
  static func part(_ content: String) -> Body {
    var body = Body(content)
    body.isComplete = false
    return body
  }

  var description: String {
    let text = String(decoding: self.content, as: UTF8.self).debugDescription
    let rest = String(decoding: self.rest, as: UTF8.self).debugDescription
    return "\(text) \(self.trailers) \(self.isComplete ? "complete" : "open") \(rest)"
  }
}

/// Reads the body that `pieces` bring, one after another.
func readBody(_ pieces: [[UInt8]], by reader: BodyReader) throws(HeadError) -> Body {
  var reader = reader
  var body = Body()
  var buffer = Buffer(capacity: 64 * 1024)
  for piece in pieces {
    buffer.append(piece.span)
    let (content, rest) = try reader.read(&buffer)
    let octets = buffer.takeAll()
    precondition(octets.count == content + rest, "octets that are neither content nor rest")
    body.content += octets[..<content]
    body.rest += octets[content...]
    precondition(rest == 0 || reader.isComplete, "a rest before the end")
  }
  precondition(reader.contentByteCount == UInt64(body.content.count))
  body.isComplete = reader.isComplete
  if reader.isComplete { body.trailers = lines(reader.takeTrailers()) }
  return body
}

/// What came of a message: where its body ends, or why it is none.
enum Reading: Equatable {
  case body(Body)
  case refused(HeadError)
  case noHead
}

func readRequestWithBody(_ pieces: [[UInt8]]) -> Reading {
  var reader = RequestReader(headByteCountMax: 4096, targetByteCountMax: 1024)
  for (index, piece) in pieces.enumerated() {
    do throws(HeadError) {
      guard case .head(let head, let consumed) = try reader.receive(piece.span) else { continue }
      let rest = [Array(piece[consumed...])] + pieces[(index + 1)...]
      return .body(try readBody(rest, by: BodyReader(request: head)))
    } catch {
      return .refused(error)
    }
  }
  return .noHead
}

func readResponseWithBody(_ pieces: [[UInt8]], method: String = "GET") -> Reading {
  var reader = ResponseReader(headByteCountMax: 4096)
  for (index, piece) in pieces.enumerated() {
    do throws(HeadError) {
      guard case .head(let head, let consumed) = try reader.receive(piece.span) else { continue }
      let rest = [Array(piece[consumed...])] + pieces[(index + 1)...]
      return .body(try readBody(rest, by: BodyReader(response: head, toMethod: method)))
    } catch {
      return .refused(error)
    }
  }
  return .noHead
}

/// `content` as a writer frames it, in pieces of at most `pieceByteCount` octets; `nil` where it does
/// not fit what was announced.
func framed(
  _ content: [UInt8], _ framing: BodyFraming, trailers: Fields = Fields(), pieceByteCount: Int = 7
) -> [UInt8]? {
  var writer = BodyWriter(framing)
  var octets: [UInt8] = []
  var buffer = Buffer(capacity: pieceByteCount + BodyWriter.chunkOverheadByteCountMax)
  var rest = content[...]
  while !rest.isEmpty {
    writer.write(Array(rest.prefix(pieceByteCount)).span, into: &buffer)
    octets += buffer.takeAll()
    rest = rest.dropFirst(pieceByteCount)
  }
  return writer.finish(trailers).map { octets + $0 }
}
