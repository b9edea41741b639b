// swift-tools-version: 5.9
import PackageDescription

let package = Package(
    name: "Classify",
    platforms: [.macOS(.v13), .iOS(.v15)],
    dependencies: [
        .package(url: "https://github.com/microsoft/onnxruntime-swift-package-manager", from: "1.20.0")
    ],
    targets: [
        .executableTarget(
            name: "Classify",
            dependencies: [.product(name: "onnxruntime", package: "onnxruntime-swift-package-manager")],
            path: ".", exclude: ["README.md"], sources: ["main.swift"])
    ]
)
