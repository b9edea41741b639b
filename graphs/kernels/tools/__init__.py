"""Programs that measure the native kernels: a profile, and a count of instructions under an emulator."""
