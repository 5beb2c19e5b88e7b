-- Size of the database on disk (NULL where the role may not know).
SELECT CASE WHEN has_database_privilege(d.oid, 'CONNECT') THEN pg_database_size(d.oid) END
FROM pg_catalog.pg_database AS d
WHERE d.datname = current_database()
