/// The dashboard: Sources/Control/Dashboard/dashboard.html, a part of the program.
enum Dashboard {
  static let page = String(decoding: PackageResources.dashboard_html, as: UTF8.self)
}

/// The description of the admin API: Sources/Control/Admin/openapi.json, a part of the program.
enum OpenAPI {
  static let document = String(decoding: PackageResources.openapi_json, as: UTF8.self)
}
