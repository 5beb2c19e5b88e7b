-- The columns of the tables $1 (quoted names), each by its place in $1: name, the type below
-- any domain (its OID and its quoted name), and whether there is a domain.
WITH RECURSIVE asked AS (
    SELECT ord, name::pg_catalog.regclass AS oid
      FROM pg_catalog.unnest($1::text[]) WITH ORDINALITY AS asked(name, ord)
), below AS (
    SELECT a.ord, att.attname, att.attnum, t.oid AS type, t.typtype, t.typbasetype, t.typname,
           t.typnamespace, false AS is_domain
      FROM asked a
      JOIN pg_catalog.pg_attribute att ON att.attrelid = a.oid
       AND att.attnum > 0 AND NOT att.attisdropped
      JOIN pg_catalog.pg_type t ON t.oid = att.atttypid
    UNION ALL
    SELECT b.ord, b.attname, b.attnum, t.oid, t.typtype, t.typbasetype, t.typname,
           t.typnamespace, true
      FROM below b
      JOIN pg_catalog.pg_type t ON t.oid = b.typbasetype
     WHERE b.typtype = 'd'
)
SELECT b.ord::int - 1, b.attname::text, b.type::oid,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(b.typname), b.is_domain
  FROM below b
  JOIN pg_catalog.pg_namespace n ON n.oid = b.typnamespace
 WHERE b.typtype <> 'd'
 ORDER BY b.ord, b.attnum
