-- How many large objects there are, and how many of them our role may not read.
SELECT count(*),
       count(*) FILTER (WHERE NOT pg_has_role(m.lomowner, 'USAGE')
                          AND NOT EXISTS (SELECT
                                          FROM aclexplode(m.lomacl) AS a
                                          WHERE a.privilege_type = 'SELECT'
                                            AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE'))))
FROM pg_catalog.pg_largeobject_metadata AS m
