import Testing

@testable import HTTP

@Suite("traces (W3C Trace Context)")
struct TraceContextTests {
  private static let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

  @Test("a field is passed on with a span of our own")
  func passedOn() throws {
    let trace = try #require(TraceContext(traceparent: Self.good))
    #expect(trace.id == "0af7651916cd43dd8448eb211c80319c")
    #expect(
      trace.traceparent(span: 0x1234)
        == "00-0af7651916cd43dd8448eb211c80319c-0000000000001234-01")
    #expect(trace.traceparent(span: 0).hasSuffix("-0000000000000001-01"))
  }

  @Test(
    "fields that are taken",
    arguments: [
      good, "00-00000000000000000000000000000001-0000000000000001-00",
      "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes",
      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff",
    ])
  func taken(field: String) { #expect(TraceContext(traceparent: field) != nil) }

  @Test(
    "fields that are not",
    arguments: [
      "", "00", good + "-", good + "-x", String(good.dropLast()),
      "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
      "00-00000000000000000000000000000000-b7ad6b7169203331-01",
      "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
      "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
      "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      "0é-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
    ])
  func refused(field: String) { #expect(TraceContext(traceparent: field) == nil) }

  @Test("a new trace is never zero, and can be read")
  func made() throws {
    for (high, low) in [(0, 0), (0, 1), (.max, .max)] as [(UInt64, UInt64)] {
      let field = TraceContext(high: high, low: low).traceparent(span: 7)
      let trace = try #require(TraceContext(traceparent: field))
      #expect(trace.traceparent(span: 7) == field)
    }
  }
}
