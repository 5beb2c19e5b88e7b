-- Whether the source keeps for physical slot $1 the catalog rows that the relay's slot, which
-- needs them from transaction $2 on, decodes with.
SELECT EXISTS (SELECT
               FROM pg_catalog.pg_replication_slots AS s
               WHERE s.slot_name = $1
                 AND s.catalog_xmin IS NOT NULL
                 AND pg_catalog.age(s.catalog_xmin) >= pg_catalog.age($2::text::pg_catalog.xid))
