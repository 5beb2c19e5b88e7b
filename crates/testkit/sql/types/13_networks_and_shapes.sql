-- Network addresses and geometry, with infinities where a shape may have them.
CREATE TABLE networks (
    id bigint PRIMARY KEY,
    host inet,
    net cidr,
    mac macaddr,
    mac8 macaddr8
);
INSERT INTO networks VALUES
    (1, '192.168.0.1', '192.168.0.0/24', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05'),
    (2, '192.168.0.1/16', '0.0.0.0/0', 'ff:ff:ff:ff:ff:ff', '08:00:2b:ff:fe:01:02:03'),
    (3, '::1', '2001:db8::/32', '00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff:ff:ff'),
    (4, '::ffff:1.2.3.4/128', '::/0', NULL, NULL),
    (5, '2001:db8::1/64', '10.1.2.3/32', '01:23:45:67:89:ab', '00:00:00:00:00:00:00:00');

CREATE TABLE shapes (
    id bigint PRIMARY KEY,
    p point,
    l line,
    seg lseg,
    bx box,
    pa path,
    poly polygon,
    ci circle
);
INSERT INTO shapes VALUES
    (1, '(0,0)', '{1,-1,0}', '[(0,0),(1,1)]', '(1,1),(0,0)', '((0,0),(1,1),(2,0))',
        '((0,0),(1,1),(2,0))', '<(0,0),1>'),
    (2, '(-0,NaN)', '{0,1,-5}', '[(1e300,-1e300),(0,0)]', '(Infinity,1),(-Infinity,0)',
        '[(0,0),(1,1),(2,0)]', '((0.1,0.2))', '<(1,2),0>'),
    (3, '(Infinity,-Infinity)', '{1e-10,1,1}', '[(0.1,0.2),(0.30000000000000004,5e-324)]',
        '(0,0),(0,0)', '[(0,0)]', '((0,0),(0,0))', '<(1,2),Infinity>'),
    (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
