//! `maintenance_work_mem` of index builds and validations: pure, as SQL that asks the
//! target's own settings. More memory is not faster: below what the caches near a core hold,
//! sorting small runs and merging them beats sorting everything at once (docs/decisions/0014).

use crate::limits::{
    BUILD_CACHED_SHARE, BUILD_LARGE_BYTES, BUILD_SMALL_BYTES, BUILD_SORTED_BYTES, GIN_PORTION_BYTES,
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
    let little = |bytes: u64| format!("'{}kB'", bytes / 1024);
    match method {
        // Sorted: with more than this the runs are merged more than once.
        "btree" if bytes <= BUILD_SORTED_BYTES => {
            let little = little(BUILD_SMALL_BYTES);
            format!("SET LOCAL maintenance_work_mem = {little}; ")
        }
        // Filled by portions: each goes all over the index, which must be in the caches.
        "gin" => format!(
            "SELECT pg_catalog.set_config('maintenance_work_mem', {}, true) \
             WHERE {bytes} <= pg_catalog.pg_size_bytes( \
               pg_catalog.current_setting('effective_cache_size')) / {BUILD_CACHED_SHARE}; ",
            little(GIN_PORTION_BYTES)
        ),
        // Others, an extension's among them, may need what they would build in memory.
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_methods_that_were_measured_get_little() {
        assert!(of_index("btree", 1 << 20).contains("= '65536kB'"));
        assert_eq!(of_index("btree", BUILD_SORTED_BYTES + 1), "");
        assert!(of_index("gin", 1 << 20).contains("WHERE 1048576 <="));
        assert_eq!(of_index("hnsw", 1 << 20), "");
    }
}
