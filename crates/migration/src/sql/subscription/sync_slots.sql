-- How the names of slots begin that subscription $1 may have made for single tables that are
-- not ready, as one pattern; nothing where all are.
SELECT string_agg(pg_catalog.format('pg_%s_sync_%s', r.srsubid, r.srrelid), '|')
  FROM pg_catalog.pg_subscription_rel r
 WHERE r.srsubid = $1::bigint::oid AND r.srsubstate <> 'r'
