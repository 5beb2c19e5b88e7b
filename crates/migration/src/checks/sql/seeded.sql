-- What a physical copy of the server brings with it beside this database.
SELECT (SELECT pg_catalog.string_agg(datname::text, E'\n' ORDER BY datname)
        FROM pg_catalog.pg_database
        WHERE datallowconn AND datname NOT IN ('postgres', 'template1', 'rdsadmin')
          AND datname <> pg_catalog.current_database()),
       (SELECT pg_catalog.string_agg(spcname::text, E'\n' ORDER BY spcname)
        FROM pg_catalog.pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')),
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_subscription),
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_xacts),
       pg_catalog.pg_is_in_recovery()
