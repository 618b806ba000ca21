//! Devices behind a driver: what is found, what is said where none can be used, and that what is copied arrives. A library of ours takes the
//! driver's place (`libcuda.c`), in processes of its own: a library is loaded once. Where there is a card, it is asked too.

#[path = "../house/mod.rs"]
mod house;
mod libraries;
mod program;

use libraries::Libraries;
use std::path::Path;
use std::process::{Command, Output};
use weir::gnn::DeviceChoice;
use weir::gnn::cuda::{Argument, Device, DeviceError, Driver, Kernel, Missing, look};
use weir::runtime::Backing;

/// Variables of a process.
type Environment<'a> = &'a [(&'a str, &'a str)];

/// This very program with another library, running the one test `name`, whose body knows by the variable that it is meant.
fn with(folder: &Path, name: &str, environment: Environment) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("LD_LIBRARY_PATH", folder)
        .env("WEIR_TEST_WITHIN", name)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn is_within(name: &str) -> bool {
    std::env::var("WEIR_TEST_WITHIN").is_ok_and(|within| within == name)
}

fn succeeded(output: &Output) -> String {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    text
}

/// Says what a choice comes to, and why no other device does; never panics.
fn told() -> String {
    let choice = std::env::var("WEIR_TEST_CHOICE").map_or(DeviceChoice::Auto, |choice| choice.parse().unwrap());
    match Backing::choose(choice) {
        Ok(backing) => format!("took {}, for {}", backing.name(), backing.instead().as_deref().unwrap_or("nothing")),
        Err(error) => error.to_string(),
    }
}

/// Caught when planted: no look for the functions before they are called (it panicked), a capability compared by its major part, and memory
/// that ran out taken for any other error.
#[test]
fn each_machine_is_told_what_it_lacks() {
    const NAME: &str = "each_machine_is_told_what_it_lacks";
    if is_within(NAME) {
        println!("told: {}", told());
        return;
    }
    let libraries = Libraries::new();
    let (pretended, hollow) = (libraries.pretended(), libraries.hollow());
    let cases: [(&Path, Environment, &str); 12] = [
        (&pretended, &[], "took cuda:0 Pretended, for nothing"),
        (&hollow, &[], "took cpu, for found a driver that does not come up (its library has no cuDriverGetVersion)"),
        (&pretended, &[("FAKE_CUDA_DEVICES", "0")], "took cpu, for found a driver and no device"),
        (
            &pretended,
            &[("FAKE_CUDA_INIT", "999")],
            "took cpu, for found a driver that does not come up (CUDA_ERROR_UNKNOWN: as it was told to)",
        ),
        (&pretended, &[("FAKE_CUDA_INIT", "4321")], "took cpu, for found a driver that does not come up (error 4321)"),
        (&pretended, &[("FAKE_CUDA_VERSION", "12040")], "took cpu, for found a driver for CUDA 12.4, expected one for 13.0 or later"),
        (
            &pretended,
            &[("FAKE_CUDA_CAPABILITY", "70")],
            "took cpu, for found cuda:0 Pretended of compute capability 7.0, expected 7.5 or later",
        ),
        (&pretended, &[("FAKE_CUDA_CAPABILITY", "75")], "took cuda:0 Pretended, for nothing"),
        (
            &pretended,
            &[("FAKE_CUDA_FAIL", "cuModuleLoadData=2")],
            "took cpu, for cuda:0 Pretended has no memory left (loading the kernels: ",
        ),
        (&pretended, &[("FAKE_CUDA_FAIL", "cuModuleLoadData=1")], "took cpu, for cuda:0 Pretended refused: loading the kernels: error 1;"),
        (&pretended, &[("FAKE_CUDA_ROOM", "9000000")], "took cpu, for cuda:0 Pretended has no memory left (allocating "),
        (
            &pretended,
            &[("WEIR_TEST_CHOICE", "cuda:1")],
            "cuda:1 is to run forward passes: found one device, cuda:0, expected one that is cuda:1",
        ),
    ];
    for (folder, environment, expected) in cases {
        let text = succeeded(&with(folder, NAME, environment));
        assert!(text.contains(&format!("told: {expected}")), "{environment:?}: {text}");
    }
}

/// Whatever one card fails at, the next is taken, and the log can say why. Whoever asks for the first gets no other. Caught when planted: a
/// card that does not say what it is as the end of looking, as it was; one without room as the end of trying.
#[test]
fn a_card_that_cannot_be_used_hides_no_other() {
    const NAME: &str = "a_card_that_cannot_be_used_hides_no_other";
    if is_within(NAME) {
        println!("told: {}", told());
        return;
    }
    let libraries = Libraries::new();
    let pretended = libraries.pretended();
    let fails = |at: &'static str, words: &'static str| ("FAKE_CUDA_FAIL", at, words);
    let cases = [
        fails("cuDeviceGet=101", "found cuda:0, which does not say what it is (CUDA_ERROR: as it was told to)"),
        fails("cuDeviceGetName=999", "found cuda:0, which does not say what it is (CUDA_ERROR_UNKNOWN: as it was told to)"),
        fails("cuDeviceGetAttribute=4321", "found cuda:0, which does not say what it is (error 4321)"),
        fails("cuDeviceTotalMem_v2=3", "found cuda:0, which does not say what it is (CUDA_ERROR: as it was told to)"),
        ("FAKE_CUDA_CAPABILITY", "61", "found cuda:0 Pretended of compute capability 6.1, expected 7.5 or later"),
        fails("cuDevicePrimaryCtxRetain=2", "cuda:0 Pretended has no memory left (making a context: "),
        fails("cuDevicePrimaryCtxRetain=719", "cuda:0 Pretended refused: making a context: CUDA_ERROR_LAUNCH_FAILED: "),
        fails("cuCtxSetCurrent=201", "cuda:0 Pretended refused: binding the context: "),
        fails("cuStreamCreate=4321", "cuda:0 Pretended refused: making a stream: error 4321"),
        fails("cuModuleLoadData=209", "cuda:0 Pretended refused: loading the kernels: "),
        fails("cuModuleGetFunction=500", "cuda:0 Pretended refused: finding the kernel forward: "),
        fails("cuMemHostAlloc=2", "cuda:0 Pretended has no memory left (pinning memory of the host: "),
        fails("cuMemAlloc_v2=719", "cuda:0 Pretended refused: allocating "),
        ("FAKE_CUDA_ROOM", "9000000", "cuda:0 Pretended has no memory left (allocating "),
    ];
    for (variable, value, why) in cases {
        let said = |devices: &str, choice: &str| {
            let environment = [(variable, value), ("FAKE_CUDA_DEVICES", devices), ("WEIR_TEST_CHOICE", choice)];
            succeeded(&with(&pretended, NAME, &environment))
        };
        let (auto, first, second) = (said("2", "auto"), said("2", "cuda:0"), said("2", "cuda:1"));
        assert!(auto.contains(&format!("told: took cuda:1 Other, for {why}")), "{value}: {auto}");
        assert!(first.contains(&format!("told: cuda:0 is to run forward passes: {why}")), "{value}: {first}");
        assert!(second.contains("told: took cuda:1 Other, for nothing"), "{value}: {second}");
    }
}

/// More than is on its way at once arrives, in order; a device that is lost says so, and goes on saying it. Caught when planted: staging memory
/// that is used again before the copy from it is done, and a read that does not wait.
#[test]
fn what_is_copied_arrives() {
    const NAME: &str = "what_is_copied_arrives";
    if !is_within(NAME) {
        let libraries = Libraries::new();
        let pretended = libraries.pretended();
        succeeded(&with(&pretended, NAME, &[]));
        succeeded(&with(&pretended, NAME, &[("FAKE_CUDA_LOST", "6")]));
        return;
    }
    let seen = look();
    let mut driver = Driver::open(seen.card(0).unwrap(), b"code").unwrap();
    assert_eq!(seen.card(1).err(), Some(Missing::Number { asked: 1, devices: 1 }));
    let bytes: Vec<u8> = (0..21_000_000u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    let buffer = driver.allocate(bytes.len() + 64).unwrap();
    assert!(driver.write(buffer, 65, &bytes).is_err(), "it ends behind the buffer");
    let full = driver.allocate(1 << 30).unwrap_err();
    assert!(matches!(&full, DeviceError::Memory(why) if why.starts_with("allocating 1073741824 bytes: ")), "{full:?}");
    // It changes hands: the thread that it comes to knows nothing of its context.
    let lost = std::thread::spawn(move || {
        for round in 0..3u8 {
            let mut found = vec![0; bytes.len()];
            let adds = [Argument::Buffer(buffer), Argument::Word(buffer.bytes as u32), Argument::Word(1)];
            let mut asked = || {
                driver.write(buffer, 64, &bytes)?;
                for shared_bytes in [0, 48 << 10, 100 << 10] {
                    driver.launch(Kernel::Forward, [7, 1, 1], [128, 2, 1], shared_bytes, &adds)?;
                }
                driver.read(buffer, 64, &mut found)
            };
            match asked() {
                Ok(()) => assert!(found.iter().zip(&bytes).all(|(found, byte)| *found == byte.wrapping_add(3)), "round {round}"),
                Err(why) => {
                    assert!(why.to_string().ends_with("CUDA_ERROR_LAUNCH_FAILED: as it was told to"), "{why}");
                    assert!(asked().is_err(), "it is lost for good");
                    return true;
                }
            }
        }
        let refused = driver.launch(Kernel::Forward, [0, 1, 1], [128, 1, 1], 0, &[]).unwrap_err().to_string();
        assert!(refused.starts_with("launching forward on [0, 1, 1] blocks of [128, 1, 1] with 0 bytes: "), "{refused}");
        false
    });
    assert_eq!(lost.join().unwrap(), std::env::var("FAKE_CUDA_LOST").is_ok());
}

/// Whatever this machine has, it is told and nothing panics; a device that was asked for and is not there is an error that says what to do.
#[test]
fn this_machine_is_told_of() {
    let seen = look();
    println!("{seen:?}");
    let auto = Backing::choose(DeviceChoice::Auto).unwrap();
    println!("{}, for {:?}", auto.name(), auto.instead());
    match seen.card(0) {
        Err(missing) => {
            let why = Backing::choose(DeviceChoice::Cuda(0)).err().expect("it cannot be used").to_string();
            assert!(why.starts_with("cuda:0 is to run forward passes: ") && why.contains(&missing.to_string()), "{why}");
            assert_ne!(auto.name(), "cuda:0");
            assert!(auto.instead().is_some_and(|instead| instead.starts_with(&missing.to_string())));
        }
        Ok(card) => assert!(card.number == 0 && seen.missing.is_none()),
    }
    assert_eq!(Backing::choose(DeviceChoice::Cpu).unwrap().name(), "cpu");
}
