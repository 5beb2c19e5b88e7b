-- What making a standby of this server needs.
SELECT (SELECT r.rolsuper OR r.rolreplication FROM pg_catalog.pg_roles r WHERE r.rolname = current_user),
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_slots),
       pg_catalog.current_setting('max_replication_slots')::bigint,
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication),
       pg_catalog.current_setting('max_wal_senders')::bigint,
       pg_catalog.current_setting('wal_level'),
       (SELECT pg_catalog.string_agg(spcname::text, ', ' ORDER BY spcname)
          FROM pg_catalog.pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')),
       pg_catalog.pg_is_in_recovery(),
       current_user::text
