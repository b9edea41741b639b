"""Prints the entities in a text. A text file of mbert-onnx takes UTF-8 bytes, so onnxruntime is all that it needs.

python entities.py BUNDLE "Ada Lovelace wrote the first program in London."
"""

import json
import sys

import numpy as np
import onnxruntime

bundle, text = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.log_severity_level = 3  # errors only: at each optional input, onnxruntime warns that it has a default
session = onnxruntime.InferenceSession(f"{bundle}/onnx/model_text.onnx", options, providers=["CPUExecutionProvider"])
names = json.loads(session.get_modelmeta().custom_metadata_map["entities"])

utf8 = text.encode()
feeds = {"text": np.frombuffer(utf8, np.uint8), "max_length": np.array([512], np.int64)}
found = session.run(["entity_scores", "entities", "entity_spans"], feeds)
for score, entity, (start, end) in zip(*found, strict=True):
    print(f"{score:.4f} {names[entity]} {utf8[start:end].decode()}")
