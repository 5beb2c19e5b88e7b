-- The version of the default collation as the operating system or ICU has it now (15 and later).
SELECT pg_database_collation_actual_version(d.oid)
FROM pg_catalog.pg_database AS d
WHERE d.datname = current_database()
