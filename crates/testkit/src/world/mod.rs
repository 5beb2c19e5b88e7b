//! A shop whose clients never stop writing: a schema, its first rows, and seeded writers.

mod transaction;
mod writers;

use tokio_postgres::Client;

use crate::cluster::ok;

pub use writers::{Outcome, Writers, WritersBuilder};

const SCHEMA: &str = include_str!("../../sql/world/schema.sql");
const ROWS: &str = include_str!("../../sql/world/rows.sql");

/// Creates the schema `shop` without rows.
pub async fn create_schema(client: &Client) {
    ok("create the shop", client.batch_execute(SCHEMA).await);
}

/// Creates the schema `shop` with some 2,600 rows times `scale`.
pub async fn create(client: &Client, scale: u32) {
    create_schema(client).await;
    let rows = ROWS.replace("{scale}", &scale.to_string());
    ok("fill the shop", client.batch_execute(&rows).await);
}

/// The statements that create the schema, for a test that runs them itself.
pub fn schema_sql() -> &'static str {
    SCHEMA
}
