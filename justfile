# Shortcuts for `just`; each line can also be typed by hand.

# List the recipes
default:
    @just --list

# Format the code
fmt:
    cargo fmt --all

# Formatting, clippy, module order
lint:
    .ci/run lints

# All tests, as this user
test:
    cargo test --workspace

# Everything that must hold before a change goes in
ci *PARTS:
    .ci/run {{PARTS}}

# Tests on other kernels, under qemu
kernels *ARGS:
    cargo xtask kernels {{ARGS}}

# Benchmark
bench:
    cargo xtask bench

# Manual pages and completion scripts, after a change to switches or help
package:
    cargo xtask package
