import Testing

@testable import Net

extension Buffer {
  fileprivate var copied: [UInt8] {
    let octets = self.octets
    var copy: [UInt8] = []
    for index in octets.indices { copy.append(octets[index]) }
    return copy
  }
}

@Suite("buffer")
struct BufferTests {
  @Test("what is appended is what is there, in order")
  func order() {
    var buffer = Buffer(capacity: 10)
    buffer.append([1, 2, 3].span)
    let none: [UInt8] = []
    buffer.append(none.span)
    buffer.append([4].span)
    var (count, free) = (buffer.count, buffer.freeCount)
    #expect(count == 4)
    #expect(free == 6)
    buffer.consume(2)
    let left = buffer.copied
    (count, free) = (buffer.count, buffer.freeCount)
    #expect(left == [3, 4])
    #expect(count == 2)
    #expect(free == 6)
  }

  @Test("an emptied buffer has all of its room again")
  func restart() {
    var buffer = Buffer(capacity: 4)
    buffer.append([1, 2, 3, 4].span)
    let full = buffer.freeCount
    buffer.consume(4)
    let (isEmpty, free) = (buffer.isEmpty, buffer.freeCount)
    #expect(full == 0)
    #expect(isEmpty)
    #expect(free == 4)
    buffer.append([5].span)
    buffer.clear()
    let cleared = buffer.freeCount
    #expect(cleared == 4)
  }

  @Test("it is truncated at its end and consumed at its start")
  func truncate() {
    var buffer = Buffer(capacity: 8)
    buffer.append([1, 2, 3, 4, 5].span)
    buffer.consume(1)
    buffer.truncate(to: 3)
    let left = buffer.copied
    #expect(left == [2, 3, 4])
    buffer.truncate(to: 0)
    let isEmpty = buffer.isEmpty
    #expect(isEmpty)
  }

  @Test("taking all leaves nothing")
  func takeAll() {
    var buffer = Buffer(capacity: 8)
    buffer.append([1, 2, 3].span)
    buffer.consume(1)
    let taken = buffer.takeAll()
    let (isEmpty, free) = (buffer.isEmpty, buffer.freeCount)
    let again = buffer.takeAll()
    #expect(taken == [2, 3])
    #expect(isEmpty)
    #expect(free == 8)
    #expect(again == [])
  }

  @Test("octets move within it, over one another in both directions")
  func move() {
    for (range, offset, expected) in [
      (2..<6, 0, [2, 3, 4, 5, 4, 5]), (0..<4, 2, [0, 1, 0, 1, 2, 3]),
      (1..<3, 1, [0, 1, 2, 3, 4, 5]),
      (6..<6, 6, [0, 1, 2, 3, 4, 5]), (5..<6, 0, [5, 1, 2, 3, 4, 5]),
    ] as [(Range<Int>, Int, [UInt8])] {
      var buffer = Buffer(capacity: 8)
      buffer.append([9, 0, 1, 2, 3, 4, 5].span)
      buffer.consume(1)
      buffer.move(range, to: offset)
      let octets = buffer.copied
      #expect(octets == expected, "\(range) to \(offset)")
    }
  }

  @Test("octets that a C function wrote are there after produced")
  func produced() {
    var buffer = Buffer(capacity: 4)
    buffer.append([9].span)
    unsafe buffer.unsafeFreeSpace.copyBytes(from: [7, 8])
    buffer.produced(2)
    let octets = buffer.copied
    let raw = unsafe Array(buffer.unsafeOctets)
    #expect(octets == [9, 7, 8])
    #expect(raw == octets)
  }
}
