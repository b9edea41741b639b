"""The classes of typer's group and commands: plain help, and errors in one line.

Help is plain text and not rich's panels, and it is printed before options are parsed: rich and pydantic, which typer
loads for that, would more than double its time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

import mbert_onnx
from mbert_onnx.cli.errors import fail, guarded
from mbert_onnx.cli.signals import INTERRUPTED

PROGRAM = "mbert-onnx"
HELP = "--help"

STANDARD_OUTPUT = "-"

# Stands for a hyphen while lines are broken.
UNBROKEN_HYPHEN = "\u2011"

# Metavars of the arguments and options that name a file, a folder or a model.
PATHS = {"CHECKPOINT", "DIR", "FILE", "FILE_OR_FOLDER", "FOLDER", "MODEL", "PATH", "RECIPE", "RESULT"}

# Metavars of options that take a name, or names with commas.
NAMES = {"COLUMN", "DEVICE", "LAYER,...", "NAME", "NAME,...", "PASS,...", "SPLIT", "TASK"}

# Those of the paths that libraries open by their name, so that it cannot be a pipe.
MODELS = {"CHECKPOINT", "FILE_OR_FOLDER", "MODEL", "RECIPE"}
# Parameters whose path is written.
OUTPUTS = {"output", "json_file", "html", "plot", "leaderboard"}


class Command(TyperCommand):
    """A command whose help has a section for each group of options (`rich_help_panel`)."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given, _, _ = self.make_parser(ctx).parse_args(args=[*args])
        paths: list[tuple[Any, str]] = []
        for parameter in self.params:
            value = given.get(parameter.name or "")
            if HELP in args:
                continue
            values = [one for one in (value if isinstance(value, list | tuple) else [value]) if isinstance(one, str)]
            if parameter.metavar in PATHS:
                paths += [(parameter, path) for path in values]
            elif parameter.metavar in NAMES:
                _check_names(parameter, values)
        for parameter, path in paths:
            _check_path(parameter, path)
        for parameter, path in paths:
            if parameter.name in OUTPUTS:
                _check_output(parameter, path, [pair for pair in paths if pair[0] is not parameter])
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        # typer writes {MODEL}... for what is MODEL... everywhere else.
        return [piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)]

    def get_short_help_str(self, limit: int = 45) -> str:
        # The whole first sentence; typer would cut it off at the end of the line.
        return _unbroken(" ".join((self.help or "").split("\n\n")[0].split()))

    def get_help(self, ctx: Any) -> str:
        return super().get_help(ctx).replace(UNBROKEN_HYPHEN, "-")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                name, text = record[0], _unbroken(record[1])
                if parameter.param_type_name == "argument":
                    sections["Arguments"].append((name.split()[0], text))  # without the type, such as <list[str]>
                else:
                    title = getattr(parameter, "rich_help_panel", None) or "Options"
                    sections.setdefault(title, []).append((name, text))
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class CommandGroup(TyperGroup):
    """All commands. Each exception becomes one line and an exit code, see `mbert_onnx.cli.errors`."""

    def get_help(self, ctx: Any) -> str:
        return super().get_help(ctx).replace(UNBROKEN_HYPHEN, "-")

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        code = guarded(lambda: self._main(args, complete_var, windows_expand_args, **extra))
        if standalone_mode or code:
            sys.exit(code)

    def invoke(self, ctx: Any) -> Any:
        # Here, too: typer's main() would turn an interrupt and a closed pipe into an exit code without a line.
        code = guarded(lambda: _without_typers_errors(super(CommandGroup, self).invoke, ctx))
        if code:
            raise SystemExit(code)

    def _main(self, args: Sequence[str] | None, *settings: Any, **extra: Any) -> None:
        given = list(sys.argv[1:] if args is None else args)
        for argument in given:
            if not argument.isprintable() and not _is_utf8(argument):
                fail(f"the argument {argument!r} is not valid UTF-8; {_utf8_advice(argument)}", 2)
        if given[-1:] == [HELP] and len(given) < 3 and (given[0] == HELP or given[0] in self.commands):
            print("\n".join(line.rstrip() for line in self._help(given[0]).splitlines()))
            return
        _without_typers_errors(super().main, args, PROGRAM, settings[0], False, settings[1], **extra)

    def _help(self, name: str) -> str:
        context = self.context_class(self, info_name=PROGRAM)
        if name == HELP:
            return self.get_help(context)
        command = self.commands[name]
        return command.get_help(command.context_class(command, info_name=name, parent=context))


def _check_path(parameter: Any, path: str) -> None:
    """Refuses paths that libraries read wrongly or with a misleading error; others are left to the commands."""
    if path == "":
        # It would be the current folder, such as for a variable that a script has not set.
        raise mbert_onnx.UsageError(f"{_name(parameter)} is empty; expected a path or a name")
    if parameter.name in OUTPUTS or not os.path.lexists(path):
        return
    place = Path(path)
    if place.is_symlink() and not place.exists():
        target = place.readlink()
        raise mbert_onnx.BundleError(f"{path} is a link to {target}, which leads to no file; give the file itself")
    if parameter.metavar in MODELS and not (place.is_file() or place.is_dir()):
        raise mbert_onnx.BundleError(f"{path} is neither a file nor a folder, but a pipe or device; give a file")


def _check_names(parameter: Any, values: Sequence[str]) -> None:
    """Refuses an option without a name, such as for a variable that a script has not set: it is not the default."""
    for value in values:
        if not value.replace(",", " ").strip():
            raise mbert_onnx.UsageError(
                f"{_name(parameter)} is {value!r}, which has no name; give one, or leave it out"
            )


def _check_output(parameter: Any, path: str, others: Sequence[tuple[Any, str]]) -> None:
    """Refuses outputs that would replace a device or a file of the same command: outputs are renamed into place."""
    name = _name(parameter)
    if path == STANDARD_OUTPUT:
        raise mbert_onnx.UsageError(f"{name} is -, and results are written to a path only; give one")
    place = Path(path)
    if place.exists() and not (place.is_file() or place.is_dir()):
        raise mbert_onnx.UsageError(f"{name} is {path}, a pipe or device, which would be replaced; give another path")
    if parameter.name == "output":  # compared by export and optimize, which know all of their files
        return
    for other, read in others:
        if any(_is_same(path, one) for one in (read, read.partition(":")[2])):  # also for `native:MODEL`
            raise mbert_onnx.UsageError(f"{name} is {path}, as {_name(other)} is; choose another path for it")


def _is_same(path: str, other: str) -> bool:
    return bool(other) and os.path.realpath(path) == os.path.realpath(other)


def _wrong_value(parameter: Any, fault: Mapping[str, Any]) -> str:
    """Describes a value that is no number, or out of range; pydantic's message would not name it."""
    least, most = getattr(parameter, "min", None), getattr(parameter, "max", None)
    kind = next(
        (text for word, text in (("int", "a whole number"), ("float", "a number")) if word in fault["type"]), ""
    )
    if most is not None:
        expected = ", ".join(part for part in (kind, f"{least or 0:,} to {most:,}") if part)
    elif least is not None:
        expected = f"{kind or 'a whole number'} from {least:,} on"
    else:
        expected = kind or str(fault["msg"])
    return f"{_name(parameter)} is {fault['input'] or repr(fault['input'])}; expected {expected}"


def _name(parameter: Any) -> str:
    """Returns an option's long name, or an argument's metavar."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar)
    return str(max(parameter.opts, key=len))


def _unbroken(text: str) -> str:
    """Returns text whose lines are not broken at hyphens, such as those of options and tasks."""
    return text.replace("-", UNBROKEN_HYPHEN)


def _is_utf8(argument: str) -> bool:
    """Returns whether Python could decode the argument; onnxruntime, torch and ONNX take no other names."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


def _utf8_advice(argument: str) -> str:
    """Returns what to do about an argument that Python could not decode."""
    try:
        os.fsencode(argument).decode("utf-8")
    except UnicodeDecodeError:
        return "rename the file or folder, or correct the text"
    return "the locale has another encoding: set PYTHONUTF8=1"


def _without_typers_errors(action: Any, *args: Any, **options: Any) -> None:
    """Calls `action`; usage errors of typer become one line, and its Exit a SystemExit."""
    try:
        code = action(*args, **options)
        # typer's main() returns the code of an Exit, which it also makes of an interrupt outside of commands.
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        if isinstance(code, int) and code:
            raise SystemExit(code)
    except typer.Exit as error:
        raise SystemExit(error.exit_code) from None
    except Exception as error:
        message = getattr(error, "format_message", None)  # typer exports no common class of its usage errors
        if message is None:
            raise
        if type(error).__name__ == "NoArgsIsHelpError":
            print(message(), file=sys.stderr)
            raise SystemExit(2) from None
        context, parameter = getattr(error, "ctx", None), getattr(error, "param", None)
        faults = getattr(error.__cause__, "errors", None)  # of pydantic
        if faults is not None and parameter is not None:
            fail(_wrong_value(parameter, faults()[0]), 2)
        see = "" if context is None else f"; see {context.command_path} {HELP}"
        fail(f"{message().rstrip('.')}{see}", getattr(error, "exit_code", 2))
