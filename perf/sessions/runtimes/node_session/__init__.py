"""Runtimes of WebAssembly under Node.js, which runs them as a browser does: each is an npm package."""

from perf.sessions.runtimes.node_session.session import NodeRuntime

ORT_WEB = NodeRuntime("onnxruntime-web", inlines_functions=True)
MBERT_WEB = NodeRuntime("mbert-onnx-web")
