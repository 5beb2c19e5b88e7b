SELECT 'sequence', q.name, NULL,
       CASE WHEN q.owner_name IS NOT NULL THEN 'column' END, q.owner_name,
       format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache,
       CASE WHEN s.seqcycle THEN 'yes' ELSE 'no' END,
       (SELECT string_agg(quote_ident(part), '.' ORDER BY place)
          FROM unnest(q.owner_name) WITH ORDINALITY AS o(part, place))
  FROM sequence q
  JOIN pg_catalog.pg_sequence s ON s.seqrelid = q.oid
