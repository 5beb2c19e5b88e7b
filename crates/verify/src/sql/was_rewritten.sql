-- Whether table $1 or one of its partitions has another file now than in this snapshot:
-- pg_class is read in the snapshot, pg_relation_filenode() looks at the latest state.
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_class c
     WHERE c.oid IN (SELECT $1::text::pg_catalog.regclass
                     UNION ALL
                     SELECT relid FROM pg_catalog.pg_partition_tree($1::text::pg_catalog.regclass))
       AND nullif(c.relfilenode, 0) IS DISTINCT FROM pg_catalog.pg_relation_filenode(c.oid))
