//! The comparison gives equal text for equal contents on servers of different versions.

use std::process::Command;

use trunkline_testkit::contents::assert_same_contents;
use trunkline_testkit::sandbox::program;
use trunkline_testkit::types::TypeMatrix;
use trunkline_testkit::{Cluster, skip_unless_available};

async fn looks_the_same(source_major: u32, target_major: u32) {
    let source = Cluster::start(source_major);
    let target = Cluster::start(target_major);
    let matrix = TypeMatrix::for_major(source_major);
    let client = source.client("postgres").await;
    matrix.create_in(&client).await;
    matrix.mutate_in(&client, 1).await;
    let shell = format!(
        "{} -d {} | {} -X -q -v ON_ERROR_STOP=1 -d {} -o /dev/null",
        program(18, "pg_dump").expect("it is there").display(),
        source.uri("postgres"),
        program(18, "psql").expect("it is there").display(),
        target.uri("postgres"),
    );
    let output = Command::new("sh").args(["-c", &shell]).output();
    let output = output.expect("a shell");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_same_contents(&client, &target.client("postgres").await).await;
}

#[tokio::test]
async fn the_matrix_of_12_looks_the_same_on_18() {
    skip_unless_available!(12, 18);
    looks_the_same(12, 18).await;
}

#[tokio::test]
async fn the_matrix_of_15_looks_the_same_on_17() {
    skip_unless_available!(15, 17, 18);
    looks_the_same(15, 17).await;
}
