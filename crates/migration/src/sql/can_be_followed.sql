-- Whether changes of this server can be followed by our role.
SELECT pg_catalog.current_setting('wal_level'),
       (SELECT r.rolsuper OR r.rolreplication
               OR EXISTS (SELECT 1 FROM pg_catalog.pg_roles p
                           WHERE p.rolname IN ('rds_replication', 'rds_superuser')
                             AND pg_catalog.pg_has_role(r.oid, p.oid, 'MEMBER'))
          FROM pg_catalog.pg_roles r WHERE r.rolname = current_user),
       pg_catalog.current_setting('max_replication_slots')::bigint
           - (SELECT count(*) FROM pg_catalog.pg_replication_slots)
