"""Fingerprint of a graph's structure, which ignores the names and the order of its nodes."""

from __future__ import annotations

import hashlib

import onnx_ir as ir

GRAPHS = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)


def signature(model: ir.Model) -> bytes:
    """Returns a digest of inputs, outputs and the computation between them; of functions, only their names count."""
    graph = model.graph
    known: dict[ir.Value | None, bytes] = {None: b""}
    for index, value in enumerate(graph.inputs):
        default = _constant(value) if value.is_initializer() else b""
        known[value] = _digest(b"input", str(index), _text(value.name, value.dtype, value.shape), default)
    _know_inputs_of_bodies(graph, known)
    return _digest(
        *(f"{domain} {version}" for domain, version in sorted(model.opset_imports.items())),
        *(f"{key}" for key in sorted(map(str, model.functions))),
        *(_of(value, known) for value in graph.inputs),
        *(_of(value, known) + _text(value.name, value.dtype, value.shape) for value in graph.outputs),
    )


def _know_inputs_of_bodies(graph: ir.Graph, known: dict[ir.Value | None, bytes], depth: int = 1) -> None:
    """Gives inputs of the bodies of If, Loop and Scan digests of their depth and position."""
    for node in graph:
        for body in _bodies(node):
            for index, value in enumerate(body.inputs):
                known[value] = _digest(b"body", str(depth), str(index))
            _know_inputs_of_bodies(body, known, depth + 1)


def _of(value: ir.Value | None, known: dict[ir.Value | None, bytes]) -> bytes:
    """Returns the digest of a value from those of its node's inputs, without recursion, since graphs are deep."""
    waiting = [value]
    while waiting:
        current = waiting[-1]
        if current in known:
            waiting.pop()
            continue
        assert current is not None
        node = current.producer()
        if node is None or (node.op_type == "Constant" and node.domain == ""):
            known[current] = _constant(current)
            continue
        results = [x for body in _bodies(node) for x in body.outputs]
        missing = [x for x in (*node.inputs, *results) if x not in known]
        if missing:
            waiting += missing
            continue
        attributes = sorted((name, _attribute(a)) for name, a in node.attributes.items())
        inputs = [known[x] for x in (*node.inputs, *results)]
        for index, output in enumerate(node.outputs):
            known[output] = _digest(node.domain, node.op_type, str(index), *map(str, attributes), *inputs)
    return known[value]


def _constant(value: ir.Value) -> bytes:
    node = value.producer()
    # onnx_ir reads no sparse constants.
    is_sparse = node is not None and "sparse_value" in node.attributes
    tensor = None if is_sparse else ir.convenience.get_const_tensor(value)
    if tensor is None:
        return _digest(b"outer", str(value.name))
    return _digest(str(tensor.dtype), str(list(tensor.shape)), tensor.tobytes())


def _bodies(node: ir.Node) -> list[ir.Graph]:
    attributes = [attribute for _, attribute in sorted(node.attributes.items())]
    found = [[a.value] if a.type == ir.AttributeType.GRAPH else list(a.value) for a in attributes if a.type in GRAPHS]
    return [body for bodies in found for body in bodies]


def _attribute(attribute: ir.Attr) -> str:
    if attribute.type in GRAPHS:
        return ""  # its results count as inputs of the node
    if attribute.type == ir.AttributeType.TENSOR:
        tensor = attribute.as_tensor()
        return _digest(str(tensor.dtype), str(list(tensor.shape)), tensor.tobytes()).hex()
    value = attribute.value
    return str(list(value) if isinstance(value, (tuple, list)) else value)


def _text(*parts: object) -> bytes:
    return " ".join(map(str, parts)).encode()


def _digest(*parts: bytes | str) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.digest()
