#!/bin/sh
# Runs a command without address randomisation, where that is allowed: the sanitizers of clang 14
# cannot find room for their shadow memory on kernels with vm.mmap_rnd_bits above 28.
setarch -R true 2>/dev/null && exec setarch -R "$@"
exec "$@"
