"""aarch64 under qemu-user: what models say there, and how many instructions they take; never their time."""
