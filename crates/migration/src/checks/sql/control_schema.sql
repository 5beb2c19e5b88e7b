-- Whether a schema of ours stands here.
SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'trunkline')
