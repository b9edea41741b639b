// Opens a model with mbert's native kernels. onnxruntime finds the library by its name, among those of the app.
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession

fun openWithKernels(model: String): OrtSession {
    val options = OrtSession.SessionOptions()
    options.registerCustomOpLibrary("libmbert_kernels.so")
    return OrtEnvironment.getEnvironment().createSession(model, options)
}
