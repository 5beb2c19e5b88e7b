SELECT pg_catalog.pg_advisory_lock(pg_catalog.hashtextextended('trunkline ' || $1, 0))
