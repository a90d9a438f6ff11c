//! What a user did wrong: one message that says what, where and how to mend it, and its exit code.

use std::fs;

use crate::lab::{Ended, Lab, end};

/// A push to a URL without any credentials in the environment, but for these variables.
fn push_to(lab: &Lab, url: &str, variables: &[(&str, &str)]) -> Ended {
    let mut command = lab.command("push", "a", &["--remote", url]);
    let of_clouds = ["AWS_", "GOOGLE_", "AZURE_"];
    for (name, _) in std::env::vars().filter(|(name, _)| of_clouds.iter().any(|cloud| name.starts_with(cloud))) {
        command.env_remove(name);
    }
    end(command.envs(variables.iter().copied()).spawn().unwrap())
}

#[test]
fn each_thing_that_is_lacking_is_named() {
    let lab = Lab::filled(10);
    let nowhere = lab.path("nowhere").display().to_string();
    push_to(&lab, &nowhere, &[]).with(78).says(&["no such directory"]);
    push_to(&lab, &format!("file://{nowhere}"), &[]).with(78).says(&["no such directory"]);
    push_to(&lab, "ftp://host/dir", &[]).with(78).says(&["ftp://host/dir", "s3://"]);
    push_to(&lab, "https://example.org/dir", &[]).with(78).says(&["no object store", "s3://"]);
    push_to(&lab, "az://container/dir", &[]).with(78).says(&["AZURE_STORAGE_ACCOUNT_NAME"]);
    // Nobody listens at port 1.
    let given =
        [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"), ("AWS_ENDPOINT_URL", "http://127.0.0.1:1")];
    push_to(&lab, "s3://bucket/lab", &given).with(78).says(&["plain http", "AWS_ALLOW_HTTP"]);
    let given = [&given[..], &[("AWS_ALLOW_HTTP", "true")]].concat();
    push_to(&lab, "s3://bucket/lab", &given).with(1).says(&["cannot be reached", "s3://bucket/lab"]);
    // Where there are no credentials, the machine's own are asked for: of a server that is not there.
    let given = [("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1"), ("AWS_REGION", "r")];
    push_to(&lab, "s3://bucket/lab", &given).with(78).says(&["no credentials", "AWS_ACCESS_KEY_ID"]);
}

#[test]
fn a_remote_and_artifacts_have_to_be_named() {
    let lab = Lab::filled(10);
    let mut command = lab.command("push", "a", &["--remote", ""]);
    assert_eq!(end(command.spawn().unwrap()).code, Some(78));
    lab.pull("b", &["train"]).with(69).says(&["nothing was pushed there yet"]);
    lab.push("a", &["no-such-stage"]).with(69).says(&["no-such-stage"]);
    lab.push("a", &["train:zz"]).with(69);
    lab.push("a", &[]).with(0);
    lab.pull("b", &["../train"]).with(78).says(&["no name of an artifact"]);
    lab.pull("b", &["no-such-stage"]).with(69).says(&["does not hold no-such-stage@full"]);
    lab.pull("b", &["train@elsewhere"]).with(69).says(&["does not hold train@elsewhere"]);
    assert!(lab.artifacts("b").is_empty());
}

#[test]
fn the_manifest_names_the_remote_and_it_is_in_no_key() {
    let lab = Lab::filled(10);
    let text = fs::read_to_string(lab.path("pipeline.toml")).unwrap();
    fs::write(lab.path("pipeline.toml"), text.replace("store = \"a\"", "store = \"a\"\nremote = \"$LAB/remote\""))
        .unwrap();
    let without = |word: &str, variable: Option<&str>| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_camflow-remote"));
        command.arg(word).current_dir(lab.path("")).envs(variable.map(|_| ("LAB", lab.path(""))));
        command.output().unwrap()
    };
    assert!(without("push", Some("LAB")).status.success());
    let refused = without("push", None);
    assert_eq!(refused.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("LAB"), "{refused:?}");
    lab.pull("b", &[]).with(0);
    assert_eq!(lab.assert_same("a", "b"), 5);
}
