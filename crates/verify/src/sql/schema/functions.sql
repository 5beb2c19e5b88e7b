-- A function that came with a range type hangs on it internally. What an aggregate is made of
-- is spelled here, because no function of the server does it.
SELECT 'function', ARRAY[n.nspname, p.proname]::text[],
       '(' || oidvectortypes(p.proargtypes) || ')', NULL, NULL,
       CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' WHEN 'w' THEN 'window'
            ELSE 'function' END,
       CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid)
            ELSE concat_ws(', ',
                 format('arguments (%s)', pg_get_function_arguments(p.oid)),
                 'result ' || format_type(p.prorettype, NULL), format('parallel %s', p.proparallel),
                 format('kind %s %s', a.aggkind, a.aggnumdirectargs),
                 'state ' || format_type(a.aggtranstype, NULL), 'by ' || a.aggtransfn,
                 'initial ' || quote_literal(a.agginitval),
                 'final ' || nullif(a.aggfinalfn::text, '-') || ' ' || a.aggfinalmodify::text || ' '
                          || a.aggfinalextra,
                 'combine ' || nullif(a.aggcombinefn::text, '-'),
                 'serial ' || nullif(a.aggserialfn::text, '-'),
                 'deserial ' || nullif(a.aggdeserialfn::text, '-'),
                 'moving ' || nullif(a.aggmtransfn::text, '-'),
                 'moving back ' || nullif(a.aggminvtransfn::text, '-'),
                 'moving final ' || nullif(a.aggmfinalfn::text, '-') || ' ' || a.aggmfinalmodify::text
                                 || ' ' || a.aggmfinalextra,
                 'moving state ' || format_type(nullif(a.aggmtranstype, 0), NULL),
                 'moving initial ' || quote_literal(a.aggminitval),
                 'sort ' || nullif(a.aggsortop::pg_catalog.regoper::text, '0')) END
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  LEFT JOIN pg_catalog.pg_aggregate a ON a.aggfnoid = p.oid
 WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'trunkline')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
                      AND d.objid = p.oid AND d.deptype IN ('e', 'i'))
