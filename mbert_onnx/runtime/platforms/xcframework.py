"""The property list of an XCFramework: which library Xcode takes for which device or simulator."""

from __future__ import annotations

import plistlib

FOLDER = "MbertKernels.xcframework"
HEADERS = "Headers"
# The module has a folder: Xcode copies the headers of all XCFrameworks to one place, where two module maps collide.
MODULE = f"{HEADERS}/MbertKernels"

_VARIANTS = {
    "ios-arm64": (["arm64"], None),
    "ios-arm64_x86_64-simulator": (["arm64", "x86_64"], "simulator"),
}


def info_plist(libraries: dict[str, str]) -> bytes:
    """Returns the property list; `libraries` are file names by identifier, such as `ios-arm64`."""
    available = []
    for identifier, name in libraries.items():
        processors, variant = _VARIANTS[identifier]
        entry = {
            "LibraryIdentifier": identifier,
            "LibraryPath": name,
            "BinaryPath": name,
            "HeadersPath": HEADERS,
            "SupportedArchitectures": processors,
            "SupportedPlatform": "ios",
        }
        available.append(entry | ({"SupportedPlatformVariant": variant} if variant else {}))
    content = {"AvailableLibraries": available, "CFBundlePackageType": "XFWK", "XCFrameworkFormatVersion": "1.0"}
    return plistlib.dumps(content)
