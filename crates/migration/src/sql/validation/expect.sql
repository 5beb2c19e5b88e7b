-- The tables that are to be validated: $3 schemas, $4 names, $5 rows, about. Others are
-- forgotten; what is known of a table stays.
WITH asked AS (
    SELECT * FROM unnest($3::text[], $4::text[], $5::bigint[]) AS a(schema, name, rows)
), gone AS (
    DELETE FROM trunkline.validation v
     WHERE v.migration = $1 AND v.leg = $2::int
       AND (v.table_schema, v.table_name) NOT IN (SELECT schema, name FROM asked)
)
INSERT INTO trunkline.validation AS v (migration, leg, table_schema, table_name, rows_total)
SELECT $1, $2::int, schema, name, rows FROM asked
    ON CONFLICT (migration, leg, table_schema, table_name)
    DO UPDATE SET rows_total = excluded.rows_total
