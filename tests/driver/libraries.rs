//! Libraries in the place of NVIDIA's driver, built here: one that only pretends, one that runs the kernels, one that lacks nearly everything.

use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A file of this crate.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Compiles `text` to an object.
fn compile(compiler: &str, flags: &[&str], text: &Path, object: &Path) {
    let compiled = Command::new(compiler).args(["-c", "-fPIC", "-O2"]).args(flags).arg(text).arg("-o").arg(object).output();
    let compiled = compiled.expect("a compiler");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
}

/// Links objects to a library, under the names by which loaders look for it.
fn link(folder: &Path, objects: &[PathBuf]) {
    let flags = ["-shared", "-pthread", "-Wl,-soname,libcuda.so.1", "-o"];
    let linked = Command::new("c++").args(flags).arg(folder.join("libcuda.so.1")).args(objects).output().expect("a linker");
    assert!(linked.status.success(), "{}", String::from_utf8_lossy(&linked.stderr));
    std::fs::copy(folder.join("libcuda.so.1"), folder.join("libcuda.so")).unwrap();
}

/// Folders with libraries, gone at the end.
pub struct Libraries(TempDir);

impl Libraries {
    pub fn new() -> Libraries {
        Libraries(tempfile::tempdir().unwrap())
    }

    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.0.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// A driver that only pretends: a launch adds to bytes.
    pub fn pretended(&self) -> PathBuf {
        let folder = self.folder("pretended");
        let object = folder.join("libcuda.o");
        compile("cc", &[], &file("tests/driver/libcuda.c"), &object);
        link(&folder, &[object]);
        folder
    }

    /// One that lacks nearly everything.
    pub fn hollow(&self) -> PathBuf {
        let folder = self.folder("hollow");
        let (text, object) = (folder.join("hollow.c"), folder.join("hollow.o"));
        std::fs::write(&text, "int cuInit(unsigned flags) { return flags; }\n").unwrap();
        compile("cc", &[], &text, &object);
        link(&folder, &[object]);
        folder
    }

    /// One that runs the kernels, under the emulator.
    pub fn emulating(&self) -> PathBuf {
        let folder = self.folder("emulating");
        let object = |name: &str| folder.join(format!("{name}.o"));
        let words = file("kernels/emulator/words.h");
        let mut flags = vec!["-std=c++17", "-ffp-contract=off", "-Wno-unknown-pragmas", "-include", words.to_str().unwrap(), "-xc++"];
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("fma") {
            // The same bits as libm's, without a call for each.
            flags.push("-mfma");
        }
        compile("cc", &[], &file("tests/driver/libcuda.c"), &object("libcuda"));
        compile("c++", &["-std=c++17"], &file("kernels/emulator/run.cpp"), &object("run"));
        for kernel in ["forward", "resident"] {
            compile("c++", &flags, &file(&format!("kernels/{kernel}.cu")), &object(kernel));
        }
        link(&folder, &["libcuda", "run", "forward", "resident"].map(object));
        folder
    }
}
