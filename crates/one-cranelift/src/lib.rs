//! Nothing but dependencies, so that Cranelift is compiled once.
//!
//! cargo chooses the features of a shared crate by the packages that are built
//! together. `cargo test -p aot-compiler` and `cargo test --workspace` so want two
//! builds of, say, `smallvec`, and with it two of Cranelift, of some minutes each.
//! This package asks for the larger choice wherever the compiler is. The build
//! dependencies do the same for what procedural macros below Cranelift share.
//!
//! Whether it still holds, tells one line with one path:
//!
//! ```sh
//! for p in "-p aot-compiler" "-p farrier" "-p farrier-gateway" --workspace; do
//!   cargo build $p --message-format=json | grep -o '"[^"]*libcranelift_codegen-[^"]*rlib'
//! done | sort -u
//! ```
