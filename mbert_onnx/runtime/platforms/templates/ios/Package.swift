// swift-tools-version:5.5
import PackageDescription

let package = Package(
    name: "MbertKernels",
    platforms: [.iOS(.v15)],
    products: [.library(name: "MbertKernels", targets: ["MbertKernels"])],
    targets: [.binaryTarget(name: "MbertKernels", path: "MbertKernels.xcframework")]
)
