//! A server of the S3 protocol on a folder, for tests: `S3Proxy`, fetched by Maven once.
//!
//! Where Java or Maven is absent there is none, and standard error says loudly what was not run.
//! Where `CI` is set, absence is a failure.

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub(super) const BUCKET: &str = "lake";
pub(super) const KEY_ID: &str = "tester";
pub(super) const KEY: &str = "secret";
const START_LIMIT: Duration = Duration::from_mins(1);

/// A running server; it is gone when this is dropped.
#[derive(Debug)]
pub(super) struct S3Server {
    process: Child,
    pub(super) endpoint: String,
    folder: TempDir,
}

impl S3Server {
    /// Starts a server with one empty bucket.
    pub(super) fn start(what: &str) -> Option<Self> {
        if !is_installed() {
            return absent(what);
        }
        let jars = fetch();
        let folder = tempfile::tempdir().unwrap();
        let bucket = folder.path().join("buckets").join(BUCKET);
        fs::create_dir_all(bucket).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let endpoint = format!("http://127.0.0.1:{port}");
        let properties = folder.path().join("s3proxy.properties");
        let buckets = folder.path().join("buckets");
        let lines = format!(
            "s3proxy.endpoint={endpoint}\ns3proxy.authorization=aws-v2-or-v4\n\
             s3proxy.identity={KEY_ID}\ns3proxy.credential={KEY}\n\
             jclouds.provider=filesystem-nio2\njclouds.filesystem.basedir={}\n\
             jclouds.identity=none\njclouds.credential=none\n",
            buckets.display()
        );
        fs::write(&properties, lines).unwrap();
        let process = Command::new("java")
            .arg("-cp")
            .arg(jars.join("*"))
            .args(["org.gaul.s3proxy.Main", "--properties"])
            .arg(properties)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { process, endpoint, folder };
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "the S3 server does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }

    /// Where the bucket's objects lie as files.
    pub(super) fn bucket(&self) -> PathBuf {
        self.folder.path().join("buckets").join(BUCKET)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.process.kill();
        let _status = self.process.wait();
    }
}

fn fetch() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let jars = root.join("../target/s3proxy");
    if !jars.join("fetched").exists() {
        let status = Command::new("mvn")
            .args(["-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-f"])
            .arg(root.join("tests/s3_server/pom.xml"))
            .arg(format!("-DoutputDirectory={}", jars.display()))
            .status()
            .unwrap();
        assert!(status.success(), "Maven could not fetch S3Proxy");
        fs::write(jars.join("fetched"), "").unwrap();
    }
    jars
}

fn is_installed() -> bool {
    ["java", "mvn"].iter().all(|program| {
        let mut command = Command::new(program);
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    })
}

#[expect(clippy::disallowed_methods, reason = "the one place where this test reads it")]
fn absent<T>(what: &str) -> Option<T> {
    let message = format!("NOT RUN: {what}: Java or Maven is absent, so there is no S3 server\n");
    assert!(std::env::var("CI").is_err(), "{message}");
    // Straight to the terminal: the test harness hides what a passing test prints.
    std::io::stderr().write_all(message.as_bytes()).unwrap();
    None
}
