//! Servers keep their data over a restart and a crash, and never outlive the test process.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use trunkline_testkit::sandbox::Mode;
use trunkline_testkit::{Cluster, skip_unless_available};

const HOLD: &str = "TRUNKLINE_TEST_HOLDS_A_SERVER";

#[test]
fn a_restart_keeps_the_data_and_the_port() {
    let mut cluster = Cluster::start_any();
    let port = cluster.port();
    cluster.psql("postgres", "CREATE TABLE kept AS SELECT 7 AS n");
    cluster.restart();
    assert_eq!(cluster.psql("postgres", "SELECT n FROM kept"), "7");
    cluster.stop(Mode::Immediate);
    cluster.start_again();
    assert_eq!(cluster.psql("postgres", "SELECT n FROM kept"), "7");
    assert_eq!(cluster.port(), port);
}

#[test]
fn a_killed_server_recovers_what_was_committed() {
    let mut cluster = Cluster::start_any();
    cluster.psql("postgres", "CREATE TABLE kept (n int)");
    cluster.psql(
        "postgres",
        "INSERT INTO kept SELECT generate_series(1, 1000)",
    );
    cluster.kill();
    assert!(cluster.server().process_id().is_none());
    cluster.start_again();
    let count = cluster.psql("postgres", "SELECT count(*) FROM kept");
    assert_eq!(count, "1000");
    assert!(cluster.server().log().contains("automatic recovery"));
}

#[test]
fn a_base_backup_becomes_a_standby() {
    // A version of which the test set-up has both the server and its pg_basebackup.
    skip_unless_available!(16);
    let primary = Cluster::start(16);
    primary.psql("postgres", "CREATE TABLE kept AS SELECT 7 AS n");
    let standby = Cluster::builder(16)
        .base_backup_of(&primary, &["--write-recovery-conf"])
        .start();
    assert_eq!(standby.psql("postgres", "SELECT pg_is_in_recovery()"), "t");
    assert_eq!(standby.psql("postgres", "SELECT n FROM kept"), "7");
}

#[test]
fn a_dropped_server_is_gone_with_its_folder() {
    let mut cluster = Cluster::start_any();
    let (id, data) = identity(&mut cluster);
    drop(cluster);
    assert!(!runs(id));
    assert!(!data.exists());
}

#[test]
fn servers_die_with_a_process_that_is_killed() {
    let mut holder = Command::new(env::current_exe().expect("a test has a path"))
        .args(["--exact", "holds_a_server", "--ignored", "--nocapture"])
        .env(HOLD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test binary runs");
    let (id, data) = announced(&mut holder);
    assert!(runs(id) && data.exists());
    holder.kill().expect("SIGKILL can be sent");
    holder.wait().expect("it can be waited for");
    let limit = Instant::now() + Duration::from_secs(20);
    while runs(id) || data.exists() {
        assert!(Instant::now() < limit, "the server outlived its process");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Not a test: what the test above runs in another process and kills.
#[test]
#[ignore = "run by servers_die_with_a_process_that_is_killed"]
fn holds_a_server() {
    if env::var_os(HOLD).is_none() {
        return;
    }
    let mut cluster = Cluster::start_any();
    let (id, data) = identity(&mut cluster);
    println!("\nserver {id} {}", data.display());
    // Ends when the pipe from the test closes, so that nothing waits for ever.
    std::io::stdin().lines().for_each(drop);
}

fn announced(holder: &mut Child) -> (u32, PathBuf) {
    let output = holder.stdout.take().expect("the output is a pipe");
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if let Some(rest) = line.strip_prefix("server ") {
            let (id, data) = rest.split_once(' ').expect("two words");
            return (id.parse().expect("a number"), data.into());
        }
    }
    panic!("the helper process announced no server");
}

fn identity(cluster: &mut Cluster) -> (u32, PathBuf) {
    let server = cluster.server();
    let id = server.process_id().expect("it runs");
    (id, server.data().to_owned())
}

/// Whether a process exists and is more than a zombie.
fn runs(process_id: u32) -> bool {
    let stat =
        std::fs::read_to_string(Path::new("/proc").join(process_id.to_string()).join("stat"));
    stat.is_ok_and(|text| !text.contains(") Z "))
}
