//! `maintenance_work_mem` of index builds and validations: pure, as SQL that asks the
//! target's own settings. More memory is not faster: below what the caches near a core hold,
//! sorting small runs and merging them beats sorting everything at once (docs/decisions/0014).

use crate::limits::{
    BUILD_CACHED_SHARE, BUILD_LARGE_BYTES, BUILD_PROCESS_BYTES, BUILD_SORTED_BYTES,
};

/// What a session that builds or validates is given: the target's own setting if that is
/// more, else a quarter of its shared buffers, within bounds.
pub(crate) fn session_sql() -> String {
    let (least, most) = (BUILD_LARGE_BYTES.start(), BUILD_LARGE_BYTES.end());
    format!(
        "SELECT pg_catalog.set_config('maintenance_work_mem', greatest( \
           pg_catalog.pg_size_bytes(pg_catalog.current_setting('maintenance_work_mem')), \
           least({most}, greatest({least}, \
             pg_catalog.pg_size_bytes(pg_catalog.current_setting('shared_buffers')) / 4)) \
         ) / 1024 || 'kB', false)"
    )
}

/// What the memory of one index's build is chosen by: its method, and the bytes of the
/// source's index.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Need {
    /// A b-tree: sorted.
    Sorted(u64),
    /// GIN: filled by portions.
    Portions(u64),
    /// Any other. An extension's method may need what it would build in memory.
    #[default]
    Unknown,
}

impl Need {
    /// `method` as in `pg_am`.
    pub(crate) fn of_index(method: &str, bytes: u64) -> Self {
        match method {
            "btree" => Need::Sorted(bytes),
            "gin" => Need::Portions(bytes),
            _ => Need::Unknown,
        }
    }

    /// What goes before the build, in its transaction. Nothing where the session's setting is
    /// right.
    pub(crate) fn sql(self) -> String {
        // How many processes build one of it. With less than 32 MB for each the server begins
        // fewer (`plan_create_index_workers`); GIN is built by several from 18 on.
        let (processes, bytes, bound) = match self {
            // With more than this the runs are merged more than once.
            Need::Sorted(bytes) => (PROCESSES.to_owned(), bytes, BUILD_SORTED_BYTES.to_string()),
            // Each portion goes all over the index, which must be in the caches.
            Need::Portions(bytes) => (
                format!(
                    "CASE WHEN pg_catalog.current_setting('server_version_num')::int >= 180000 \
                     THEN {PROCESSES} ELSE 1 END"
                ),
                bytes,
                format!(
                    "pg_catalog.pg_size_bytes(pg_catalog.current_setting('effective_cache_size')) \
                     / {BUILD_CACHED_SHARE}"
                ),
            ),
            Need::Unknown => return String::new(),
        };
        let each = BUILD_PROCESS_BYTES / 1024;
        format!(
            "SELECT pg_catalog.set_config('maintenance_work_mem', ({each} * ({processes})) || 'kB', true) \
             WHERE {bytes} <= {bound}; "
        )
    }
}

/// As many as the setting says, the one that begins them among them, and two at the least: what
/// a server with PostgreSQL's own settings gives. A third was slower on two cores.
const PROCESSES: &str =
    "greatest(2, pg_catalog.current_setting('max_parallel_maintenance_workers')::int)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_methods_that_were_measured_get_little() {
        let sql = |method| Need::of_index(method, 1 << 20).sql();
        assert!(sql("btree").contains("WHERE 1048576 <= 4294967296"));
        assert!(sql("gin").contains("WHERE 1048576 <= pg_catalog.pg_size_bytes"));
        assert_eq!(sql("hnsw"), "");
    }
}
