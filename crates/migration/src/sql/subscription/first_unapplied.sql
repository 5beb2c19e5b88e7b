-- The position by which ALTER SUBSCRIPTION … SKIP knows the first transaction of slot $1 that
-- is not applied up to $3; $2: the publications. It is in the first message of a transaction:
-- 'B', then the commit's position in eight bytes. Nothing is consumed.
SELECT at.lsn
  FROM (SELECT pg_catalog.encode(pg_catalog.substr(m.data, 2, 8), 'hex') AS hex
          FROM pg_catalog.pg_logical_slot_peek_binary_changes(
                   $1, NULL, 1000, 'proto_version', '1', 'publication_names', $2) AS m
         WHERE pg_catalog.get_byte(m.data, 0) = 66) AS begins,
       LATERAL (SELECT (pg_catalog.substr(hex, 1, 8) || '/' || pg_catalog.substr(hex, 9, 8))::pg_lsn
                       AS lsn) AS at
 WHERE at.lsn >= $3::pg_lsn
 ORDER BY at.lsn
 LIMIT 1
