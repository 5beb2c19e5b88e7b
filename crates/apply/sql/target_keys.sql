-- Unique indexes over plain columns of the tables in $1 (oids), one row a key column, the
-- primary key first, with the equality operator of its operator family (btree's strategy 3).
SELECT i.indrelid,
       i.indexrelid,
       i.indimmediate,
       k.attnum,
       opn.nspname,
       op.oprname
FROM pg_catalog.pg_index AS i
CROSS JOIN LATERAL (
    SELECT i.indkey[position] AS attnum, i.indclass[position] AS opclass, position
    FROM pg_catalog.generate_series(0, i.indnkeyatts - 1) AS position
) AS k
JOIN pg_catalog.pg_opclass AS oc ON oc.oid = k.opclass
JOIN pg_catalog.pg_am AS am ON am.oid = oc.opcmethod AND am.amname = 'btree'
JOIN pg_catalog.pg_amop AS ao
  ON ao.amopfamily = oc.opcfamily
 AND ao.amopstrategy = 3
 AND ao.amoplefttype = oc.opcintype
 AND ao.amoprighttype = oc.opcintype
JOIN pg_catalog.pg_operator AS op ON op.oid = ao.amopopr
JOIN pg_catalog.pg_namespace AS opn ON opn.oid = op.oprnamespace
WHERE i.indrelid = ANY ($1::oid[])
  AND i.indisunique
  AND i.indisvalid
  AND i.indisready
  AND i.indpred IS NULL
  AND i.indexprs IS NULL
ORDER BY i.indrelid, i.indisprimary DESC, i.indexrelid, k.position
