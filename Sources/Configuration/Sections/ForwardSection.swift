import Admission
import HTTP

/// `routes[].auth.forward`
struct ForwardSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable {
    case url, timeout, headers
    case subjectFrom = "subject_from"
  }

  let rule: ForwardRule

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    let url = section.required(.url, "where the service is asked")?.webURL()
    let timeout = section[.timeout]?.duration(in: .milliseconds(100) ... .seconds(30))
    let fields = Self.fields(section[.headers])
    let subjectField = section[.subjectFrom].flatMap { entry in
      entry.text("the name of a field").flatMap { entry.isFieldName($0) ? $0 : nil }
    }
    guard let url else { throw Refused() }
    var rule = ForwardRule(
      url: url, fields: fields, subjectField: subjectField,
      web: section.entry.reading.surroundings.web)
    if let timeout { rule.timeout = timeout }
    self.rule = rule
  }

  private static func fields(_ entry: Entry?) -> [String] {
    var names = FieldNames()
    return (entry?.list() ?? []).compactMap { entry in
      guard let name = entry.text("the name of a field"), names.take(name, at: entry) else {
        return nil
      }
      guard name.lowercased() != "host" else {
        entry.refuse("the service does not choose the Host")
        return nil
      }
      return name
    }
  }
}
