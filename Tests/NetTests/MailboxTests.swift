import Synchronization
import Testing

@testable import Net

@Suite("between threads")
struct MailboxTests {
  @Test("messages come in the order of each sender, and wake the loop")
  func order() throws {
    let mailbox = try Mailbox<(sender: Int, number: Int)>()
    var loop = try EventLoop()
    let token = Token(slot: 0, generation: 0, registration: 1)
    try loop.add(mailbox, as: token)
    let senders = try (0..<4).map { sender in
      try Thread.start(name: "sender \(sender) of a mailbox") {
        for number in 0..<2000 { mailbox.post((sender, number)) }
      }
    }
    var next = [Int](repeating: 0, count: 4)
    var total = 0
    while total < 8000 {
      guard loop.wait(timeout: .seconds(10)) == 1 else { throw NothingCame() }
      #expect(loop[0].token == token)
      for message in mailbox.take() {
        #expect(message.number == next[message.sender])
        next[message.sender] += 1
        total += 1
      }
    }
    for sender in senders { sender.join() }
    let left = mailbox.take()
    #expect(left.isEmpty)
    // The bell is silent once all is taken.
    let ready = loop.wait(timeout: .zero)
    #expect(ready == 0)
  }

  @Test("an empty mailbox gives nothing")
  func empty() throws {
    let mailbox = try Mailbox<Int>()
    #expect(mailbox.take().isEmpty)
    mailbox.post(1)
    mailbox.post(2)
    #expect(mailbox.take() == [1, 2])
    #expect(mailbox.take().isEmpty)
  }

  @Test("an alarm that nobody rings ends the wait in time")
  func silence() throws {
    let alarm = try Alarm()
    #expect(!alarm.wait(timeout: .zero))
    let start = Deadline.now()
    #expect(!alarm.wait(timeout: .milliseconds(20)))
    #expect(Deadline.now().duration(since: start) >= .milliseconds(20))
  }

  @Test("an alarm stays rung for all who wait, now and later")
  func ringing() throws {
    let alarm = try Alarm()
    let woken = Atomic<Int>(0)
    try withExtendedLifetime(woken) {
      let shared = Counter()
      let waiters = try (0..<3).map { _ in
        try Thread.start(name: "waiter") { if alarm.wait(timeout: .seconds(10)) { shared.add() } }
      }
      alarm.ring()
      for waiter in waiters { waiter.join() }
      #expect(shared.count == 3)
    }
    #expect(alarm.wait(timeout: .zero))
    #expect(alarm.wait(timeout: .seconds(10)))
    alarm.rearm()
    #expect(!alarm.wait(timeout: .zero))
    alarm.rearm()
    alarm.ring()
    #expect(alarm.wait(timeout: .zero))
  }

  private final class Counter: Sendable {
    private let value = Atomic<Int>(0)
    var count: Int { self.value.load(ordering: .acquiring) }
    func add() { self.value.add(1, ordering: .releasing) }
  }
}

@Suite("process")
struct ProcessTests {
  @Test("there is a processor and room for descriptors")
  func limits() {
    #expect(ProcessLimits.processorCount >= 1)
    #expect(ProcessLimits.openDescriptorCount() >= 3)
    let limit = ProcessLimits.raiseDescriptorLimit()
    #expect(limit > 0)
    #expect(ProcessLimits.raiseDescriptorLimit() == limit)
  }
}

@Suite("names")
struct NameLookupTests {
  @Test("localhost is this machine")
  func localhost() throws {
    let answer = try NameLookup.resolve("localhost")
    #expect(!answer.addresses.isEmpty)
    let known: [IPAddress] = [.v4(0x7F00_0001), .v6(high: 0, low: 1)]
    #expect(answer.addresses.allSatisfy { known.contains($0) })
    #expect(Set(answer.addresses).count == answer.addresses.count)
  }

  @Test("an address in words is its own answer")
  func literal() throws {
    #expect(try NameLookup.resolve("192.0.2.7").addresses == [.v4(0xC000_0207)])
  }

  @Test("a name that cannot exist has a reason", arguments: ["", "a name with spaces", "a..b"])
  func unknown(name: String) {
    #expect(throws: NameFault.self) { try NameLookup.resolve(name) }
  }
}

@Suite("a mailbox that nobody reads any more")
struct ClosedMailboxTests {
  private final class Letter: Sendable {
    let bell: Alarm
    init(_ bell: Alarm) { self.bell = bell }
    deinit { self.bell.ring() }
  }

  @Test("what is there and what still comes is dropped, so that its sender can tell")
  func closed() throws {
    let mailbox = try Mailbox<Letter>()
    let (first, second) = (try Alarm(), try Alarm())
    mailbox.post(Letter(first))
    #expect(!first.wait(timeout: .zero))
    mailbox.close()
    #expect(first.wait(timeout: .zero))
    mailbox.post(Letter(second))
    #expect(second.wait(timeout: .zero))
    #expect(mailbox.take().isEmpty)
  }
}
