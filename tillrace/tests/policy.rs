//! The policy set by the commands, on a local log while `up` runs on it.

#![expect(clippy::unwrap_used, reason = "a test that cannot read an answer has failed")]

mod process;

use std::path::Path;

use process::{CommandLine, sale, until};
use serde_json::Value;

const CLIENT: &str = r#"kind: Client
tenant: demo
name: ${till}
spec:
  stores: ["${store}"]
  keys:
    - hash: sha256:HASH
      created_at: 2026-11-20T08:00:00Z
"#;

struct Folder(tempfile::TempDir);

impl Folder {
    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn at(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}

/// Runs a command that works, and returns what it prints.
fn done(command_line: &CommandLine, words: &[&str]) -> String {
    let output = command_line.run(words);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that is refused, and returns what it says.
fn refused(command_line: &CommandLine, words: &[&str]) -> String {
    let output = command_line.run(words);
    assert!(!output.status.success(), "{words:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn json(command_line: &CommandLine, words: &[&str]) -> Value {
    let words: Vec<&str> = words.iter().chain(&["--output", "json"]).copied().collect();
    serde_json::from_str(&done(command_line, &words)).unwrap()
}

#[test]
fn a_set_is_applied_looked_at_rolled_back_exported_and_restored_while_the_roles_run() {
    let data = tempfile::tempdir().unwrap();
    let command_line = CommandLine::new(data.path(), &[]);
    let tillrace = command_line.up();
    let folder = Folder(tempfile::tempdir().unwrap());
    let client = CLIENT.replace("HASH", &"ab".repeat(32));
    folder.write("set/clients.yaml", &client.replace("${till}", "till-1"));
    let values = folder.write("values.yaml", "store: \"12\"\n");
    let set = folder.at("set");
    let with_values = |words: &[&'static str]| {
        let mut words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        words.extend([set.clone(), "--values".to_owned(), values.clone()]);
        words
    };
    let run = |words: &[&'static str], more: &[&str]| {
        let words = with_values(words);
        let words: Vec<&str> =
            words.iter().map(String::as_str).chain(more.iter().copied()).collect();
        done(&command_line, &words)
    };

    let text = refused(&command_line, &["policy", "diff", &set]);
    assert!(
        text.contains("${store} has no value") && text.contains("(policy_documents,"),
        "{text}"
    );
    assert!(run(&["policy", "diff"], &[]).contains("+ Client/demo/till-1"));
    run(&["policy", "apply"], &["--yes", "--operator", "ada", "--reason", "the first till"]);
    assert!(run(&["policy", "diff"], &[]).contains("nothing would change"));

    let first = json(&command_line, &["policy", "show"]);
    assert_eq!(first[0]["spec"]["stores"], serde_json::json!(["12"]));
    folder.write("values.yaml", "store: \"13\"\n");
    let changed = run(&["policy", "apply"], &["--yes", "--operator", "bob"]);
    assert!(changed.contains(r#"spec.stores: ["12"] → ["13"]"#), "{changed}");
    let history = json(&command_line, &["policy", "history"]);
    let revisions: Vec<_> = history.as_array().unwrap().iter().collect();
    assert_eq!((revisions.len(), &revisions[0]["operator"]), (2, &"ada".into()));
    assert_eq!(revisions[0]["reason"], "the first till");

    done(&command_line, &["policy", "rollback", "1", "--yes"]);
    assert_eq!(json(&command_line, &["policy", "show"]), first);
    let second = json(&command_line, &["policy", "show", "Client/demo/till-1", "--revision", "2"]);
    assert_eq!(second[0]["spec"]["stores"], serde_json::json!(["13"]));
    assert!(
        refused(&command_line, &["policy", "rollback", "9", "--yes"])
            .contains("policy_no_revision")
    );

    let exported = folder.at("exported");
    done(&command_line, &["policy", "export", &exported]);
    assert!(Path::new(&exported).join("client/demo.yaml").exists());
    assert!(
        refused(&command_line, &["policy", "export", &exported])
            .contains("policy_folder_not_empty")
    );
    done(&command_line, &["policy", "restore", &exported, "--yes"]);
    assert_eq!(json(&command_line, &["policy", "show"]), first);
    let history = json(&command_line, &["policy", "history"]);
    assert_eq!((&history[3]["revision"], &history[3]["whole"]), (&4.into(), &true.into()));

    std::fs::remove_file(Path::new(&exported).join("client/demo.yaml")).unwrap();
    done(&command_line, &["policy", "apply", &exported, "--yes"]);
    assert_eq!(json(&command_line, &["policy", "show"]), first, "what a folder lacks stays");
    done(&command_line, &["policy", "apply", &exported, "--yes", "--prune"]);
    assert_eq!(json(&command_line, &["policy", "show"]), serde_json::json!([]));
    assert!(tillrace.terminate().success());
    assert_eq!(json(&command_line, &["policy", "history"]).as_array().unwrap().len(), 5);
}

#[test]
fn what_was_revoked_stays_so_whatever_is_rolled_back_restored_or_applied() {
    let data = tempfile::tempdir().unwrap();
    let command_line = CommandLine::new(data.path(), &[]);
    let tillrace = command_line.up();
    let till = ["--tenant", "demo", "--name", "till", "--yes"];
    let key = |action: &str, more: &[&str]| {
        let printed = done(&command_line, &[&["client", action][..], &till, more].concat());
        printed.lines().find(|line| line.starts_with("tlr_")).map(str::to_owned)
    };
    let status = |key: &str, number: u64| {
        tillrace.post_as(key, "/v1/events", &sale(number, "apples", "1")).0
    };
    let first = key("create", &[]).unwrap();
    until("the key is known", || (status(&first, 1) == 202).then_some(()));
    let folder = Folder(tempfile::tempdir().unwrap());
    let (old, new) = (folder.at("old"), folder.at("new"));
    done(&command_line, &["policy", "export", &old]);
    let second = key("rotate", &[]).unwrap();
    until("both are known", || (status(&second, 2) == 202).then_some(()));
    key("revoke", &["--old"]);
    until("the old one is not taken", || (status(&first, 3) == 401).then_some(()));
    done(&command_line, &["policy", "export", &new]);

    let text = refused(&command_line, &["policy", "apply", &old, "--yes"]);
    assert!(text.contains("policy_key_revoked"), "{text}");
    done(&command_line, &["policy", "rollback", "1", "--yes", "--reason", "a mistake"]);
    until("revision 1 had no other key", || (status(&second, 3) == 401).then_some(()));
    assert_eq!(status(&first, 3), 401, "nothing revives it");
    done(&command_line, &["policy", "restore", &old, "--yes"]);
    assert_eq!(status(&first, 3), 401, "nothing revives it");
    done(&command_line, &["policy", "apply", &new, "--yes"]);
    until("the new one is taken again", || (status(&second, 3) == 202).then_some(()));
    assert_eq!(status(&first, 4), 401);
    let reasons = json(&command_line, &["policy", "history"]);
    assert!(reasons.as_array().unwrap().iter().any(|one| one["reason"] == "a mistake"));
    assert!(tillrace.terminate().success());
    command_line.assert_verified();
}
