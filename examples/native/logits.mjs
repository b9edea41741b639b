// Run a bundle's question-answering model in Node, with the native kernels or without.
//
//   ONNXRUNTIME_NODE_INSTALL=skip npm install
//   node logits.mjs BUNDLE/onnx/model_int8.onnx libmbert_kernels.so 101 2040 102    (token ids)
//   node logits.mjs BUNDLE/onnx/model_int8.onnx - 101 2040 102                      (without the kernels)
//
// ONNXRUNTIME_NODE_INSTALL=skip: onnxruntime-node's CPU library is in its package, and its install script would download
// CUDA's, which is large and not used here; without a network the installation would fail.
//
// `mbert-onnx kernels` prints the path of the library. onnxruntime-node has no call that registers a library of operators,
// so this program calls the C API of onnxruntime-node's own library.

import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import koffi from "koffi";

const [model, kernels, ...ids] = process.argv.slice(2);
if (ids.length === 0) {
  console.error("usage: logits.mjs MODEL LIBRARY|- ID...");
  process.exit(2);
}

const names = { linux: "libonnxruntime.so.1", darwin: "libonnxruntime.1.dylib", win32: "onnxruntime.dll" };
const node = dirname(dirname(createRequire(import.meta.url).resolve("onnxruntime-node")));
const file = join(node, "bin", "napi-v6", process.platform, process.arch, names[process.platform]);

// OrtApi is a table of function pointers; the index of a function never changes.
koffi.proto("const void *GetApi(uint32_t version)");
koffi.struct("OrtApiBase", { GetApi: "GetApi *", GetVersionString: "void *" });
const base = koffi.load(file).func("OrtApiBase *OrtGetApiBase()")();
const api = koffi.call(koffi.decode(base, "OrtApiBase").GetApi, "GetApi", 17);
const entry = (index, prototype) => {
  const type = koffi.proto(prototype);
  const pointer = koffi.decode(api, index * koffi.sizeof("void *"), koffi.pointer(type));
  return (...given) => koffi.call(pointer, type, ...given);
};

const GetErrorMessage = entry(2, "const char *GetErrorMessage(void *status)");
const checked = (index, prototype) => {
  const call = entry(index, prototype);
  return (...given) => {
    const status = call(...given);
    if (!status) return;
    console.error(`logits: ${GetErrorMessage(status)}`);
    process.exit(1);
  };
};
const CreateEnv = checked(3, "void *CreateEnv(int severity, const char *name, _Out_ void **env)");
// Paths are UTF-16 on Windows.
const path = process.platform === "win32" ? "const char16_t *" : "const char *";
const CreateSession = checked(7, `void *CreateSession(void *env, ${path}model, void *options, _Out_ void **session)`);
const Run = checked(
  9,
  "void *Run(void *session, void *run, const char **inputs, void **given, size_t n, const char **outputs, size_t m, " +
    "_Inout_ void **found)",
);
const CreateSessionOptions = checked(10, "void *CreateSessionOptions(_Out_ void **options)");
const CreateTensor = checked(
  49,
  "void *CreateTensor(void *memory, void *data, size_t bytes, const int64_t *shape, size_t rank, int type, _Out_ void **value)",
);
const GetTensorData = checked(51, "void *GetTensorData(void *value, _Out_ void **data)");
const CreateCpuMemoryInfo = checked(69, "void *CreateCpuMemoryInfo(int allocator, int type, _Out_ void **memory)");
const RegisterCustomOpsLibrary = checked(228, `void *RegisterCustomOpsLibrary_V2(void *options, ${path}library)`);
const ReleaseSession = entry(95, "void ReleaseSession(void *session)");

const create = (call, ...given) => {
  const out = [null];
  call(...given, out);
  return out[0];
};
const INT64 = 7, ERROR = 3, ARENA = 1, DEFAULT = 0;
const env = create(CreateEnv, ERROR, "logits");
const options = create(CreateSessionOptions);
if (kernels !== "-") RegisterCustomOpsLibrary(options, kernels);
const session = create(CreateSession, env, model, options);
const memory = create(CreateCpuMemoryInfo, ARENA, DEFAULT);

const rows = [ids.map(BigInt), ids.map(() => 1n), ids.map(() => 0n)].map((row) => BigInt64Array.from(row));
const shape = [1, ids.length];
const given = rows.map((row) => create(CreateTensor, memory, row, row.byteLength, shape, shape.length, INT64));
const outputs = ["start_logits", "end_logits"];
const found = [null, null];
Run(session, null, ["input_ids", "attention_mask", "token_type_ids"], given, given.length, outputs, outputs.length, found);
for (const [number, value] of found.entries()) {
  const logits = koffi.decode(create(GetTensorData, value), "float", ids.length);
  console.log(outputs[number], ...logits);
}
ReleaseSession(session); // and its threads, which would keep the process alive
process.exit(0);
