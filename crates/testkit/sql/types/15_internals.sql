-- Types of the catalogs; aclitem has no binary form, and the reg* types hold an OID in binary
-- that means something else on another server.
CREATE FUNCTION internals_function(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE TABLE internals (
    id bigint PRIMARY KEY,
    lsn pg_lsn,
    snap txid_snapshot,
    x xid,
    ci cid,
    ti tid,
    vec int2vector,
    oids oidvector,
    acl aclitem,
    cursor_name refcursor,
    rc regclass,
    rp regproc,
    rpe regprocedure,
    rt regtype,
    ro regrole,
    rn regnamespace,
    rcfg regconfig,
    rdict regdictionary,
    rop regoperator
);
INSERT INTO internals VALUES
    (1, '0/0', '10:20:10,14,15', '4294967295', '7', '(0,1)', '1 2 3', '10 20',
        'postgres=arwdDxt/postgres', 'c', 'numbers', 'internals_function',
        'internals_function(int)', 'numbers', 'postgres', 'matrix', 'simple', 'simple', '+(int,int)'),
    (2, 'FFFFFFFF/FFFFFFFF', '1:1:', '0', '0', '(4294967295,65535)', '', '',
        '=r/postgres', '', '0', '0', '0', 'numeric[]', 'postgres', 'pg_catalog', 'english',
        'english_stem', '0'),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL);
--+ since 13
CREATE TABLE internals_13 (id bigint PRIMARY KEY, x xid8, snap pg_snapshot, co regcollation);
INSERT INTO internals_13 VALUES (1, '18446744073709551615', '10:20:10,14', '"C"'), (2, '0', '1:1:', 0);
