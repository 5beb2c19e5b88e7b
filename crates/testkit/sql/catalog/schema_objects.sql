-- Functions, types, collations, comments, casts and operators that the user made.
SELECT format('function %s: owner %s, acl %s, settings %s, body %s', p.oid::regprocedure,
              pg_get_userbyid(proowner), proacl, proconfig, md5(prosrc))
FROM pg_proc AS p
WHERE p.pronamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema')
   OR p.oid >= 16384 OR p.proacl IS NOT NULL
UNION ALL
SELECT format('type %s: %s, owner %s, acl %s, default %s', t.oid::regtype, typtype,
              pg_get_userbyid(typowner), typacl, typdefault)
FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
  AND n.nspname !~ '^pg_(toast_)?temp_'
  AND t.typcategory <> 'A' AND t.typrelid = 0
UNION ALL
SELECT format('label %s of %s at %s', enumlabel, enumtypid::regtype, enumsortorder) FROM pg_enum
UNION ALL
SELECT format('collation %s.%I', collnamespace::regnamespace, collname)
FROM pg_collation WHERE oid >= 16384
UNION ALL
SELECT format('comment on %s: %s', (pg_identify_object(classoid, objoid, objsubid)).identity,
              md5(description))
FROM pg_description WHERE objoid >= 16384
UNION ALL
SELECT format('cast %s to %s', castsource::regtype, casttarget::regtype)
FROM pg_cast WHERE oid >= 16384
UNION ALL
SELECT format('operator %s', oid::regoperator) FROM pg_operator WHERE oid >= 16384
