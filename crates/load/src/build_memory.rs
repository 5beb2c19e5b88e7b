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

/// What goes before the build of one index, in its transaction: `method` as in `pg_am`, and
/// the bytes of the source's index. Nothing where the session's setting is right.
pub(crate) fn of_index(method: &str, bytes: u64) -> String {
    let cached = format!(
        "pg_catalog.pg_size_bytes(pg_catalog.current_setting('effective_cache_size')) / {BUILD_CACHED_SHARE}"
    );
    // How many processes build one of it. With less than 32 MB for each the server begins fewer
    // (`plan_create_index_workers`); GIN is built by several from 18 on.
    let (processes, bound) = match method {
        // Sorted: with more than this the runs are merged more than once.
        "btree" => (PROCESSES.to_owned(), BUILD_SORTED_BYTES.to_string()),
        // Filled by portions: each goes all over the index, which must be in the caches.
        "gin" => (
            format!(
                "CASE WHEN pg_catalog.current_setting('server_version_num')::int >= 180000 \
                 THEN {PROCESSES} ELSE 1 END"
            ),
            cached,
        ),
        // Others, an extension's among them, may need what they would build in memory.
        _ => return String::new(),
    };
    let each = BUILD_PROCESS_BYTES / 1024;
    format!(
        "SELECT pg_catalog.set_config('maintenance_work_mem', ({each} * ({processes})) || 'kB', true) \
         WHERE {bytes} <= {bound}; "
    )
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
        assert!(of_index("btree", 1 << 20).contains("WHERE 1048576 <= 4294967296"));
        assert!(of_index("gin", 1 << 20).contains("WHERE 1048576 <= pg_catalog.pg_size_bytes"));
        assert_eq!(of_index("hnsw", 1 << 20), "");
    }
}
