SELECT 'extension', ARRAY[e.extname]::text[], NULL, NULL, NULL,
       n.nspname, e.extversion
  FROM pg_catalog.pg_extension e
  JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
