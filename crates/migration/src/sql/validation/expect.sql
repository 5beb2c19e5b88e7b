-- The tables that are to be validated: $3 schemas, $4 names, $5 rows, about, $6 what of them is
-- compared. Others are forgotten; what is known of a table stays if the same is compared.
WITH asked AS (
    SELECT * FROM unnest($3::text[], $4::text[], $5::bigint[], $6::text[])
               AS a(schema, name, rows, compared)
), gone AS (
    DELETE FROM trunkline.validation v
     WHERE v.migration = $1 AND v.leg = $2::int
       AND NOT EXISTS (SELECT FROM asked a
                        WHERE (a.schema, a.name) = (v.table_schema, v.table_name))
)
INSERT INTO trunkline.validation AS v
       (migration, leg, table_schema, table_name, rows_total, compared)
SELECT $1, $2::int, schema, name, rows, compared FROM asked
    ON CONFLICT (migration, leg, table_schema, table_name)
    DO UPDATE SET rows_total = excluded.rows_total, compared = excluded.compared,
       state = CASE WHEN v.compared = excluded.compared THEN v.state ELSE 'pending' END,
       above = CASE WHEN v.compared = excluded.compared THEN v.above END
