"""Programs that measure the native kernels: a profiler, and an instruction counter for an emulator."""
