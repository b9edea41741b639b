// Registration of the kernels with onnxruntime.
#pragma once

namespace mbert {

// Releases the domains of all onnxruntimes in the process, when this library is unloaded.
void release_domains();

}  // namespace mbert
