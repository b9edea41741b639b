"""Loading of a bundle into an onnxruntime session: provider, threads, and native kernels."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime as ort

from mbert_onnx.bundles.inputs import first_line
from mbert_onnx.bundles.ports import named_session
from mbert_onnx.bundles.reader import Bundle, find_text_file, read_bundle
from mbert_onnx.bundles.session_errors import session_error
from mbert_onnx.errors import BundleError, MbertError, UsageError
from mbert_onnx.errors.requirements import require_beside
from mbert_onnx.reference import is_reference
from mbert_onnx.runtime.model import Model
from mbert_onnx.runtime.native_kernels import AUTO, library_for, log_portable_run, why_not_native
from mbert_onnx.runtime.reference_graph import with_optimized_graph
from mbert_onnx.runtime.size_limits import check_threads
from mbert_onnx.runtime.text_files.model import TextFileModel

CPU = "CPUExecutionProvider"
# onnxruntime's severity of errors: its warnings are for the author of a graph, not for its user.
ORT_LOG_ERRORS = 3


def load(
    bundle: Bundle | str | Path,
    *,
    threads: int | None = None,
    provider: str = CPU,
    provider_options: Mapping[str, Any] | None = None,
    session_options: ort.SessionOptions | None = None,
    kernels: str = AUTO,
) -> Model:
    """Loads a bundle as a model that answers texts.

    Args:
        bundle: The bundle, or its path: its folder, which stands for its float32 file if it has one; or the path of one
            of its `.onnx` files; or a text file, which needs no bundle around it; or a built-in model, `reference` or
            `reference:embed`, whose graph is optimized once into the user's cache.
        threads: How many threads one answer may use; default: onnxruntime's choice.
        provider: The execution provider. The CPU runs the nodes that it does not take.
        provider_options: Of the provider.
        session_options: Replaces the default options of the session, such as with a library of custom operators.
        kernels: `auto` uses the native kernels if they are installed and can run the file, unless there are
            `session_options`; `native` requires them; `portable` never uses them.

    Raises:
        BundleError: the bundle cannot be read, or its graph does not have the outputs of its task.
        UsageError: a provider that this onnxruntime lacks, `threads` outside of 1 to 1,024, or `native` without native
            kernels.
    """
    library = library_for(kernels)
    built_in = str(bundle) if not isinstance(bundle, Bundle) and is_reference(bundle) else None
    text_file = find_text_file(bundle.model_path if isinstance(bundle, Bundle) else bundle)
    if not isinstance(bundle, Bundle) and text_file is None:
        bundle = read_bundle(bundle)
    if threads is not None:
        check_threads(threads)
    available = ort.get_available_providers()
    if provider not in available:
        raise UsageError(
            f"This onnxruntime has no {provider}, only {', '.join(available)}. Name one of those, or install its build."
        )
    if text_file is not None:
        path = text_file
    else:
        assert isinstance(bundle, Bundle)
        bundle = bundle if built_in is None else with_optimized_graph(bundle, built_in)
        path = bundle.model_path
    providers: list[Any] = [(provider, dict(provider_options or {}))]
    if provider != CPU:
        providers.append(CPU)
    if kernels == AUTO and library is not None and (reason := _why_portable(provider, session_options)):
        log_portable_run(path, reason)
        library = None

    def opened(library: Path | None) -> ort.InferenceSession:
        options = session_options or _quiet_options()
        # Weights that the kernels pack are in memory once only if they are mapped.
        is_mapped = library is not None and provider == CPU and session_options is None
        return _session(path, options, providers, threads, library, is_mapped=is_mapped)

    try:
        try:
            session = opened(library)
        except Exception:
            reason = None
            if library is not None:
                # Asked only now, since it takes reading the whole file. Where that fails, onnxruntime's error says why.
                with contextlib.suppress(MbertError):
                    reason = why_not_native(path)
            if reason is None:
                raise
            if kernels != AUTO:
                raise BundleError(
                    f"the native kernels compute no block of {path}: {reason}; pass --kernels auto"
                ) from None
            log_portable_run(path, reason)
            session = opened(None)
    except BundleError:
        raise
    except Exception as error:  # onnxruntime's exceptions have no common base class
        if isinstance(bundle, Bundle) and built_in is not None and not path.is_relative_to(bundle.folder):
            reason = first_line(error).rstrip(".")
            raise BundleError(f"onnxruntime cannot load {path} ({reason}); delete it: it is created again") from error
        raise BundleError(session_error("load", str(path), error)) from error
    if text_file is not None:
        return TextFileModel(path, session)
    assert isinstance(bundle, Bundle)
    return Model(bundle, named_session(session, path))


def run(
    bundle: Bundle | str | Path,
    text: Any,
    *,
    threads: int | None = None,
    provider: str = CPU,
    kernels: str = AUTO,
    **arguments: Any,
) -> Any:
    """Loads a bundle and answers one text: `load`, then `Model.run` with the `arguments`. For more texts, load once."""
    return load(bundle, threads=threads, provider=provider, kernels=kernels).run(text, **arguments)


def _why_portable(provider: str, session_options: ort.SessionOptions | None) -> str | None:
    """Returns why a file is loaded without the installed kernels, or None if it is loaded with them."""
    if provider != CPU:
        return f"{provider} computes the bodies itself"
    if session_options is not None:
        # The same options may open other sessions, and the library must not be registered twice.
        return "session_options are given; call register_custom_ops_library on them"
    return None


def _quiet_options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = ORT_LOG_ERRORS
    return options


def _session(
    path: Path,
    options: ort.SessionOptions,
    providers: list[Any],
    threads: int | None,
    library: Path | None,
    *,
    is_mapped: bool,
) -> ort.InferenceSession:
    if threads is not None:
        options.intra_op_num_threads = threads
    if library is not None:
        options.register_custom_ops_library(str(library))
    if is_mapped:
        with contextlib.suppress(MbertError):  # a model also runs without `perf`
            require_beside("perf")
            from perf.sessions.runtimes.mapping.mapped_weights import open_mapped

            return open_mapped(path, options, providers=providers)
    return ort.InferenceSession(str(path), options, providers=providers)
