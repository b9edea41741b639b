"""Colours of the page, light and dark; the reader's system chooses between them (`prefers-color-scheme`)."""

from __future__ import annotations

import re

COLOURS = {
    "ink": ("#1d1d1f", "#ececf0"),
    "muted": ("#55555c", "#a9a9b2"),
    "paper": ("#ffffff", "#17181b"),
    "line": ("#d8d8dc", "#3a3b41"),
    "shade": ("#b4b4bc", "#6a6b74"),
    "warning": ("#fff6e0", "#3a2f14"),
    "warning-edge": ("#d58a00", "#e0a030"),
    "failure": ("#8a2c00", "#f0a080"),
    "grid": ("#e3e3e3", "#303137"),
    "edge": ("#888888", "#85868e"),
    "tick": ("#444444", "#c4c4ca"),
    "roof": ("#555555", "#b8b8be"),
    "roof-2": ("#a05a00", "#e0a050"),
    "roof-3": ("#6a3d9a", "#bfa0e0"),
    "front": ("#b0b0b0", "#606168"),
    "rest": ("#9a9a9a", "#8c8d95"),
    "black": ("#000000", "#f5f5f7"),
    "blue": ("#0072b2", "#4da9e3"),
    "red": ("#d55e00", "#f28a3f"),
    "green": ("#009e73", "#35c79c"),
    "pink": ("#cc79a7", "#e3a0c4"),
    "orange": ("#e69f00", "#f0b840"),
    "sky": ("#56b4e9", "#8fd0f7"),
    "grey": ("#7f7f7f", "#a6a6ab"),
}
"""Each colour's name and its values, light and dark. Charts are drawn with the light ones, which are distinct."""

NAMES = {light: name for name, (light, _) in COLOURS.items()}


def declarations(*, dark: bool) -> str:
    """Returns CSS custom properties, one for each colour: `--ink: #1d1d1f; …`."""
    return " ".join(f"--{name}: {values[dark]};" for name, values in COLOURS.items())


def themed(markup: str) -> str:
    """Replaces the light colours within tags by the page's CSS properties; text stays as it is."""
    return re.sub(r"<[^<>]*>", lambda tag: re.sub(r"#[0-9a-f]{6}", _property, tag[0]), markup)


def _property(colour: re.Match[str]) -> str:
    name = NAMES.get(colour[0])
    return colour[0] if name is None else f"var(--{name})"
