extension Configuration {
  /// The longest configuration file, in octets.
  public static let fileByteCountMax = 4 << 20

  /// Reads and checks a file, and the files it names.
  ///
  /// - Parameters:
  ///   - path: a YAML (or JSON) file; paths in it are relative to its folder.
  ///   - environment: the values of `${NAME}`.
  ///   - surroundings: what the configuration uses while it is in force. Reading it uses nothing.
  /// - Throws: everything that is wrong, each with its line and key path. Syntax alone ends the
  ///   reading early.
  public static func load(
    path: String, environment: [String: String], surroundings: Surroundings = Surroundings()
  ) throws(ConfigurationErrors) -> Configuration {
    // Before the reading: what is written meanwhile is seen as a change later.
    let stamp = FileStamp(of: path)
    let yaml: String
    do {
      yaml = try readFile(at: path, byteCountMax: Self.fileByteCountMax)
    } catch {
      // Its sentence names the file already.
      let message = String(error.message.dropFirst(path.count + 2))
      throw ConfigurationErrors([Problem(file: path, line: nil, keyPath: "", message: message)])
    }
    var configuration = try Self.parse(
      yaml: yaml, path: path, directory: directory(ofFile: path), environment: environment,
      surroundings: surroundings)
    configuration.files.insert(stamp, at: 0)
    return configuration
  }

  /// Checks the text of a file.
  ///
  /// - Parameters:
  ///   - yaml: what the file holds.
  ///   - path: what problems call the file.
  ///   - directory: what relative paths are relative to.
  ///   - environment: the values of `${NAME}`.
  ///   - surroundings: what the configuration uses while it is in force.
  /// - Throws: as ``load(path:environment:surroundings:)``.
  public static func parse(
    yaml: String, path: String, directory: String, environment: [String: String] = [:],
    surroundings: Surroundings = Surroundings()
  ) throws(ConfigurationErrors) -> Configuration {
    let reading = try Self.reading(
      yaml: yaml, path: path, directory: directory, environment: environment,
      surroundings: surroundings)
    var configuration = try reading.decode(ConfigurationSection.self).configuration
    configuration.text = reading.maskedJSON()
    return configuration
  }

  /// Reads what a file says of its admin listener, and nothing else.
  ///
  /// - Throws: what is wrong with that part, or with the file's syntax.
  public static func admin(
    path: String, environment: [String: String]
  ) throws(ConfigurationErrors) -> AdminRules? {
    let yaml: String
    do {
      yaml = try readFile(at: path, byteCountMax: Self.fileByteCountMax)
    } catch {
      throw ConfigurationErrors([
        Problem(file: path, line: nil, keyPath: "", message: error.message)
      ])
    }
    let reading = try Self.reading(
      yaml: yaml, path: path, directory: directory(ofFile: path), environment: environment)
    return try reading.decode(AdminAloneSection.self).rules
  }

  static func reading(
    yaml: String, path: String, directory: String, environment: [String: String],
    surroundings: Surroundings = Surroundings()
  ) throws(ConfigurationErrors) -> Reading {
    do {
      let document = try Document(yaml: yaml, path: path)
      return Reading(
        document: document, path: path, directory: directory, environment: environment,
        surroundings: surroundings)
    } catch {
      throw ConfigurationErrors([error])
    }
  }
}
