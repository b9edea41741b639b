"""WebGPU: any GPU that Vulkan, Metal or Direct3D 12 reaches."""

from perf.providers.provider import Needs, Provider

WEBGPU = Provider(
    name="webgpu",
    ort_name="WebGpuExecutionProvider",
    runs_on="GPUs",
    package="onnxruntime-ep-webgpu",
    how="pip install onnxruntime-ep-webgpu; where there is no GPU, ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER=1 and "
    "VK_ICD_FILENAMES name a Vulkan in software.",
    needs=Needs(precisions=("fp32", "fp16")),
    plugin="onnxruntime_ep_webgpu",
)
