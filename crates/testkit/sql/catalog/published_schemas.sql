SELECT format('publication %I has schema %s', p.pubname, n.pnnspid::regnamespace)
FROM pg_publication_namespace AS n JOIN pg_publication AS p ON p.oid = n.pnpubid
