//! Chooses the dispatch form: see `src/engine.rs`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Sibling calls are turned into jumps by the optimiser only.
    if std::env::var("OPT_LEVEL").is_ok_and(|level| level != "0") {
        println!("cargo::rustc-cfg=ruse_threaded");
    }
}
