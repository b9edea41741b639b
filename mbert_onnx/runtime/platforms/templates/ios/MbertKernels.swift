// Opens a model with mbert's native kernels, which are a part of the app.
import MbertKernels
import OnnxRuntimeBindings // of onnxruntime's Swift package; with CocoaPods: onnxruntime_objc

func openWithKernels(model: String, env: ORTEnv) throws -> ORTSession {
    let options = try ORTSessionOptions()
    try options.registerCustomOps(functionPointer: mbert_kernels_register)
    return try ORTSession(env: env, modelPath: model, sessionOptions: options)
}
