// swift-tools-version: 6.2
import PackageDescription

/// The settings of every target: Swift 6 mode, strict memory safety, no warning passes.
let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableExperimentalFeature("Lifetimes"),
]

/// A target of this package: its code in Sources/NAME, its tests, if any, in Tests/NAMETests.
func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .testTarget(
    name: "\(name)Tests", dependencies: [.byName(name: name)] + dependencies,
    swiftSettings: settings)
}

let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")
let jwtKit = Target.Dependency.product(name: "JWTKit", package: "jwt-kit")
let collections = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
/// Its dependencies have a module of the name of one of ours.
let httpClient = Target.Dependency.product(
  name: "AsyncHTTPClient", package: "async-http-client",
  moduleAliases: ["Configuration": "SwiftConfiguration"])
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
  name: "sluice",
  products: [.executable(name: "sluice", targets: ["sluice"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.1.0"),
    .package(url: "https://github.com/apple/swift-http-types", from: "1.5.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.100.0"),
    .package(url: "https://github.com/apple/swift-nio-extras", from: "1.34.0"),
    .package(url: "https://github.com/swift-server/async-http-client", from: "1.30.0"),
    .package(
      url: "https://github.com/hummingbird-project/hummingbird", from: "2.20.0",
      traits: ["FullFoundation"]),
    .package(url: "https://github.com/jpsim/Yams", from: "6.0.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.9.0"),
    .package(url: "https://github.com/vapor/jwt-kit", from: "5.0.0"),
  ],
  targets: [
    .systemLibrary(
      name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev", "pkg-config"])]),
    .systemLibrary(
      name: "CNGHTTP2", pkgConfig: "libnghttp2", providers: [.apt(["libnghttp2-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .target(name: "CLinux", linkerSettings: [.linkedLibrary("resolv")]),

    library("Net", ["CLinux"]),
    library("TLS", ["COpenSSL", "CLinux", "Net"]),
    library("HTTP", ["Net"]),
    library("WebSocket", ["HTTP", crypto]),
    library("HTTP2", ["CNGHTTP2", "Net", "HTTP"]),
    library("Transport", ["Net", "TLS", "HTTP", "HTTP2"]),
    library("Admission", ["Net", "HTTP", crypto]),
    library("Upstream", ["Net", "TLS", crypto]),
    library("Compression", ["CZlib", "Net", "WebSocket"]),
    library("Tunnel", ["Net", "WebSocket"]),
    library("Signaling", ["Net", "WebSocket", collections, crypto]),
    library("Telemetry", ["Net", "WebSocket", logging]),
    library("Token", ["Net", "HTTP", "Admission", jwtKit, crypto]),
    library(
      "Configuration",
      [
        "Net", "TLS", "HTTP", "Admission", "Upstream", "Tunnel", "Signaling", "Token", "Telemetry",
        logging, yams, crypto,
      ]),
    .target(
      name: "Edge",
      dependencies: [
        "Net", "TLS", "HTTP", "HTTP2", "WebSocket", "Compression", "Transport", "Admission",
        "Upstream", "Tunnel", "Signaling", "Telemetry", "Configuration", logging, crypto,
      ],
      resources: [.embedInCode("Pages/demo.html"), .embedInCode("Pages/sluice-rooms.js")],
      swiftSettings: settings),
    .target(
      name: "Control",
      dependencies: [
        "Net", "HTTP", "WebSocket", "Admission", "Token", "Configuration", "Edge", "Signaling",
        "Telemetry", "Upstream", logging, crypto, httpClient,
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "HTTPTypes", package: "swift-http-types"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOWebSocket", package: "swift-nio"),
        .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
        .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      resources: [
        .embedInCode("Dashboard/dashboard.html"), .embedInCode("Admin/openapi.json"),
      ], swiftSettings: settings),
    library("Echo", ["Net", "HTTP", "WebSocket"]),
    .executableTarget(
      name: "sluice",
      dependencies: [
        "Net", "TLS", "HTTP", "Admission", "Upstream", "Signaling", "Telemetry", "Token",
        "Configuration", "Edge", "Control", "Echo", logging, arguments,
      ], swiftSettings: settings),
    .executableTarget(
      name: "bench",
      dependencies: [
        "CNGHTTP2", "Net", "TLS", "HTTP", "HTTP2", "WebSocket", "Transport", arguments,
      ],
      path: "Benchmarks/Bench", swiftSettings: settings),

    tests("Net"),
    tests("TLS", ["Net", "COpenSSL"]),
    tests("HTTP", ["Net"]),
    tests("HTTP2", ["CNGHTTP2", "HTTP", "Net"]),
    tests("WebSocket", ["HTTP", "Net"]),
    tests("Admission", ["Net", "HTTP"]),
    tests("Transport", ["Net", "TLS"]),
    tests("Upstream", ["Net"]),
    tests("Echo", ["HTTP", "WebSocket"]),
    tests("Compression", ["CZlib", "Net", "WebSocket"]),
    tests("Tunnel", ["Net", "WebSocket"]),
    tests("Signaling", ["Net", "WebSocket", crypto]),
    tests("Telemetry", ["Net", "WebSocket", logging]),
    .testTarget(
      name: "BenchTests",
      dependencies: ["bench", "CNGHTTP2", "Net", "HTTP", "HTTP2", "WebSocket"],
      swiftSettings: settings),
    tests("Control", ["Net", "HTTP", "Admission", "Signaling", "Configuration"]),
    tests("Token", ["Net", "HTTP", "Admission", jwtKit, crypto]),
    tests(
      "Configuration",
      [
        "Net", "TLS", "HTTP", "Admission", "Upstream", "Tunnel", "Signaling", "Token", "Telemetry",
        logging,
      ]),
  ]
)
