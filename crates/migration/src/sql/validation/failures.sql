-- Rows of table $3.$4 that differ, one per element.
INSERT INTO trunkline.validation_failures
    (migration, leg, table_schema, table_name, position, kind, key, columns, source_place,
     target_place)
SELECT $1, $2::int, $3, $4, $5::pg_lsn, f.kind, f.key::jsonb,
       ARRAY(SELECT pg_catalog.jsonb_array_elements_text(f.columns::jsonb)),
       f.source_place, f.target_place
  FROM unnest($6::text[], $7::text[], $8::text[], $9::text[], $10::text[])
       AS f(kind, key, columns, source_place, target_place)
