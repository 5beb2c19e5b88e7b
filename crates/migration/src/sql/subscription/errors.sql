-- Since version 15: what has failed for subscription $1, and the conflicts that the server
-- counts (since version 18).
SELECT e.apply_error_count, e.sync_error_count,
       (SELECT string_agg(pg_catalog.replace(pg_catalog.substr(f.key, 7), '_', ' ') || ': ' || f.value,
                          ', ' ORDER BY f.key)
          FROM pg_catalog.jsonb_each_text(pg_catalog.to_jsonb(e)) AS f
         WHERE f.key LIKE 'confl\_%' AND f.value <> '0')
  FROM pg_catalog.pg_stat_subscription_stats e
 WHERE e.subname = $1
