-- Which of the tablespaces $1 this server has, and whether our role may use them.
SELECT t.spcname::text, has_tablespace_privilege(t.oid, 'CREATE')
FROM pg_catalog.pg_tablespace AS t
WHERE t.spcname = ANY ($1::text[])
