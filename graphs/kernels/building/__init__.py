"""The build of the native kernels: sources, compiler, and what each system's library is made of.

`graphs/kernels/build.py` is its command line and its front. Only the standard library is imported here, because
setup.py builds with it.
"""
