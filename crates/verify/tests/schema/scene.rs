//! Two databases and what is said about them.

use std::process::Command;

use trunkline_postgres::{Conninfo, Session};
use trunkline_testkit::Cluster;
use trunkline_testkit::sandbox::client_programs;
use trunkline_verify::{SchemaDescription, SchemaDifference, schema_differences};

pub(crate) const ROLES: &str = include_str!("roles.sql");
pub(crate) const OBJECTS: &str = include_str!("objects.sql");

/// Expressions and queries for servers of a version.
pub(crate) fn expressions(major: u32) -> String {
    let mut sql = include_str!("expressions.sql").to_owned();
    if major >= 14 {
        sql += include_str!("expressions_14.sql");
    }
    sql
}

/// A session as the product opens it.
pub(crate) async fn session(uri: &str) -> Session {
    let conninfo = Conninfo::resolve(uri).expect("a connection string");
    Session::connect(&conninfo, "test")
        .await
        .expect("a session")
}

/// A database as it stands.
pub(crate) async fn describe(uri: &str) -> SchemaDescription {
    let mut session = session(uri).await;
    SchemaDescription::read(&mut session, None)
        .await
        .expect("a description")
}

/// What differs between two databases.
pub(crate) async fn differences(source: &str, target: &str) -> Vec<SchemaDifference> {
    schema_differences(&describe(source).await, &describe(target).await)
}

/// Copies the structure with programs of the newer version.
pub(crate) fn copy_structure(source: &Cluster, target: &Cluster) {
    let newer = source.major().max(target.major());
    let mut programs = client_programs().into_iter();
    let programs = programs.find(|programs| programs.major >= newer);
    let programs = programs.expect("client programs as new as the servers");
    let shell = format!(
        "{} --schema-only -d {} | {} -X -q -v ON_ERROR_STOP=1 -d {} -o /dev/null",
        programs.bin.join("pg_dump").display(),
        source.uri("postgres"),
        programs.bin.join("psql").display(),
        target.uri("postgres"),
    );
    let output = Command::new("sh").args(["-c", &shell]).output();
    let output = output.expect("a shell");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}

/// Differences as lines, for messages.
pub(crate) fn lines(differences: &[SchemaDifference]) -> String {
    let lines: Vec<_> = differences.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
