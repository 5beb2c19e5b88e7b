-- Size and SHA-256 of the large objects $1, read by this server in pieces of $2 bytes: a hole
-- reads as zeros, however an object is stored.
WITH RECURSIVE piece AS (
    SELECT o.oid, 0::bigint AS at, length(r.bytes) AS size, sha256(r.bytes) AS hash
      FROM unnest($1::text[]::oid[]) AS o(oid)
     CROSS JOIN LATERAL (SELECT lo_get(o.oid, 0::bigint, $2::integer) AS bytes OFFSET 0) AS r
     UNION ALL
    SELECT p.oid, p.at + p.size, length(r.bytes), sha256(r.bytes)
      FROM piece p
     CROSS JOIN LATERAL (SELECT lo_get(p.oid, p.at + p.size, $2::integer) AS bytes OFFSET 0) AS r
     WHERE p.size = $2::integer
)
SELECT oid, sum(size)::bigint, encode(sha256(string_agg(hash, ''::bytea ORDER BY at)), 'hex')
  FROM piece
 GROUP BY oid
