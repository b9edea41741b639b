"""Azure: models that a server runs. It takes no node of a MobileBERT, but most wheels list it."""

from perf.providers.provider import Needs, Provider

AZURE = Provider(
    name="azure",
    ort_name="AzureExecutionProvider",
    runs_on="a server",
    package="onnxruntime",
    how="It is in onnxruntime's wheels for Linux and Windows.",
    needs=Needs(precisions=()),
)
