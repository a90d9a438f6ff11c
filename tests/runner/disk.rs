//! A disk that is full or read-only, made with a small tmpfs where the machine lets an ordinary user mount one.

use std::process::{Command, Output};

use crate::world::World;

/// Runs a script with a tmpfs of 64 KiB at `store`; `None` where that is not allowed.
fn with_small_disk(world: &World, script: &str) -> Option<Output> {
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-ec", script]).current_dir(world.path("."));
        command.env("CAMFLOW", env!("CARGO_BIN_EXE_camflow")).env("CAMFLOW_BIN_DIR", world.bin());
        command.output().ok()
    };
    std::fs::create_dir(world.path("store")).expect("a place to mount on");
    let mount = "mount -t tmpfs -o size=64k tmpfs store";
    if !unshare(mount).is_some_and(|tried| tried.status.success()) {
        eprintln!("not shown here: this machine lets no user mount a tmpfs");
        return None;
    }
    unshare(&format!("{mount}\n{script}"))
}

#[test]
fn a_full_disk_is_named_and_room_is_all_that_it_takes() {
    let world = World::new();
    let script = r#"
        "$CAMFLOW" run && exit 99
        code=$?
        [ $code = 1 ] || exit $code
        [ -z "$(find store -name '*.tmp')" ] || exit 98
        mount -o remount,size=64m store
        "$CAMFLOW" run
        "$CAMFLOW" verify
    "#;
    let Some(output) = with_small_disk(&world, script) else { return };
    let (told, said) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}: {told}\n{said}", output.status);
    assert!(told.contains("No space left on device") && told.contains("cannot "), "{told}");
    assert!(said.contains("14 artifacts are whole, 0 damaged"), "{said}");
}

#[test]
fn a_store_that_cannot_be_written_to_still_answers() {
    let world = World::new();
    let script = r#"
        mount -o remount,size=64m store
        "$CAMFLOW" run
        mount -o remount,ro store
        "$CAMFLOW" run
        "$CAMFLOW" plan
        "$CAMFLOW" status
        "$CAMFLOW" verify
        "$CAMFLOW" path evaluate
        "$CAMFLOW" run --set evaluate.value=9 && exit 99
        [ $? = 1 ]
    "#;
    let Some(output) = with_small_disk(&world, script) else { return };
    let (told, said) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}: {told}\n{said}", output.status);
    assert!(said.contains("nothing to run: 16 stages are committed"), "{said}");
    assert!(told.contains("Read-only file system"), "{told}");
}
