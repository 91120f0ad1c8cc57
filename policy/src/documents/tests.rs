use serde_json::json;

use super::*;

const KINDS: [Kind; 1] = [Kind {
    name: "Client",
    schema: || json!({"type": "object"}),
    inspect: |spec, found| {
        found.require(
            spec.get("rate").is_some_and(Value::is_u64),
            "rate",
            "is no number",
            "set it",
        );
    },
    retain_keys: |_, _| {},
}];

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn faults(files: &[(&str, &str)]) -> String {
    let folder = folder(files);
    let faults = read_folder(folder.path(), &Values::default(), &KINDS).unwrap_err();
    faults.to_string().replace(&folder.path().display().to_string(), "")
}

const ONE: &str = "kind: Client\ntenant: demo\nname: a\nspec: {rate: 1}\n";

#[test]
fn a_folder_is_one_set_whatever_its_files() {
    let two = ONE.replace("name: a", "name: b");
    let together = folder(&[("all.yaml", &format!("{ONE}---\n{two}"))]);
    let apart = folder(&[("x/a.yml", ONE), ("y/z/b.yaml", &two), ("README.md", "no document")]);
    let read = |folder: &tempfile::TempDir| {
        read_folder(folder.path(), &Values::default(), &KINDS).unwrap()
    };
    assert_eq!(read(&together).len(), 2);
    assert_eq!(read(&together).digest(), read(&apart).digest());
    let file = together.path().join("all.yaml");
    assert_eq!(read_folder(&file, &Values::default(), &KINDS).unwrap().len(), 2);
}

#[test]
fn all_that_is_wrong_is_told_at_once_with_its_place() {
    let rate = ONE.replace("rate: 1", "rate: x").replace("name: a", "name: r");
    let many = [ONE, ONE, &rate, "kind: Product\ntenant: t\nname: p\nspec: {}\n", "kind: Client\n"];
    let text = faults(&[("a.yaml", &many.join("---\n")), ("b.yaml", "a: [")]);
    for part in [
        "/a.yaml, document 2: Client/demo/a: is also document 1 of ",
        "/a.yaml, document 3: Client/demo/r: spec.rate: is no number; set it",
        "/a.yaml, document 4: kind: there is no Product; there are Client",
        "/a.yaml, document 5: missing field `tenant`",
        "/b.yaml: is no YAML",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let empty = ONE.replace("tenant: demo", "tenant: ''");
    assert!(faults(&[("a.yaml", &empty)]).contains("tenant: must not be empty"));
    assert!(
        faults(&[("a.yaml", &ONE.replace("rate: 1", "rate: '${x}'"))])
            .contains("${x} has no value")
    );
    assert!(
        faults(&[("a.yaml", &ONE.replace("rate: 1", "rate: 1, rate: 2"))]).contains("is no YAML")
    );
}

#[test]
fn what_would_fill_the_memory_is_refused() {
    let large = format!("# {}\n", "x".repeat(usize::try_from(FILE_BYTES).unwrap()));
    assert!(faults(&[("a.yaml", &large)]).contains("too large"));
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let alias = format!("*a{}", level - 1);
        bomb.extend([format!("a{level}: &a{level} [{}]\n", [alias.as_str(); 10].join(", "))]);
    }
    assert!(faults(&[("a.yaml", &bomb)]).contains("is no YAML"));
    let deep = folder(&[("a.yaml", ONE)]);
    std::os::unix::fs::symlink(deep.path(), deep.path().join("loop")).unwrap();
    let faults = read_folder(deep.path(), &Values::default(), &KINDS).unwrap_err();
    assert!(faults.to_string().contains("a link may lead back"), "{faults}");
}

#[test]
fn what_is_written_is_read_as_the_same_set() {
    let mut set = PolicySet::default();
    for number in 0..1_001 {
        for tenant in ["demo", "a/b", "true"] {
            let id = ResourceId::new("Client", tenant, &format!("0{number}"));
            let spec = json!({"rate": number, "owner": "${x}: #\n- 'y' ", "list": [], "none": null, "text": "1"});
            set.change(&Change::Set(Arc::new(Resource { id, spec })));
        }
    }
    let files = write_folder(&set);
    assert_eq!(files.len(), 9);
    let files: Vec<(&str, &str)> =
        files.iter().map(|(path, text)| (path.to_str().unwrap(), text.as_str())).collect();
    let folder = folder(&files);
    let read = read_folder(folder.path(), &Values::default(), &KINDS).unwrap();
    assert_eq!((read.len(), read.digest()), (set.len(), set.digest()));
}
