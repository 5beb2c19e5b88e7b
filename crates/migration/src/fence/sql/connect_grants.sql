-- Who may connect to the database $1, by whose grant. Role 0 is PUBLIC.
SELECT granted.grantor::bigint, granted.grantee::bigint, granted.is_grantable
  FROM pg_catalog.pg_database d
 CROSS JOIN pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba)))
            AS granted
 WHERE d.datname = $1
   AND granted.privilege_type = 'CONNECT'
 ORDER BY 1, 2
