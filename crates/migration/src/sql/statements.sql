-- The statements of this database that took the most time together, whoever ran them. Those of
-- Trunkline itself are left out: they say so, or are what an application hardly does. {view}
-- and {total} are filled in. A text that our role may not see comes without a queryid.
SELECT s.queryid::text,
       sum(s.calls)::int8,
       sum(s.{total})::float8,
       left(min(s.query), 10000)
FROM {view} AS s
WHERE s.dbid = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database())
  AND s.queryid IS NOT NULL
  AND s.calls > 0
  AND s.query !~* 'trunkline'
  AND s.query !~* 'pg_logical_(slot_|emit_message)|pg_replication_slots|pg_stat_statements|hashtextextended'
  AND s.query !~* '^\s*copy\M.*\m(to stdout|from stdin)\M'
GROUP BY s.queryid
ORDER BY 3 DESC, 1
LIMIT $1::int8
