// The path of mbert's native kernels for this system and processor. onnxruntime-node has no call that registers them;
// a program calls the C API of its library: register(options, base) returns null, or an OrtStatus. koffi calls C.
import { fileURLToPath } from "node:url";

const names = { linux: "libmbert_kernels.so", darwin: "libmbert_kernels.dylib", win32: "mbert_kernels.dll" };
const file = `./prebuilds/${process.platform}-${process.arch}/${names[process.platform]}`;
export const library = fileURLToPath(new URL(file, import.meta.url));

export async function register(options, base) {
  const { default: koffi } = await import("koffi");
  return koffi.load(library).func("void *RegisterCustomOps(void *options, const void *base)")(options, base);
}
