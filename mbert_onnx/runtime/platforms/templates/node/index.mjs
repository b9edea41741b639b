// The path of mbert's native kernels for this system and processor. onnxruntime-node has no call that registers them;
// a program calls the C API of its library: register(options, base) returns null, or an OrtStatus. koffi calls C.
import { fileURLToPath } from "node:url";

const names = { linux: "libmbert_kernels.so", darwin: "libmbert_kernels.dylib", win32: "mbert_kernels.dll" };
const name = Object.hasOwn(names, process.platform) && ["x64", "arm64"].includes(process.arch) && names[process.platform];
if (!name) {
  const found = `mbert-kernels has no library for ${process.platform}-${process.arch}`;
  throw new Error(`${found}; expected Linux, macOS or Windows on x64 or arm64: run the model without the kernels`);
}
export const library = fileURLToPath(new URL(`./prebuilds/${process.platform}-${process.arch}/${name}`, import.meta.url));

export async function register(options, base) {
  const { default: koffi } = await import("koffi");
  return koffi.load(library).func("void *RegisterCustomOps(void *options, const void *base)")(options, base);
}
