//! Compiles the kernels' own text for the processor, and what runs it.

const KERNELS: [&str; 2] = ["../forward.cu", "../resident.cu"];
const HEADERS: [&str; 4] = ["../common.cuh", "../layout.cuh", "run.h", "words.h"];

fn main() {
    for file in KERNELS.into_iter().chain(HEADERS).chain(["run.cpp", "tests/meetings.cu"]) {
        println!("cargo:rerun-if-changed={file}");
    }
    let mut build = cc::Build::new();
    // Products and sums stay apart where the text has them apart, as they do on the device.
    build.cpp(true).std("c++17").opt_level(2).flag("-ffp-contract=off").flag("-Wno-unknown-pragmas");
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("fma") && std::env::var("HOST") == std::env::var("TARGET") {
        // The same bits as libm's, without a call for each.
        build.flag("-mfma");
    }
    build.clone().file("run.cpp").compile("weir_emulator");
    // Kernels enter themselves into a table before `main`: a linker that only takes what is named would leave them out.
    build.flag("-include").flag("words.h").flag("-xc++").files(KERNELS).file("tests/meetings.cu").link_lib_modifier("+whole-archive");
    build.compile("weir_kernels");
}
