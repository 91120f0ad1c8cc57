//! The exit code and text of the tool where there is nothing to judge.

use std::net::TcpListener;
use std::process::Command;

#[test]
fn a_target_that_settles_nothing_could_not_be_tried() {
    // The port is free again, so that nobody listens there.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_tillrace-loadtest"))
        .args(["--key", "any", "--target", &format!("http://{address}"), "--rate", "50"])
        .args(["--duration", "1s", "--give-up", "1s"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("which settled none") && said.contains(&address.to_string()), "{said}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "no verdict, and no rate");
}
