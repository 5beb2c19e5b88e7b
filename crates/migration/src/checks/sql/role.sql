-- What the role of this session is and may do, in its own right or by inherited membership
-- ('USAGE': rights that hold without SET ROLE). $1: the maintenance database.
SELECT me.rolname::text,
       me.rolsuper,
       me.rolreplication,
       me.rolbypassrls,
       me.rolconnlimit,
       d.datconnlimit,
       EXISTS (SELECT FROM pg_catalog.pg_roles AS g
               WHERE g.rolname = 'rds_replication' AND pg_has_role(g.oid, 'USAGE')),
       EXISTS (SELECT FROM pg_catalog.pg_roles AS g
               WHERE g.rolname = 'rds_superuser' AND pg_has_role(g.oid, 'USAGE')),
       pg_has_role('pg_read_all_stats', 'USAGE'),
       pg_has_role('pg_signal_backend', 'USAGE'),
       has_database_privilege(d.oid, 'CREATE'),
       pg_has_role(d.datdba, 'USAGE'),
       owner.rolname::text,
       owner.rolsuper,
       EXISTS (SELECT
               FROM pg_catalog.pg_database AS o
               WHERE o.datname = $1::text AND o.datallowconn AND o.oid <> d.oid
                 AND has_database_privilege(o.oid, 'CONNECT'))
FROM pg_catalog.pg_roles AS me,
     pg_catalog.pg_database AS d
     JOIN pg_catalog.pg_roles AS owner ON owner.oid = d.datdba
WHERE me.rolname = current_user
  AND d.datname = current_database()
