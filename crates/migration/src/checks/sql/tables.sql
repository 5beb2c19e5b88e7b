-- Every table of the database that could move, with what the checks ask of it. Sizes are the
-- planner's (relpages): no table is opened, so none is waited for.
WITH special AS (
    SELECT a.attrelid,
           count(*) FILTER (WHERE a.attgenerated = 's') AS stored,
           count(*) FILTER (WHERE a.attgenerated NOT IN ('', 's')) AS virtual,
           count(*) FILTER (WHERE a.attidentity <> '') AS identities
    FROM pg_catalog.pg_attribute AS a
    WHERE a.attnum > 0 AND NOT a.attisdropped AND (a.attgenerated <> '' OR a.attidentity <> '')
    GROUP BY a.attrelid
), unique_indexes AS (
    SELECT i.indrelid,
           i.indisprimary,
           i.indisreplident,
           i.indimmediate,
           x.relname AS name,
           g.generated,
           NOT g.generated AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
             AND NOT EXISTS (SELECT
                             FROM pg_catalog.pg_attribute AS a
                             WHERE a.attrelid = i.indrelid
                               AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
                               AND NOT a.attnotnull) AS suits
    FROM pg_catalog.pg_index AS i
         JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
         LEFT JOIN special AS s ON s.attrelid = i.indrelid
         -- The stream leaves generated columns out: the others are half a key.
         CROSS JOIN LATERAL (SELECT coalesce(s.stored + s.virtual, 0) > 0
                                    AND EXISTS (SELECT
                                    FROM pg_catalog.pg_attribute AS a
                                    WHERE a.attrelid = i.indrelid
                                      AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
                                      AND a.attgenerated <> '') AS generated) AS g
    WHERE i.indisunique AND i.indisvalid AND i.indisready
), keys AS (
    SELECT indrelid,
           bool_or(indisprimary AND indimmediate AND NOT generated) AS has_primary,
           bool_or(indisprimary AND NOT indimmediate) AS has_deferrable_primary,
           bool_or(generated AND (indisprimary OR indisreplident)) AS has_generated,
           bool_or(indisreplident AND NOT generated) AS has_chosen,
           min(name::text) FILTER (WHERE suits AND NOT indisprimary) AS candidate
    FROM unique_indexes
    GROUP BY indrelid
)
SELECT n.nspname::text,
       c.relname::text,
       c.relkind,
       c.relpersistence,
       owner.rolname::text,
       owner.rolsuper,
       pg_has_role(c.relowner, 'USAGE'),
       has_schema_privilege(c.relnamespace, 'USAGE'),
       has_table_privilege(c.oid, 'SELECT'),
       row_security_active(c.oid),
       c.relrowsecurity AND c.relforcerowsecurity,
       c.relreplident,
       coalesce(k.has_primary, false),
       coalesce(k.has_deferrable_primary, false),
       coalesce(k.has_chosen, false),
       coalesce(k.has_generated, false),
       coalesce(s.stored + s.virtual, 0) > 0
         AND current_setting('server_version_num')::int >= 180000,
       k.candidate,
       coalesce(s.stored, 0),
       coalesce(s.virtual, 0),
       coalesce(s.identities, 0),
       (greatest(c.relpages, 0)::bigint + greatest(coalesce(t.relpages, 0), 0)::bigint)
         * current_setting('block_size')::bigint,
       ARRAY (SELECT DISTINCT g.rolname::text
              FROM aclexplode(c.relacl) AS a JOIN pg_catalog.pg_roles AS g ON g.oid = a.grantee
              WHERE a.grantee <> c.relowner
              ORDER BY 1)
FROM pg_catalog.pg_class AS c
     JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     JOIN pg_catalog.pg_roles AS owner ON owner.oid = c.relowner
     LEFT JOIN pg_catalog.pg_class AS t ON t.oid = c.reltoastrelid
     LEFT JOIN keys AS k ON k.indrelid = c.oid
     LEFT JOIN special AS s ON s.attrelid = c.oid
WHERE c.relkind IN ('r', 'p', 'f')
  AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'trunkline')
  AND NOT EXISTS (SELECT
                  FROM pg_catalog.pg_depend AS e
                  WHERE e.classid = 'pg_catalog.pg_class'::regclass
                    AND e.objid = c.oid AND e.deptype = 'e')
ORDER BY n.nspname, c.relname
