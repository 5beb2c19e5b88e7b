-- Every process in this database that could write, but for ours ($1) and for the server's
-- own: autovacuum has no role. A walsender takes SQL as well, unless it streams: it then holds
-- a slot. That alone says nothing: any session holds the temporary slot that it made, and a
-- permanent one while it reads that by SQL. Which processes are walsenders every role may see, and
-- what they do some. Ours may rest between two streams. A process whose kind we may not see counts
-- as one that could write.
SELECT a.pid,
       coalesce(a.usename, 'no role'),
       CASE WHEN coalesce(a.backend_type, 'client backend') = 'client backend'
            THEN coalesce(nullif(a.application_name, ''), a.backend_type, 'unknown')
            ELSE concat_ws(', ', a.backend_type, nullif(a.application_name, ''))
       END
  FROM pg_catalog.pg_stat_activity a
 WHERE a.datname = pg_catalog.current_database()
   AND a.pid <> pg_catalog.pg_backend_pid()
   AND a.pid <> ALL ($1::integer[])
   AND coalesce(a.backend_type, '') <> 'autovacuum worker'
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_replication r
                     JOIN pg_catalog.pg_replication_slots s ON s.active_pid = r.pid
                    WHERE r.pid = a.pid AND NOT s.temporary
                      AND r.state IS DISTINCT FROM 'startup')
   AND NOT (a.backend_type = 'walsender'
            AND a.usename = session_user
            AND a.application_name LIKE 'trunkline %')
   AND NOT (a.usesysid IS NULL AND a.backend_type IS NULL)
 ORDER BY a.pid
