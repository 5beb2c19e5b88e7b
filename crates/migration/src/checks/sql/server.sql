-- What server and database this is. pg_control_system() is asked apart: some providers hide it.
SELECT current_database(),
       pg_is_in_recovery(),
       pg_postmaster_start_time()::text,
       pg_backend_pid(),
       EXISTS (SELECT
               FROM pg_catalog.pg_db_role_setting AS s
                    JOIN pg_catalog.pg_database AS d ON d.oid = s.setdatabase,
                    unnest(s.setconfig) AS c(setting)
               WHERE d.datname = current_database() AND s.setrole = 0
                 AND c.setting ~* '^default_transaction_read_only=(on|true|yes|1|t|y)$'),
       EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'citus'),
       EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'rds_superuser'),
       EXISTS (SELECT FROM pg_catalog.pg_proc WHERE proname = 'aurora_version')
