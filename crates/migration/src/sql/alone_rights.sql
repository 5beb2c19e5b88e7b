-- Why this role cannot read the relations of the schemas $1 and names $2; those that it can
-- read are not listed.
SELECT n.nspname::text, c.relname::text, barred.why
  FROM unnest($1::text[], $2::text[]) AS asked(schema, name)
  JOIN pg_namespace n ON n.nspname = asked.schema
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = asked.name
 CROSS JOIN LATERAL (
       SELECT CASE
              WHEN NOT has_schema_privilege(n.oid, 'USAGE')
              THEN 'permission denied for schema ' || n.nspname
              WHEN NOT has_table_privilege(c.oid, 'SELECT')
              THEN 'permission denied'
              WHEN row_security_active(c.oid)
              THEN 'row-level security would hide rows from this role'
              WHEN c.relpersistence = 'u' AND pg_is_in_recovery()
              THEN 'it is unlogged, and a standby does not have its rows'
              END AS why) AS barred
 WHERE barred.why IS NOT NULL
 ORDER BY 1, 2
