-- Every value of every table with an "id" wanders to the next row; then each row's own change.
--+ transaction
DO $do$
DECLARE
    target record;
BEGIN
    FOR target IN
        SELECT a.attrelid::regclass AS name,
               string_agg(quote_ident(a.attname), ', ') AS columns,
               string_agg('o.' || quote_ident(a.attname), ', ') AS others
        FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
        WHERE c.relnamespace = 'matrix'::regnamespace AND c.relkind = 'r'
          AND c.relname = ANY ('{numbers,numbers_scaled_oddly,texts,times,networks,shapes,documents,internals,internals_13,ranges,range_arrays,multiranges,arrays,user_types,hstores,ltrees,wide,collated}')
          AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'id'
        GROUP BY a.attrelid ORDER BY a.attrelid::regclass::text
    LOOP
        EXECUTE format(
            'UPDATE %1$s AS t SET (%2$s) = ROW(%3$s) '
            'FROM (SELECT *, lag(id, 1, (SELECT max(id) FROM %1$s)) OVER (ORDER BY id) AS before '
            'FROM %1$s) AS o WHERE o.before = t.id',
            target.name, target.columns, target.others);
    END LOOP;
END $do$;
--+ transaction
UPDATE matrix.numbers SET n = n + 0.00, f8 = -f8, i4 = NULL WHERE id % 2 = 0;
UPDATE matrix.texts SET t = t || '!', c = NULL, by = by || '\x00'::bytea WHERE id % 2 = 1;
UPDATE matrix.times SET iv = -iv WHERE isfinite(iv);
UPDATE matrix.documents SET j = ('{"round" :   ' || {round} || '}')::json, jb = jb || '{"r": 1.0}'
WHERE jsonb_typeof(jb) = 'object';
UPDATE matrix.arrays SET i[-5] = {round} WHERE array_ndims(i) = 1;
UPDATE matrix.user_types SET p.a = {round}, ms = (ms || ms)[1:6] WHERE array_ndims(ms) = 1;
UPDATE matrix.wide SET c500 = {round}, c501 = 'round {round}', c997 = NOT coalesce(c997, false);
UPDATE matrix.dropped_columns SET added = added + 1, "last" = 'round {round}';
UPDATE matrix.generated SET a = {round} WHERE id = 1;
INSERT INTO matrix.no_columns DEFAULT VALUES;
--+ transaction
-- Updates that change nothing still come in the stream.
UPDATE matrix.numbers SET id = id;
UPDATE matrix.arrays SET t = t;
