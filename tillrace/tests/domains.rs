//! Two domains in one process, on either log: what is planted in one is searched for in all that the other has.

#![expect(clippy::unwrap_used, reason = "a test that cannot read an answer has failed")]

#[path = "../../log/tests/kafka_cluster/mod.rs"]
mod kafka_cluster;
mod process;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use process::{CommandLine, Tillrace, sale, until};
use serde_json::{Value, json};
use tillrace_ingest::hash_key;

const DOMAINS: [&str; 2] = ["north", "south"];
/// Every topic, without its namespace.
const TOPICS: [&str; 13] = [
    "pos.events.v1",
    "pos.transactions.v1",
    "pos.conflicts.v1",
    "pos.rejected.v1",
    "pos.parked.v1",
    "inventory.deltas.v1",
    "stock.counts.v1",
    "store.days.v1",
    "store.registers.v1",
    "terminal.ledger.v1",
    "state.v1",
    "pos.audit.v1",
    "lake.dead.v1",
];
/// Families of the process as a whole: its connections, requests whose caller is unknown, and its own conditions.
const OF_PROCESS: [&str; 11] = [
    "tillrace_conditions",
    "tillrace_ingest_requests",
    "tillrace_ingest_request_duration_seconds",
    "tillrace_ingest_backpressure",
    "tillrace_ingest_connections",
    "tillrace_ingest_refused_connections",
    "tillrace_ingest_timed_out_writes",
    "tillrace_ingest_refused_addresses",
    "tillrace_ingest_invalid_proxy_headers",
    "tillrace_ingest_tls_",
    "tillrace_status_",
];

fn key(domain: &str) -> String {
    format!("the-key-of-{domain}")
}

/// A domain with a tenant, a key and a sink of files.
fn domain(name: &str, folder: &Path, namespace: &str) -> Value {
    json!({
        "name": name,
        "namespace": namespace,
        "region": format!("region-of-{name}"),
        "retention_days": if name == "north" { 30 } else { 7 },
        "tenants": [{
            "id": format!("tenant-of-{name}"),
            "keys": [{"name": "tills", "hash": hash_key(&key(name)), "stores": ["*"]}],
        }],
        "sinks": [{
            "name": "lake",
            "to": {"kind": "parquet", "source": "transactions", "location": folder.join(name).join("files")},
            "flow": {
                "batch": {"max_records": 2, "max_bytes": "1MiB", "linger": "100ms"},
                "commit_every": "100ms",
            },
        }],
    })
}

/// A command line with a configuration of these domains; lines go to a file beside it.
fn command_line(folder: &Path, log: &Value, domains: &[Value]) -> CommandLine {
    let settings = json!({
        "data": folder,
        "log": log,
        "ingest": {"durability": "development", "drain_delay": "0s"},
        "telemetry": {"format": "json"},
        "domains": domains,
    });
    // JSON is YAML.
    let file = folder.join("tillrace.yaml");
    fs::write(&file, settings.to_string()).unwrap();
    CommandLine::configured(&file).with_lines(&folder.join("lines"))
}

/// What is planted in a domain: a word that stands nowhere else.
fn marker(domain: &str, what: &str) -> String {
    format!("planted-{domain}-{what}")
}

fn plant(tillrace: &Tillrace, domain: &str) {
    let key = key(domain);
    let send = |body: &str, status: u16, says: &str| {
        let answer = tillrace.post_as(&key, "/v1/events", body);
        assert!(answer.0 == status && answer.1.contains(says), "{domain}: {answer:?}");
    };
    let good = sale(1, &marker(domain, "good"), "1");
    send(&good, 202, "accepted");
    send(&good, 202, "duplicate");
    send(&sale(1, &marker(domain, "conflict"), "2"), 202, "accepted");
    let unknown =
        sale(2, &marker(domain, "parked"), "1").replace("\"sale\",\"occ", "\"loan\",\"occ");
    send(&unknown, 202, "parked");
    send(&format!("{{\"store\":\"12\",\"note\":\"{}\"}}", marker(domain, "refused")), 422, "code");
    send(&sale(3, &marker(domain, "second"), "1"), 202, "accepted");
}

fn tap(command_line: &CommandLine, domain: &str, topic: &str) -> String {
    let words = ["tap", topic, "--from", "start", "--until-end", "--json", "--domain", domain];
    let output = command_line.run(&words);
    assert!(output.status.success(), "{topic}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Waits until all that was planted has come out, and searches every topic of each domain for what is the other's.
fn search_topics(command_line: &CommandLine) {
    for (domain, other) in [("north", "south"), ("south", "north")] {
        for (topic, what) in [
            ("pos.events.v1", "good"),
            ("pos.transactions.v1", "second"),
            ("inventory.deltas.v1", "second"),
            ("pos.conflicts.v1", "conflict"),
            ("pos.parked.v1", "parked"),
            ("pos.rejected.v1", "refused"),
        ] {
            until(&format!("{topic} of {domain} has {what}"), || {
                tap(command_line, domain, topic).contains(&marker(domain, what)).then_some(())
            });
        }
        for topic in TOPICS {
            let text = tap(command_line, domain, topic);
            for foreign in [format!("planted-{other}"), format!("tenant-of-{other}")] {
                assert!(!text.contains(&foreign), "{topic} of {domain}: {text}");
            }
        }
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if path.is_file() {
            files.push(path);
        }
    }
    files
}

/// All that a file holds: its bytes, and for Parquet its rows.
fn content(file: &Path) -> String {
    let mut text = String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned();
    if file.extension().is_some_and(|end| end == "parquet") {
        let reader = SerializedFileReader::new(File::open(file).unwrap()).unwrap();
        for row in reader.get_row_iter(None).unwrap() {
            text += &row.unwrap().to_string();
        }
    }
    text
}

/// Searches every file of each domain for what is the other's, and finds what is its own.
fn search_files(folder: &Path, own: &[&str]) {
    for (domain, other) in [("north", "south"), ("south", "north")] {
        let files = files_below(&folder.join(domain));
        let texts: Vec<String> = files.iter().map(|file| content(file)).collect();
        for what in own {
            let is_there = texts.iter().any(|text| text.contains(&marker(domain, what)));
            assert!(is_there, "{what} of {domain} in {files:?}");
        }
        for (file, text) in files.iter().zip(&texts) {
            for foreign in [format!("planted-{other}"), format!("tenant-of-{other}")] {
                assert!(!text.contains(&foreign), "{} has {foreign}", file.display());
            }
        }
    }
}

/// Each series names one domain, or is of the process.
fn look_at_metrics(tillrace: &Tillrace) {
    let (status, text) = tillrace.status("/metrics");
    assert_eq!(status, 200);
    let mut heads = Vec::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            heads.push(head.split(' ').next().unwrap());
            continue;
        }
        let named =
            DOMAINS.iter().filter(|name| line.contains(&format!("domain=\"{name}\""))).count();
        let is_of_process = OF_PROCESS.iter().any(|family| line.starts_with(family));
        assert!(line.starts_with('#') || named == 1 || (named == 0 && is_of_process), "{line}");
        for (domain, other) in [("north", "south"), ("south", "north")] {
            let is_mixed = line.contains(&format!("domain=\"{domain}\""))
                && line.contains(&format!("-{other}"));
            assert!(!is_mixed, "{line}");
        }
    }
    for name in DOMAINS {
        for family in ["tillrace_ingest_events", "tillrace_aggregate_", "tillrace_deliver_"] {
            let of_domain = |line: &&str| {
                line.starts_with(family) && line.contains(&format!("domain=\"{name}\""))
            };
            assert!(text.lines().any(|line| of_domain(&line)), "{family} of {name}\n{text}");
        }
    }
    let count = heads.len();
    heads.sort_unstable();
    heads.dedup();
    assert_eq!(heads.len(), count, "a family stands on a page once");
}

/// Each line of a role names one domain; those of the process name none.
fn look_at_lines(file: &Path) {
    let text = fs::read_to_string(file).unwrap();
    let mut of_domains = 0;
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let named = line["span"]["domain"].as_str();
        let is_of_process =
            line["target"] == "tillrace_ingest::gateway" || line["target"] == "tillrace::up";
        assert!(named.is_some_and(|name| DOMAINS.contains(&name)) || is_of_process, "{line}");
        assert_eq!(line["spans"].as_array().map_or(0, Vec::len), usize::from(named.is_some()));
        of_domains += usize::from(named.is_some());
    }
    assert!(of_domains > 0, "{text}");
}

fn nothing_crosses(command_line: &CommandLine, folder: &Path) {
    let tillrace = command_line.up();
    // The gateway listens when the first is there.
    let readiness = until("both domains are ready", || {
        let (_, body) = tillrace.status("/readyz");
        let body: Value = serde_json::from_str(&body).unwrap();
        let is_ready = |domain: &Value| domain["status"] == "ready";
        body["domains"].as_array().unwrap().iter().all(is_ready).then_some(body)
    });
    assert_eq!(readiness["status"], "ready");
    for (domain, name) in readiness["domains"].as_array().unwrap().iter().zip(DOMAINS) {
        assert_eq!(
            (&domain["name"], &domain["region"]),
            (&json!(name), &json!(format!("region-of-{name}")))
        );
    }
    for domain in DOMAINS {
        plant(&tillrace, domain);
    }
    search_topics(command_line);
    look_at_metrics(&tillrace);
    for name in DOMAINS {
        until(&format!("the files of {name} are there"), || {
            files_below(&folder.join(name).join("files"))
                .iter()
                .any(|file| file.extension().is_some_and(|end| end == "parquet"))
                .then_some(())
        });
    }
    assert!(tillrace.terminate().success());
    for name in DOMAINS {
        let output = command_line.run(&["verify", "--domain", name]);
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{printed}");
        assert!(printed.contains(&format!("region-of-{name}")), "{printed}");
    }
    look_at_lines(&folder.join("lines"));
}

#[test]
fn no_byte_of_a_domain_is_on_the_local_log_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let domains = DOMAINS.map(|name| domain(name, folder.path(), ""));
    // Uncompressed, so that bytes can be searched for.
    let log = json!({"partitions": 2, "local": {"compression": "none"}});
    let command_line = command_line(folder.path(), &log, &domains);
    nothing_crosses(&command_line, folder.path());
    search_files(folder.path(), &["good", "conflict", "parked", "refused", "second"]);
}

#[test]
fn no_byte_of_a_domain_is_on_the_topics_of_another_on_one_kafka_cluster() {
    let Some(brokers) = kafka_cluster::shared("two domains on one cluster") else { return };
    let folder = tempfile::tempdir().unwrap();
    let namespace = |name: &str| format!("{name}-{}", std::process::id());
    let domains = DOMAINS.map(|name| domain(name, folder.path(), &namespace(name)));
    let kafka = json!({"brokers": brokers, "durability": "development", "replication": 1});
    let log = json!({"partitions": 2, "kafka": kafka});
    let command_line = command_line(folder.path(), &log, &domains);
    nothing_crosses(&command_line, folder.path());
    search_files(folder.path(), &["good", "second"]);
}

/// One log is owned by another process, one is a Kafka that is not there.
#[test]
fn domains_whose_logs_are_dead_cost_the_others_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let other = CommandLine::new(&folder.path().join("south"), &[]);
    let owner = other.up();
    let mut absent = domain("absent", folder.path(), "absent");
    absent["log"] =
        json!({"kafka": {"brokers": "127.0.0.1:1", "durability": "development", "replication": 1}});
    let mut domains = DOMAINS.map(|name| domain(name, folder.path(), "")).to_vec();
    domains.push(absent);
    let command_line = command_line(folder.path(), &json!({"partitions": 2}), &domains);
    let tillrace = command_line.up();
    for sequence in 1..=3 {
        let post = |domain: &str| {
            tillrace.post_as(&key(domain), "/v1/events", &sale(sequence, "plums", "1")).0
        };
        assert_eq!(["north", "south", "absent"].map(post), [202, 503, 503]);
    }
    let readiness = until("the dead domains are told", || {
        let (status, body) = tillrace.status("/readyz");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["status"]), (200, &json!("ready")), "one takes writes: {body}");
        let told = |place: usize| body["domains"][place]["conditions"][0]["code"].clone();
        (told(1) == "domain_stopped" && told(2) == "start_waiting").then_some(body)
    });
    let statuses = [0, 1, 2].map(|place| readiness["domains"][place]["status"].clone());
    assert_eq!(statuses, ["ready", "not_ready", "starting"]);
    let cause = readiness["domains"][1]["conditions"][0]["cause"].as_str().unwrap();
    assert!(
        cause.contains("another process owns") && cause.contains("(local_log_owned)"),
        "{cause}"
    );
    let refused = "tillrace_ingest_backpressure_total{domain=\"south\",reason=\"log\"}";
    assert!((tillrace.metric(refused) - 3.0).abs() < f64::EPSILON);
    assert!(tillrace.terminate().success());
    assert!(owner.terminate().success());
}

#[test]
fn a_command_works_on_the_domain_that_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let domains = DOMAINS.map(|name| domain(name, folder.path(), ""));
    let command_line = command_line(folder.path(), &json!({"partitions": 2}), &domains);
    let run = |words: &[&str]| {
        let output = command_line.run(words);
        let printed = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        (output.status.code().unwrap(), printed.concat())
    };
    for words in [
        &["tap", "pos.events.v1"][..],
        &["verify"],
        &["parked", "list"],
        &["release", "0/1", "--operator", "ada", "--dry-run"],
        &["redrive", "lake", "--dry-run"],
    ] {
        let (code, printed) = run(words);
        assert_eq!(code, 1, "{words:?}: {printed}");
        let remedy = "there are several domains, north, south: name one with --domain";
        assert!(printed.contains(remedy) && printed.contains("usage_which_domain"), "{printed}");
        let (code, printed) = run(&[words, &["--domain", "east"]].concat());
        assert_eq!(code, 1, "{words:?}: {printed}");
        assert!(
            printed.contains("there is no domain east; configured are north, south"),
            "{printed}"
        );
    }
    let (code, printed) = run(&["check"]);
    assert_eq!(code, 0, "{printed}");
    for line in [
        "configuration is sound: 2 domains\n",
        "domain north: 1 tenant with 1 key, 1 sink, 2 partitions, log local, region-of-north\n",
        "domain south: 1 tenant with 1 key, 1 sink, 2 partitions, log local, region-of-south\n",
    ] {
        assert!(printed.contains(line), "{printed}");
    }
    let (code, printed) = run(&["check", "--probe", "--domain", "south"]);
    assert_eq!(code, 0, "{printed}");
    assert!(printed.contains("domain south, log: ") && !printed.contains("north"), "{printed}");

    // One process for each domain: neither has the other's log.
    let processes = DOMAINS.map(|name| {
        let child = command_line.spawn_with(&["up", "--domain", name]);
        command_line.await_started(child)
    });
    for (process, name) in processes.iter().zip(DOMAINS) {
        assert_eq!(process.post_as(&key(name), "/v1/events", &sale(1, "plums", "1")).0, 202);
        for other in DOMAINS.iter().filter(|other| **other != name) {
            assert_eq!(process.post_as(&key(other), "/v1/events", &sale(1, "plums", "1")).0, 401);
        }
    }
    for process in processes {
        assert!(process.terminate().success());
    }
}
