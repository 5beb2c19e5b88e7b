-- The database, its owner and its server, for the script that makes our role.
SELECT d.datname::text,
       owner.rolname::text,
       owner.rolsuper,
       EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'rds_superuser')
FROM pg_catalog.pg_database AS d
     JOIN pg_catalog.pg_roles AS owner ON owner.oid = d.datdba
WHERE d.datname = current_database()
