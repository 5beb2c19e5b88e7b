SELECT pg_catalog.pg_advisory_unlock(pg_catalog.hashtextextended('trunkline ' || $1, 0))
