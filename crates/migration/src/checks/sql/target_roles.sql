-- Which of the roles $1 exist here, and whether our role has their rights and may give objects
-- to them (from 16 on that is the SET option of the membership).
SELECT r.rolname::text,
       r.rolsuper,
       pg_has_role(r.oid, 'USAGE'),
       pg_has_role(r.oid, CASE WHEN current_setting('server_version_num')::int >= 160000
                               THEN 'SET' ELSE 'MEMBER' END)
FROM pg_catalog.pg_roles AS r
WHERE r.rolname = ANY ($1::text[])
