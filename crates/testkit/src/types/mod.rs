//! Tables that hold every built-in type at its edges, every kind of name, key and partition,
//! and transactions that change them in every way that a stream can carry.
//!
//! The SQL is in files by theme, below `sql/types` and `sql/mutate`. Lines that begin with `--+`
//! divide them: `--+ since 14` begins a part for that major version and later ones, `--+ always`
//! ends it, `--+ transaction` begins the next transaction.

mod script;

use tokio_postgres::Client;

use crate::cluster::ok;
use script::{sections, transactions};

macro_rules! files {
    ($folder:literal: $($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../sql/", $folder, "/", $name, ".sql")))),+]
    };
}

const CREATE: &[(&str, &str)] = files!("types":
    "00_begin", "10_numbers", "11_texts", "12_times", "13_networks_and_shapes", "14_documents",
    "15_internals", "16_ranges", "17_arrays", "18_user_types", "19_user_type_rows", "20_contrib",
    "30_wide", "31_names", "40_columns", "41_partitions", "42_constraints",
    "43_replica_identities", "44_large_values", "50_schema_objects", "99_end",
);

const MUTATE: &[(&str, &str)] = files!("mutate":
    "10_values", "20_keys", "30_identities", "40_large_values", "50_transactions",
);

/// Long enough to be stored out of line, short enough for many tests.
const TOAST_BYTES: u32 = 20_000;

/// The tables of the matrix without a key that the stream could send: they only ever get
/// inserts and TRUNCATE from [`TypeMatrix::mutate`].
pub const INSERT_ONLY: &[&str] = &[
    "matrix.identity_nothing",
    "matrix.keyless",
    "matrix.keyless_empty",
    "matrix.no_columns",
];

/// Tables whose old rows come whole and hold types without equality (json, xml, point): finding
/// a row again needs the text of its values. Native replication cannot do it.
pub const WITHOUT_EQUALITY: &[&str] = &["matrix.identity_full_json"];

/// The matrix for servers of some major version.
#[derive(Debug, Clone, Copy)]
pub struct TypeMatrix {
    major: u32,
    toast_bytes: u32,
}

impl TypeMatrix {
    /// What a server of this major version can hold; for a move between two versions, name the
    /// older one.
    pub fn for_major(major: u32) -> Self {
        Self {
            major,
            toast_bytes: TOAST_BYTES,
        }
    }

    /// The size of the large values; 20,000 bytes by default.
    #[must_use]
    pub fn toast_bytes(mut self, bytes: u32) -> Self {
        self.toast_bytes = bytes;
        self
    }

    /// The scripts that create the tables with their rows, each with its theme. Each runs by
    /// itself, in this order, in one session.
    pub fn create(self) -> Vec<(&'static str, String)> {
        let toast_bytes = self.toast_bytes.to_string();
        CREATE
            .iter()
            .map(|(name, text)| {
                let script = sections(text, self.major).replace("{toast_bytes}", &toast_bytes);
                (*name, script)
            })
            .collect()
    }

    /// Transactions that change the rows, each a script from BEGIN to COMMIT. Any number of
    /// rounds can follow each other; each needs a number of its own.
    pub fn mutate(self, round: u32) -> Vec<(&'static str, String)> {
        let round = round.to_string();
        MUTATE
            .iter()
            .flat_map(|(name, text)| {
                let script = sections(text, self.major).replace("{round}", &round);
                transactions(&script)
                    .into_iter()
                    .map(|transaction| (*name, transaction))
            })
            .collect()
    }

    /// Runs [`Self::create`].
    pub async fn create_in(self, client: &Client) {
        for (name, script) in self.create() {
            let doing = format!("create the matrix ({name})");
            ok(&doing, client.batch_execute(&script).await);
        }
    }

    /// Runs [`Self::mutate`].
    pub async fn mutate_in(self, client: &Client, round: u32) {
        for (name, script) in self.mutate(round) {
            let doing = format!("change the matrix ({name}, round {round}):\n{script}\n");
            ok(&doing, client.batch_execute(&script).await);
        }
    }
}
