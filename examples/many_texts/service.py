"""Service that classifies lists of texts over HTTP: one model for all threads.

pip install mbert-onnx fastapi uvicorn
MODEL=reference uvicorn service:app
curl localhost:8000/classify -H 'Content-Type: application/json' -d '["A warm, funny film.", "Dull."]'
"""

import os
from typing import Any

from fastapi import FastAPI

import mbert_onnx

app = FastAPI()
model = mbert_onnx.load(os.environ.get("MODEL", "reference"), threads=1)


@app.post("/classify")
def classify(texts: list[str]) -> list[dict[str, Any]]:  # without async: FastAPI calls it in a thread
    results = model.try_many(texts)
    return [{"error": str(one)} if isinstance(one, mbert_onnx.MbertError) else one.as_dict() for one in results]
