-- Which of the extensions $1 the server has: the version that it would make, the version that is
-- made, whether making it takes a superuser (before 13 none is trusted), and all versions.
SELECT a.name::text,
       coalesce(a.default_version, ''),
       a.installed_version,
       coalesce((SELECT bool_or(v.superuser AND NOT coalesce((to_jsonb(v) ->> 'trusted')::boolean, false))
                 FROM pg_catalog.pg_available_extension_versions AS v
                 WHERE v.name = a.name AND v.version = a.default_version), true),
       ARRAY (SELECT v.version
              FROM pg_catalog.pg_available_extension_versions AS v
              WHERE v.name = a.name)
FROM pg_catalog.pg_available_extensions AS a
WHERE a.name = ANY ($1::text[])
