CREATE SCHEMA IF NOT EXISTS trunkline;
DROP EVENT TRIGGER IF EXISTS {end_trigger};
DROP EVENT TRIGGER IF EXISTS {drop_trigger};
-- Writes each change of structure into the log, in the transaction that makes it. It reads
-- the catalogs only, runs nothing of anybody's, and its errors are warnings: no DDL fails
-- for it.
CREATE OR REPLACE FUNCTION trunkline.{function}() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO'
SET intervalstyle = 'postgres'
SET extra_float_digits = 1
SET bytea_output = 'hex'
AS $trunkline$
DECLARE
    objects jsonb;
    said jsonb := jsonb_build_object(
        'event', tg_event, 'tag', tg_tag,
        'role', coalesce(nullif(current_setting('role'), 'none'), session_user::text),
        'statement', left(current_query(), 8000));
BEGIN
    IF tg_event = 'sql_drop' THEN
        SELECT jsonb_agg(jsonb_build_object(
                   'type', o.object_type, 'schema', o.schema_name,
                   'identity', o.object_identity, 'names', to_jsonb(o.address_names)))
          INTO objects
          FROM pg_event_trigger_dropped_objects() AS o
         WHERE NOT o.is_temporary
           AND (o.original OR o.object_type IN ('table', 'table column'))
           AND o.object_type NOT IN ('default value', 'publication', 'publication relation',
                                     'publication namespace', 'subscription', 'event trigger')
           AND o.object_identity <> 'trunkline' AND o.schema_name IS DISTINCT FROM 'trunkline';
    ELSE
        SELECT jsonb_agg(jsonb_build_object(
                   'type', o.object_type, 'schema', o.schema_name, 'identity', o.object_identity,
                   'relation', CASE WHEN c.relkind IN ('r', 'p') THEN jsonb_build_object(
                       'schema', n.nspname, 'name', c.relname, 'columns', {columns},
                       'constraints',
                           (SELECT jsonb_agg(jsonb_build_object(
                                       'name', k.conname, 'says', pg_get_constraintdef(k.oid),
                                       'foreign', k.contype = 'f',
                                       'columns', (SELECT jsonb_agg(a.attname)
                                                     FROM pg_attribute AS a
                                                    WHERE a.attrelid = k.conrelid
                                                      AND a.attnum = ANY (k.conkey))))
                              FROM pg_constraint AS k
                             WHERE k.conrelid = c.oid
                               AND k.contype IN ('c', 'f', 'p', 'u', 'x'))) END,
                   'index', CASE WHEN c.relkind IN ('i', 'I') THEN jsonb_build_object(
                       'schema', n.nspname, 'name', c.relname, 'made_by', pg_get_indexdef(c.oid),
                       'table_schema', tn.nspname, 'table', t.relname,
                       'alone', c.relkind = 'i' AND NOT c.relispartition
                           AND NOT EXISTS (SELECT FROM pg_constraint AS k
                                            WHERE k.conindid = c.oid)) END,
                   'enum', CASE WHEN y.typtype = 'e' THEN jsonb_build_object(
                       'schema', yn.nspname, 'name', y.typname,
                       'labels', (SELECT jsonb_agg(e.enumlabel ORDER BY e.enumsortorder)
                                    FROM pg_enum AS e WHERE e.enumtypid = y.oid)) END))
          INTO objects
          FROM (SELECT DISTINCT d.classid, d.objid, d.object_type, d.schema_name,
                       d.object_identity
                  FROM pg_event_trigger_ddl_commands() AS d
                 WHERE NOT d.in_extension
                   AND d.command_tag NOT IN ('REFRESH MATERIALIZED VIEW', 'REINDEX')
                   AND d.object_type NOT IN ('publication', 'publication relation',
                                             'publication namespace', 'subscription')
                   AND d.object_identity IS DISTINCT FROM 'trunkline'
                   AND coalesce(d.schema_name, '') !~ '^(trunkline$|pg_temp|pg_toast_temp)'
               ) AS o
          LEFT JOIN pg_class AS c ON o.classid = 'pg_class'::regclass AND c.oid = o.objid
          LEFT JOIN pg_namespace AS n ON n.oid = c.relnamespace
          LEFT JOIN pg_index AS x ON x.indexrelid = c.oid
          LEFT JOIN pg_class AS t ON t.oid = x.indrelid
          LEFT JOIN pg_namespace AS tn ON tn.oid = t.relnamespace
          LEFT JOIN pg_type AS y ON o.classid = 'pg_type'::regclass AND y.oid = o.objid
          LEFT JOIN pg_namespace AS yn ON yn.oid = y.typnamespace;
    END IF;
    IF objects IS NOT NULL THEN
        PERFORM pg_logical_emit_message(true, {prefix},
            convert_to((said || jsonb_build_object('objects', objects))::text, 'UTF8'));
        -- A message is decoded as if it stood at its end, where the next record begins. A row
        -- of the transaction that comes next, logged under another (sub)transaction's number
        -- than this block's, could be decoded before it: so something else comes next.
        PERFORM pg_logical_emit_message(true, 'trunkline.ddl', '');
    END IF;
EXCEPTION WHEN OTHERS THEN
    BEGIN
        PERFORM pg_logical_emit_message(true, {prefix},
            convert_to((said || jsonb_build_object('failed', sqlerrm))::text, 'UTF8'));
        PERFORM pg_logical_emit_message(true, 'trunkline.ddl', '');
    EXCEPTION WHEN OTHERS THEN
        RAISE WARNING 'trunkline could not log this change of structure: %', sqlerrm;
    END;
END
$trunkline$;
CREATE EVENT TRIGGER {end_trigger} ON ddl_command_end EXECUTE FUNCTION trunkline.{function}();
CREATE EVENT TRIGGER {drop_trigger} ON sql_drop EXECUTE FUNCTION trunkline.{function}()
