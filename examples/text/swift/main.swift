// Not run here: the parser tree-sitter-swift 0.7.4 accepts it; the calls were compared with onnxruntime's documentation.
// Prints the labels of a text. A text file of mbert-onnx takes UTF-8 bytes, so onnxruntime is all that it needs.
// swift run Classify BUNDLE "A warm, funny and deeply moving film."

import Foundation
import OnnxRuntimeBindings

let bundle = CommandLine.arguments[1]
let bytes = Array(CommandLine.arguments[2].utf8)
let names = try String(contentsOfFile: bundle + "/labels.txt", encoding: .utf8).components(separatedBy: "\n")

func tensor<T>(_ values: [T], _ type: ORTTensorElementDataType) throws -> ORTValue {
    let data = NSMutableData(bytes: values, length: values.count * MemoryLayout<T>.stride)
    return try ORTValue(tensorData: data, elementType: type, shape: [NSNumber(value: values.count)])
}

func values<T>(_ output: ORTValue?, _ type: T.Type) throws -> [T] {
    try (output!.tensorData() as Data).withUnsafeBytes { Array($0.bindMemory(to: type)) }
}

let env = try ORTEnv(loggingLevel: .error)
let session = try ORTSession(env: env, modelPath: bundle + "/onnx/model_text.onnx", sessionOptions: nil)
let found = try session.run(
    withInputs: ["text": tensor(bytes, .uInt8), "max_length": tensor([Int64(512)], .int64)],
    outputNames: ["labels", "scores"], runOptions: nil)
let scores = try values(found["scores"], Float.self)
for (label, score) in zip(try values(found["labels"], Int64.self), scores) {
    print(String(format: "%.4f", score), names[Int(label)])
}
