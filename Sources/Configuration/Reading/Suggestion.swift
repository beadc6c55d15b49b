/// `, did you mean "hosts"?` where one of `words` is near enough to `word`; nothing otherwise.
func suggestion(for word: String, among words: [String]) -> String {
  let typed = Array(word.utf8)
  let candidates = words.map { (word: $0, distance: editDistance(typed, Array($0.utf8))) }
  guard let best = candidates.min(by: { $0.distance < $1.distance }),
    best.distance <= max(1, min(typed.count, best.word.utf8.count) / 3)
  else { return "" }
  return ", did you mean \"\(best.word)\"?"
}

/// How many octets must be inserted, left out, exchanged or swapped with their neighbour to make
/// one word of the other ("optimal string alignment").
private func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
  // Words of a file may be long; no key is.
  guard a.count <= 64, b.count <= 64 else { return .max }
  var rows = [Array(0...b.count)]
  for i in 1..<(a.count + 1) {
    var row = [i]
    for j in 1..<(b.count + 1) {
      var distance = min(rows[i - 1][j] + 1, row[j - 1] + 1)
      distance = min(distance, rows[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
      if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] {
        distance = min(distance, rows[i - 2][j - 2] + 1)
      }
      row.append(distance)
    }
    rows.append(row)
  }
  return rows[a.count][b.count]
}
