internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// Why a request of an operator cannot be answered.
struct Failure: Error, HTTPResponseError, Encodable {
  enum CodingKeys: String, CodingKey { case error, reason }

  /// One machine word.
  let error: String
  /// One sentence.
  let reason: String
  let status: HTTPResponse.Status

  init(
    _ status: HTTPResponse.Status = .badRequest, _ error: String, _ reason: String
  ) {
    self.status = status
    self.error = error
    self.reason = reason
  }

  init(error: String, reason: String) { self.init(.badRequest, error, reason) }

  func response(from request: Request, context: some RequestContext) throws -> Response {
    Response(self.status, json: self)
  }
}

extension Response {
  /// An answer as JSON, keys in snake case.
  init(_ status: HTTPResponse.Status = .ok, json value: some Encodable) {
    // Values made here are finite numbers and texts, which can always be written.
    let octets = (try? Self.encoded(value)) ?? Data("{}".utf8)
    self.init(
      status: status, headers: Self.headers("application/json"),
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: octets)))
  }

  /// An answer as text.
  init(text: String, type: String, fields: HTTPFields = [:]) {
    self.init(
      status: .ok, headers: Self.headers(type, fields),
      body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
  }

  private static func headers(_ type: String, _ fields: HTTPFields = [:]) -> HTTPFields {
    var headers = fields
    headers[.contentType] = type
    headers[.cacheControl] = "no-store"
    headers[.xContentTypeOptions] = "nosniff"
    return headers
  }

  /// A value as JSON.
  static func encoded(_ value: some Encodable) throws -> Data {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(value)
  }
}
