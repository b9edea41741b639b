"""Models on emulated aarch64 processors (qemu-user): their outputs and their instruction counts, never their times."""
