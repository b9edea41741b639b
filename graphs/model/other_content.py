"""What a file is that is not an ONNX model, from its first bytes, so that the advice fits."""

from __future__ import annotations

from pathlib import Path

# Bytes that are looked at.
READ_BYTES = 512

_STARTS = {
    b"version https://git-lfs": ("a git-lfs pointer and not the model", "fetch it with git lfs pull"),
    b"PK\x03\x04": ("a zip archive, as torch.save and zip write it", "give an .onnx file, or unpack the archive"),
    b"\x1f\x8b": ("gzipped", "unpack it, and give the .onnx file"),
    b"<": ("HTML or XML", "download the .onnx file itself"),
    b"{": ("JSON", "give an .onnx file, or the folder of a bundle"),
    b"[": ("JSON", "give an .onnx file, or the folder of a bundle"),
}


def known_content(path: Path) -> str | None:
    """Returns the line for a file of another kind, such as JSON; None for any other, which may be a damaged model."""
    try:
        with path.open("rb") as file:
            head = file.read(READ_BYTES).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError:
        return None
    for start, (kind, advice) in _STARTS.items():
        if head.startswith(start):
            return f"{path} is not an ONNX model; it is {kind}: {advice}"
    return None


def not_a_model(path: Path, reason: str) -> str:
    """Returns the line for a file that a parser refused for `reason`, with the advice for its kind."""
    if (known := known_content(path)) is not None:
        return known
    if path.suffix != ".onnx":
        return f"{path} is not an ONNX model ({reason}); give an .onnx file, or the folder of a bundle"
    return f"{path} is not an ONNX model, or is corrupt ({reason}); export it again"
