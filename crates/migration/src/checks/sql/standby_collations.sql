-- The versions of the libraries that sort text on this machine: the same for every collation
-- of the C library, and for every one of ICU.
SELECT (SELECT pg_catalog.pg_collation_actual_version(c.oid)
          FROM pg_catalog.pg_collation c
         WHERE c.collprovider = 'c' AND c.collname NOT IN ('C', 'POSIX')
         ORDER BY c.oid LIMIT 1),
       (SELECT pg_catalog.pg_collation_actual_version(c.oid)
          FROM pg_catalog.pg_collation c
         WHERE c.collprovider = 'i'
         ORDER BY c.oid LIMIT 1)
