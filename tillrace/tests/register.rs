//! A register is checked, applied and shown, days say who is silent, and time passes where nobody speaks, on either log.

#![expect(clippy::unwrap_used, reason = "a test that cannot read an answer has failed")]

#[path = "../../log/tests/kafka_cluster/mod.rs"]
mod kafka_cluster;
mod process;

use std::path::{Path, PathBuf};
use std::process::Command;

use process::{CommandLine, until};
use serde_json::{Value, json};

const REGISTER: &str = r#"
tenant: demo
stores:
  - store: "12"
    valid_from: "2026-11-20"
    zone: Europe/Zurich
    currency: EUR
    group: north
    calendar:
      weekdays: [friday]
      exceptions:
        "2026-11-27": closed
    terminals:
      - {terminal: "3", kind: staffed}
      - {terminal: "4", kind: mobile, closes: false}
  - store: silent
    valid_from: "2026-11-27"
    zone: Europe/Zurich
    currency: EUR
    calendar:
      weekdays: [friday]
    terminals:
      - {terminal: "1", kind: self_checkout}
"#;

/// Runs a command that must succeed or fail as told, and say so.
fn expect(command_line: &CommandLine, words: &[&str], code: i32, says: &str) {
    let output = if words[1] == "check" {
        // It needs no log, and takes none.
        Command::new(env!("CARGO_BIN_EXE_tillrace")).args(words).output().unwrap()
    } else {
        command_line.run(words)
    };
    let printed = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    let printed = printed.concat();
    assert_eq!(output.status.code(), Some(code), "{words:?}: {printed}");
    assert!(printed.contains(says), "{words:?}: {printed}");
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// The latest record of a day.
fn day(command_line: &CommandLine, key: &str) -> Option<Value> {
    let days = command_line.tap("store.days.v1");
    Some(days.iter().rfind(|record| record["key"] == key)?["value"].clone())
}

fn a_bad_file_is_named_by_every_fault(command_line: &CommandLine, folder: &Path) {
    let bad = REGISTER.replace("Europe/Zurich", "Zurich").replace("mobile", "robot");
    let bad = write(folder, "bad.yaml", &bad);
    let check = ["register", "check", bad.to_str().unwrap()];
    for says in [
        "stores[0].zone",
        "a name of the IANA database",
        "stores[0].terminals[1].kind",
        "stores[1].zone",
        "register_faulty",
    ] {
        expect(command_line, &check, 1, says);
    }
    let output = Command::new(env!("CARGO_BIN_EXE_tillrace")).args(check).output().unwrap();
    let printed = String::from_utf8(output.stderr).unwrap();
    assert_eq!(printed.matches("stores[1].zone").count(), 1, "each fault once: {printed}");
    let apply = ["register", "apply", bad.to_str().unwrap(), "--yes"];
    expect(command_line, &apply, 1, "register_faulty");
    let card = write(folder, "card.yaml", &REGISTER.replace("north", "4111111111111111"));
    expect(command_line, &["register", "check", card.to_str().unwrap()], 1, "register_card");
    let twice = write(folder, "twice.yaml", "tenant: a\ntenant: b\n");
    expect(command_line, &["register", "check", twice.to_str().unwrap()], 1, "register_unreadable");
}

fn days_say_who_is_silent(command_line: &CommandLine, folder: &Path) {
    let file = write(folder, "register.yaml", REGISTER);
    let file = file.to_str().unwrap();
    expect(command_line, &["register", "check", file], 0, "2 registers, 3 terminals");
    let tillrace = command_line.up();
    tillrace.sell(1, "apples", "3");
    tillrace.wait_for("store.days.v1", 1);
    a_bad_file_is_named_by_every_fault(command_line, folder);
    let show = ["register", "show", "--tenant", "demo", "--store", "12"];
    expect(command_line, &show, 1, "no register of tenant demo, store 12 is in force");
    let dry = ["register", "apply", file, "--dry-run"];
    expect(command_line, &dry, 0, "2 would be applied; nothing was written");
    let apply = ["register", "apply", file, "--operator", "ada", "--yes"];
    expect(command_line, &apply, 0, "the aggregator has followed");
    let friday = until("the day is judged by the register", || {
        let day = day(command_line, "demo/12/2026-11-20")?;
        (day["completeness"]["expected"] == 2).then_some(day)
    });
    assert_eq!(friday["completeness"]["silent"], json!(["4"]));
    assert_eq!(friday["completeness"]["unclosed"], json!(["3"]));
    let silent = until("a store that never spoke gets its day", || {
        day(command_line, "demo/silent/2026-11-27")
    });
    assert_eq!(silent["completeness"]["silent_count"], 1);
    assert_eq!(day(command_line, "demo/12/2026-11-27"), None, "closed on that date");
    expect(command_line, &show, 0, "2 terminals");
    expect(command_line, &show, 0, "applied by ada");
    expect(command_line, &show, 0, "2026-11-27: Closed");
    what_is_in_force_is_not_written_again(command_line, folder, file);
    let json = command_line.run(&[&show[..], &["--json"]].concat());
    let shown: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(
        (&shown["settings"]["group"], &shown["valid_from"]),
        (&json!("north"), &json!("2026-11-20"))
    );
    until("the owner of a quiet partition writes a tick", || {
        let journal = command_line.tap("pos.events.v1");
        journal.iter().any(|record| record["value"]["type"] == "tillrace.pos.tick").then_some(())
    });
    assert!(tillrace.metric("tillrace_aggregate_silent_terminals") >= 0.0);
    tillrace.sell(2, "apples", "1");
    tillrace.wait_for("pos.transactions.v1", 2);
    assert!(tillrace.terminate().success());
    let registers = command_line.tap("store.registers.v1");
    assert_eq!(registers.len(), 2);
    command_line.assert_verified();
}

fn what_is_in_force_is_not_written_again(command_line: &CommandLine, folder: &Path, file: &str) {
    let registers = || {
        let journal = command_line.tap("pos.events.v1");
        journal.iter().filter(|record| record["value"]["type"] == "tillrace.pos.register").count()
    };
    let before = registers();
    let apply = ["register", "apply", file, "--operator", "kim", "--yes"];
    expect(command_line, &apply, 0, "store 12: from 2026-11-20, in force already");
    expect(command_line, &apply, 0, "all of it is in force; nothing was written");
    assert_eq!(registers(), before);
    let changed = REGISTER.replace("group: north", "group: south");
    let changed = write(folder, "changed.yaml", &changed);
    let changed = ["register", "apply", changed.to_str().unwrap(), "--dry-run"];
    expect(command_line, &changed, 0, "store silent: from 2026-11-27, in force already");
    expect(command_line, &changed, 0, "1 would be applied");
}

#[test]
fn an_option_that_check_does_not_have_is_not_taken_for_a_file() {
    let check = ["register", "check", "--data", "x"];
    let output = Command::new(env!("CARGO_BIN_EXE_tillrace")).args(check).output().unwrap();
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(printed.contains("unexpected argument '--data'"), "{printed}");
    assert!(!printed.contains("as a value"), "{printed}");
}

#[test]
fn days_say_who_is_silent_on_a_local_log() {
    let folder = tempfile::tempdir().unwrap();
    let command_line =
        CommandLine::new(folder.path(), &[]).with("TILLRACE__AGGREGATE__TICK_INTERVAL", "1s");
    days_say_who_is_silent(&command_line, folder.path());
}

#[test]
fn days_say_who_is_silent_on_kafka() {
    let folder = tempfile::tempdir().unwrap();
    let Some(brokers) = kafka_cluster::shared("registers on Kafka") else { return };
    let namespace = format!("register-{}", std::process::id());
    let command_line = CommandLine::new(folder.path(), &["--kafka", brokers])
        .with("TILLRACE__NAMESPACE", &namespace)
        .with("TILLRACE__AGGREGATE__TICK_INTERVAL", "1s");
    days_say_who_is_silent(&command_line, folder.path());
}

#[test]
fn a_tenant_that_is_not_configured_gets_no_register() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "register.yaml", REGISTER);
    let configuration =
        format!("data: {:?}\ntenants: [{{id: other, keys: []}}]\n", folder.path().join("log"));
    let configuration = write(folder.path(), "tillrace.yaml", &configuration);
    let command_line = CommandLine::configured(&configuration);
    let apply = ["register", "apply", file.to_str().unwrap(), "--yes"];
    expect(&command_line, &apply, 1, "register_tenant");
}

#[test]
fn the_file_of_the_page_and_the_sample_can_be_used_and_follow_their_schema() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let page = std::fs::read_to_string(docs.join("REGISTER.md")).unwrap();
    let block = page.split("register-file.v1.schema.json):\n\n").nth(1).unwrap();
    let lines = block.lines().take_while(|line| line.starts_with("    "));
    let text = lines.map(|line| &line[4..]).collect::<Vec<_>>().join("\n");
    let folder = tempfile::tempdir().unwrap();
    let of_page = write(folder.path(), "page.yaml", &text);
    let schema = std::fs::read(docs.join("schemas/register-file.v1.schema.json")).unwrap();
    let schema: Value = serde_json::from_slice(&schema).unwrap();
    let options = jsonschema::options().should_validate_formats(true);
    let validator = options.build(&schema).unwrap();
    let command_line = CommandLine::new(folder.path(), &[]);
    for path in [of_page, docs.join("samples/day/register.json")] {
        expect(
            &command_line,
            &["register", "check", path.to_str().unwrap()],
            0,
            "nothing is wrong",
        );
        let text = std::fs::read_to_string(&path).unwrap();
        let file: Value = serde_saphyr::from_str(&text).unwrap();
        assert!(validator.is_valid(&file), "{path:?}");
        for break_one in [
            |file: &mut Value| file["stores"][0]["zone"] = json!(7),
            |file: &mut Value| {
                file["stores"][0]["terminals"][0]["kind"] = json!("robot");
            },
        ] {
            let mut broken = file.clone();
            break_one(&mut broken);
            assert!(!validator.is_valid(&broken), "{path:?}");
        }
    }
}
