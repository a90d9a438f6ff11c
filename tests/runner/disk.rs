//! A disk that is full or cannot be written to. Where the machine lets an ordinary user mount a small tmpfs, that is
//! the disk; elsewhere a limit on the size of files and a store without the right to write stand in for it.

use std::io::Write as _;
use std::process::{Command, Output};

use crate::world::World;

/// Mounts a tmpfs of 64 KiB at `store`.
const MOUNT: &str = "mount -t tmpfs -o size=64k tmpfs store";
/// Gives it room. With source and type, as `mount` then asks no table of mounts, which an ordinary user may not read.
const ENLARGE: &str = "mount -t tmpfs -o remount,size=64m tmpfs store";
/// Makes it read-only.
const PROTECT: &str = "mount -o remount,ro,bind store";

/// Runs a shell script beside the store; under `unshare` it may mount.
fn shell(world: &World, program: &[&str], script: &str) -> Output {
    let [program, args @ ..] = program else { unreachable!("a shell has a name") };
    let mut command = Command::new(program);
    command.args(args).args(["-ec", script]).current_dir(world.path("."));
    command.env("CAMFLOW", env!("CARGO_BIN_EXE_camflow")).env("CAMFLOW_BIN_DIR", world.bin());
    command.output().expect("the shell ends")
}

/// Runs a script with a tmpfs of 64 KiB at `store`; `None`, and a line that says so, where that is not allowed.
fn with_small_disk(world: &World, script: &str) -> Option<Output> {
    const UNSHARE: [&str; 3] = ["unshare", "-rm", "sh"];
    std::fs::create_dir(world.path("store")).expect("a place to mount on");
    let allowed =
        Command::new("unshare").arg("--version").output().is_ok() && shell(world, &UNSHARE, MOUNT).status.success();
    if !allowed {
        skipped("this machine lets no user mount a tmpfs");
    }
    allowed.then(|| shell(world, &UNSHARE, &format!("{MOUNT}\n{script}")))
}

/// Says that something could not be tested here. Not by `eprintln!`, which the test harness swallows.
fn skipped(why: &str) {
    let test = std::thread::current();
    writeln!(std::io::stderr(), "SKIPPED {}: {why}", test.name().unwrap_or_default()).expect("standard error is open");
}

#[track_caller]
fn succeeded(output: &Output) -> (String, String) {
    let [said, told] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    assert!(output.status.success(), "{}: {told}\n{said}", output.status);
    (said, told)
}

#[test]
fn a_full_disk_is_named_and_room_is_all_that_it_takes() {
    let world = World::new();
    let script = format!(
        r#"
        "$CAMFLOW" run && exit 99
        code=$?
        [ $code = 1 ] || exit $code
        [ -z "$(find store -name '*.tmp')" ] || exit 98
        {ENLARGE}
        "$CAMFLOW" run
        "$CAMFLOW" verify
    "#
    );
    let Some(output) = with_small_disk(&world, &script) else { return };
    let (said, told) = succeeded(&output);
    assert!(told.contains("No space left on device") && told.contains("cannot "), "{told}");
    assert!(said.contains("14 artifacts are whole, 0 damaged"), "{said}");
}

#[test]
fn a_file_that_may_grow_no_further_is_named_and_room_is_all_that_it_takes() {
    let world = World::new();
    // A write beyond the limit fails, as on a full disk, instead of ending the process. The rows of prepare-data need
    // more.
    let script = r#"
        trap '' XFSZ
        images="--set data.images=50000"
        (ulimit -f 16; exec "$CAMFLOW" run $images) && exit 99
        code=$?
        [ $code = 1 ] || exit $code
        [ -z "$(find store -name '*.tmp')" ] || exit 98
        "$CAMFLOW" run $images
        "$CAMFLOW" verify
    "#;
    let (said, told) = succeeded(&shell(&world, &["sh"], script));
    assert!(told.contains("File too large") && told.contains("cannot "), "{told}");
    assert!(said.contains("14 artifacts are whole, 0 damaged"), "{said}");
}

/// What a store that cannot be written to still answers.
const ANSWERS: &str = r#"
    "$CAMFLOW" run
    "$CAMFLOW" plan
    "$CAMFLOW" status
    "$CAMFLOW" verify
    "$CAMFLOW" path evaluate
    "$CAMFLOW" gc --dry-run
    "$CAMFLOW" run --set evaluate.value=9 && exit 99
    [ $? = 1 ]
"#;

#[test]
fn a_store_on_a_read_only_disk_still_answers() {
    let world = World::new();
    let script = format!("{ENLARGE}\n\"$CAMFLOW\" run\n{PROTECT}\n{ANSWERS}");
    let Some(output) = with_small_disk(&world, &script) else { return };
    let (said, told) = succeeded(&output);
    assert!(said.contains("nothing to run: 16 stages are committed"), "{said}");
    assert!(told.contains("Read-only file system"), "{told}");
}

#[test]
fn a_store_without_the_right_to_write_still_answers() {
    let world = World::new();
    world.camflow(&["run"]).with(0);
    let script = format!(
        "chmod -R a-w store\ntrap 'chmod -R u+w store' EXIT\n! touch store/probe 2>/dev/null || exit 97\n{ANSWERS}"
    );
    let output = shell(&world, &["sh"], &script);
    if output.status.code() == Some(97) {
        return skipped("this user may write everywhere");
    }
    let (said, told) = succeeded(&output);
    assert!(said.contains("nothing to run: 16 stages are committed"), "{said}");
    assert!(told.contains("Permission denied"), "{told}");
}
