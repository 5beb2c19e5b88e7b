//! Everything in the catalogs that a migration could leave behind, as sorted text.

use std::fmt::Write as _;

use tokio_postgres::Client;

use crate::cluster::ok;

/// One query per kind of object; each gives lines of text. The number is the first major
/// version that has the catalog.
const QUERIES: &[(&str, i32, &str)] = &[
    (
        "database",
        12,
        include_str!("../../sql/catalog/database.sql"),
    ),
    (
        "replication",
        12,
        include_str!("../../sql/catalog/replication.sql"),
    ),
    (
        "published schemas",
        15,
        include_str!("../../sql/catalog/published_schemas.sql"),
    ),
    ("roles", 12, include_str!("../../sql/catalog/roles.sql")),
    (
        "parameter privileges",
        15,
        include_str!("../../sql/catalog/parameter_privileges.sql"),
    ),
    (
        "relations",
        12,
        include_str!("../../sql/catalog/relations.sql"),
    ),
    (
        "table parts",
        12,
        include_str!("../../sql/catalog/table_parts.sql"),
    ),
    (
        "schema objects",
        12,
        include_str!("../../sql/catalog/schema_objects.sql"),
    ),
];

/// Describes the current database and what it shares with its cluster, without any position,
/// value or size: equal text before and after means that nothing was left behind.
pub async fn catalog(client: &Client) -> String {
    let version = "SELECT current_setting('server_version_num')::int / 10000";
    let major: i32 = ok("read the version", client.query_one(version, &[]).await).get(0);
    let pinned = "BEGIN READ ONLY; SET LOCAL search_path = pg_catalog";
    ok("pin settings", client.batch_execute(pinned).await);
    let mut text = String::new();
    for (kind, since, query) in QUERIES {
        if major < *since {
            continue;
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, "== {kind}");
        let doing = format!("read the catalog's {kind}");
        let mut lines: Vec<String> = ok(&doing, client.query(*query, &[]).await)
            .into_iter()
            .map(|row| row.get(0))
            .collect();
        lines.sort();
        for line in lines {
            let _ = writeln!(text, "{line}");
        }
    }
    ok("end the snapshot", client.batch_execute("COMMIT").await);
    text
}
