-- Grants of CONNECT on the current database that the session's role could not make again as
-- they are: made by somebody else than the owner whose place it may not take, or whose place
-- is the owner's (a member of the owner grants as the owner; manual, GRANT).
SELECT grantor.rolname,
       CASE granted.grantee WHEN 0 THEN 'PUBLIC' ELSE grantee.rolname::text END
  FROM pg_catalog.pg_database d
 CROSS JOIN pg_catalog.aclexplode(d.datacl) AS granted
  JOIN pg_catalog.pg_roles grantor ON grantor.oid = granted.grantor
  LEFT JOIN pg_catalog.pg_roles grantee ON grantee.oid = granted.grantee
 WHERE d.datname = pg_catalog.current_database()
   AND granted.privilege_type = 'CONNECT'
   AND granted.grantor <> d.datdba
   AND (pg_catalog.pg_has_role(granted.grantor, d.datdba, 'USAGE')
        OR NOT pg_catalog.pg_has_role(session_user, granted.grantor, $1))
 ORDER BY 1, 2
