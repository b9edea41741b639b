"""The answers of the tasks, as ONNX functions of the domain `mbert` behind a model: logits become labels or spans.

One function per task, of standard operators only: no Loop, no strings. Each computes what `mbert_onnx.runtime` computes
from the same logits, in float64 as it does; spans are in bytes of UTF-8, where the runtime's are in characters.
"""
