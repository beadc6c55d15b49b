import HTTP

/// The ways in which octets can arrive: whole, one at a time, and cut in two at every position.
func deliveries(of octets: [UInt8]) -> [[[UInt8]]] {
  var deliveries = [[octets], octets.map { [$0] }]
  for cut in octets.indices.dropFirst() {
    deliveries.append([Array(octets[..<cut]), Array(octets[cut...])])
  }
  return deliveries
}

/// What came of a head, and how many octets it took.
enum Outcome<Head: Equatable>: Equatable {
  case needMore
  case head(Head, byteCount: Int)
  case failure(HeadError)

  var failure: HeadError? {
    if case .failure(let error) = self { error } else { nil }
  }

  var head: Head? {
    if case .head(let head, _) = self { head } else { nil }
  }

  var byteCount: Int? {
    if case .head(_, let byteCount) = self { byteCount } else { nil }
  }
}

func readRequest(
  _ pieces: [[UInt8]], headByteCountMax: Int = 4096, targetByteCountMax: Int = 1024
) -> Outcome<RequestHead> {
  var reader = RequestReader(
    headByteCountMax: headByteCountMax, targetByteCountMax: targetByteCountMax)
  var byteCount = 0
  for piece in pieces {
    do throws(HeadError) {
      switch try reader.receive(piece.span) {
      case .needMore: byteCount += piece.count
      case .head(let head, let consumed): return .head(head, byteCount: byteCount + consumed)
      }
    } catch {
      return .failure(error)
    }
  }
  return .needMore
}

func readRequest(_ text: String, headByteCountMax: Int = 4096) -> Outcome<RequestHead> {
  readRequest([Array(text.utf8)], headByteCountMax: headByteCountMax)
}

func readResponse(_ pieces: [[UInt8]], headByteCountMax: Int = 4096) -> Outcome<ResponseHead> {
  var reader = ResponseReader(headByteCountMax: headByteCountMax)
  var byteCount = 0
  for piece in pieces {
    do throws(HeadError) {
      switch try reader.receive(piece.span) {
      case .needMore: byteCount += piece.count
      case .head(let head, let consumed): return .head(head, byteCount: byteCount + consumed)
      }
    } catch {
      return .failure(error)
    }
  }
  return .needMore
}

/// The names and values of `fields`, one line each.
func lines(_ fields: Fields) -> [String] { fields.map { "\($0.name): \($0.value)" } }
