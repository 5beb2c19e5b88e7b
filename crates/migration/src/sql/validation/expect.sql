-- The tables that are to be validated: $3 schemas, $4 names, $5 rows, about, $6 what of them is
-- compared. What is known of a table stays if the same is compared.
INSERT INTO trunkline.validation AS v
       (migration, leg, table_schema, table_name, rows_total, compared)
SELECT $1, $2::int, a.schema, a.name, a.rows, a.compared
  FROM unnest($3::text[], $4::text[], $5::bigint[], $6::text[]) AS a(schema, name, rows, compared)
    ON CONFLICT (migration, leg, table_schema, table_name)
    DO UPDATE SET rows_total = excluded.rows_total, compared = excluded.compared,
       state = CASE WHEN v.compared = excluded.compared THEN v.state ELSE 'pending' END,
       above = CASE WHEN v.compared = excluded.compared THEN v.above END
