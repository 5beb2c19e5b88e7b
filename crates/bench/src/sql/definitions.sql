SELECT definition
FROM (
    SELECT indexdef, schemaname FROM pg_indexes
    UNION ALL
    SELECT format('%s %s', c.conrelid::regclass, pg_get_constraintdef(c.oid)), n.nspname
    FROM pg_constraint AS c JOIN pg_namespace AS n ON n.oid = c.connamespace
    WHERE c.conrelid <> 0
) AS d (definition, namespace)
WHERE namespace NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'trunkline', 'pgcopydb')
ORDER BY 1
