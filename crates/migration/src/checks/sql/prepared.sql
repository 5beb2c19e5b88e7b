-- Prepared transactions of the whole server: a slot waits for all of them.
SELECT p.gid,
       p.owner::text,
       p.database::text,
       extract(epoch FROM clock_timestamp() - p.prepared)::bigint
FROM pg_catalog.pg_prepared_xacts AS p
ORDER BY p.prepared
